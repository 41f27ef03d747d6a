// What the gateway serves at one moment: listeners with their routes and certificates, compiled.
// Constant; part of the snapshot that workers and exchanges under way share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "gateway/settings.h"
#include "http/route.h"
#include "net/socket.h"
#include "net/tls.h"

namespace postern::gateway {

struct Listener {
  ListenerSettings settings;
  http::RouteTable routes;                    ///< refers to Site::routes
  std::shared_ptr<const net::TlsServer> tls;  ///< nullptr: no HTTPS
  std::string hsts;                           ///< "": not sent
};

/// What a socket is for.
enum class Service : std::uint8_t { kHttp, kHttps, kTcp };

struct Served {
  const Listener* listener = nullptr;
  Service service = Service::kHttp;
};

struct Site {
  GatewayLimits limits;
  std::size_t memory_max = SIZE_MAX;  ///< that requests under way may hold, bytes
  int fd_end = net::kNoFdEnd;         ///< of backends: descriptors from here on are for others
  bool log_requests = true;
  std::vector<std::string> ech_public_names{"cloudflare-ech.com"};
  std::vector<http::RouteSettings> routes;
  std::vector<Listener> listeners;
  std::shared_ptr<const net::TlsClient> backend_tls;     ///< ALPN http/1.1
  std::shared_ptr<const net::TlsClient> backend_tls_h2;  ///< ALPN h2, http/1.1

  /// Whose this TCP endpoint is; listener is nullptr when nobody's. A wildcard address (0.0.0.0)
  /// matches sockets bound to it.
  Served find(const Endpoint& local) const;
};

/// Every TCP endpoint the site listens on, and the UDP endpoints of those with quic = "refuse".
std::vector<Endpoint> tcp_endpoints(const Site& site);
std::vector<Endpoint> quic_endpoints(const Site& site);

}  // namespace postern::gateway
