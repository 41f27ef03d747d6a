// IP addresses, endpoints and networks as values: parsed once, compared and printed everywhere.
// Text forms: "192.0.2.1", "2001:db8::1", "fe80::1%eth0" is not accepted; endpoints "IP:port" and
// "[IPv6]:port" (RFC 3986, section 3.2.2; RFC 5952 for printing); networks in CIDR (RFC 4632).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

#include "base/result.h"

namespace postern {

/// An IPv4 or IPv6 address. IPv4-mapped IPv6 (::ffff:0:0/96) is kept as IPv4, so that an access
/// list written for IPv4 holds on every socket.
class IpAddress {
 public:
  IpAddress() = default;  ///< 0.0.0.0
  static IpAddress v4(const std::uint8_t* four_bytes);
  static IpAddress v6(const std::uint8_t* sixteen_bytes);
  static Result<IpAddress> parse(std::string_view text);

  bool is_v4() const { return v4_; }
  std::size_t size() const { return v4_ ? 4 : 16; }  ///< bytes in network order
  const std::uint8_t* data() const { return bytes_.data(); }
  bool is_unspecified() const;
  bool is_loopback() const;
  std::string to_string() const;

  // NOLINTNEXTLINE(modernize-use-nullptr): misfires when a container compares with it
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};  // an IPv4 address uses the first four; the rest is zero
  bool v4_ = true;
};

struct Endpoint {
  IpAddress ip;
  std::uint16_t port = 0;
  std::uint32_t scope = 0;  ///< interface index of a link-local IPv6 peer; 0 otherwise

  /// "IP:port", "[IPv6]:port"; with `default_port` != 0 also "IP" and "IPv6" alone.
  static Result<Endpoint> parse(std::string_view text, std::uint16_t default_port = 0);
  static Endpoint from_sockaddr(const sockaddr_storage& address);
  /// Fills `out` and returns the length to hand to bind, connect or sendto.
  socklen_t to_sockaddr(sockaddr_storage& out) const;
  std::string to_string() const;

  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// A CIDR block. "192.0.2.7" alone is a /32 (an IPv6 address a /128); host bits set are an error.
class Network {
 public:
  Network() = default;
  Network(IpAddress base, std::uint8_t prefix_bits);
  static Result<Network> parse(std::string_view text);

  bool contains(const IpAddress& address) const;
  const IpAddress& base() const { return base_; }
  std::uint8_t prefix_bits() const { return prefix_bits_; }
  std::string to_string() const;

  friend auto operator<=>(const Network&, const Network&) = default;

 private:
  IpAddress base_;
  std::uint8_t prefix_bits_ = 32;
};

bool contains(const std::vector<Network>& networks, const IpAddress& address);

}  // namespace postern
