// What the gateway is told to do: [[gateway.listener]], [gateway.limits] and the lists that belong
// to neither. Routes are http::RouteSettings.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "http/forwarded.h"
#include "http/h1.h"
#include "http/header_filter.h"

namespace postern::gateway {

/// A backend of a plain TCP listener: "10.43.0.20:5432", "[fd00::1]:5432", "db.home.arpa:5432".
struct TcpBackend {
  std::string host;  ///< a name in lower case, or an address without brackets
  std::uint16_t port = 0;

  friend bool operator==(const TcpBackend&, const TcpBackend&) = default;
};

/// [[gateway.listener]]: HTTP and HTTPS, or plain TCP when `tcp` is not 0.
struct ListenerSettings {
  std::string name;
  std::vector<IpAddress> addresses;
  std::uint16_t http = 80;    ///< 0: none
  std::uint16_t https = 443;  ///< 0: none
  std::uint16_t tcp = 0;      ///< 0: not a TCP listener; else http and https are 0
  std::vector<std::string> certificates;
  std::vector<std::string> alpn{"h2", "http/1.1"};
  bool redirect_to_https = true;
  std::uint64_t hsts_s = 0;
  http::AltSvc alt_svc = http::AltSvc::kClear;
  bool quic_refuse = true;
  http::ForwardedSettings forwarded;  ///< trusted_proxies: PROXY protocol v2 of TCP listeners, too
  bool publish_dns = true;
  std::vector<TcpBackend> backends;   ///< of a TCP listener
  bool proxy_protocol = false;        ///< v2 towards the backends of a TCP listener
  std::uint64_t idle_ms = 3'600'000;  ///< of TCP connections; key `idle`
  std::string source;                 ///< "FILE:LINE" of its first line
};

/// [gateway.limits]
struct GatewayLimits {
  std::size_t header_bytes = 64U << 10;
  std::size_t headers = 100;
  std::uint32_t header_timeout_ms = 10'000;  ///< for the TLS handshake, and for each request head
  std::uint32_t connections = 20'000;        ///< of clients, of the whole process
  std::uint32_t streams = 128;               ///< concurrent HTTP/2 streams of a connection
};

/// Of requests and of responses. A request line has 8 KiB (RFC 9112 section 3), more where a head
/// has more than 64.
inline http::h1::HeadLimits head_limits(const GatewayLimits& limits) {
  http::h1::HeadLimits result;
  const std::size_t line = std::max(result.request_line_bytes_max, limits.header_bytes / 8);
  result.header_bytes_max = limits.header_bytes;
  result.request_line_bytes_max = std::min(line, limits.header_bytes);
  result.fields_max = limits.headers;
  return result;
}

}  // namespace postern::gateway
