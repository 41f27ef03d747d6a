#include "base/address.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

namespace postern {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Result<std::uint16_t> parse_port(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value == 0 || value > 65535) {
    return fail(Code::kMalformed, fmt::format("'{}' is not a port (1 to 65535)", text));
  }
  return static_cast<std::uint16_t>(value);
}

// Bits of `address` after the first `prefix_bits`.
bool has_host_bits(const IpAddress& address, unsigned prefix_bits) {
  for (std::size_t i = 0; i < address.size(); ++i) {
    const unsigned first_bit = static_cast<unsigned>(i) * 8;
    const unsigned kept = std::clamp(prefix_bits, first_bit, first_bit + 8) - first_bit;
    if ((address.data()[i] & (0xffU >> kept)) != 0) return true;
  }
  return false;
}

}  // namespace

IpAddress IpAddress::v4(const std::uint8_t* four_bytes) {
  IpAddress a;
  std::memcpy(a.bytes_.data(), four_bytes, 4);
  return a;
}

IpAddress IpAddress::v6(const std::uint8_t* sixteen_bytes) {
  if (std::memcmp(sixteen_bytes, kMappedPrefix.data(), kMappedPrefix.size()) == 0) {
    return v4(sixteen_bytes + kMappedPrefix.size());
  }
  IpAddress a;
  a.v4_ = false;
  std::memcpy(a.bytes_.data(), sixteen_bytes, 16);
  return a;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string copy(text);
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, copy.c_str(), bytes.data()) == 1) return v4(bytes.data());
  if (inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return v6(bytes.data());
  return fail(Code::kMalformed, fmt::format("'{}' is not an IP address", text));
}

bool IpAddress::is_unspecified() const {
  return std::all_of(bytes_.begin(), bytes_.end(), [](std::uint8_t b) { return b == 0; });
}

bool IpAddress::is_loopback() const {
  if (v4_) return bytes_[0] == 127;
  return bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto b) { return b == 0; });
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), text.data(), text.size());
  return text.data();
}

Result<Endpoint> Endpoint::parse(std::string_view text, std::uint16_t default_port) {
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) {
      return fail(Code::kMalformed, fmt::format("'{}' has no closing ']'", text));
    }
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':')) {
      return fail(Code::kMalformed, fmt::format("'{}': write [IPv6]:port", text));
    }
    port = rest.empty() ? rest : rest.substr(1);
    if (!rest.empty() && port.empty()) {
      return fail(Code::kMalformed, fmt::format("'{}' has no port after ':'", text));
    }
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    const std::size_t colon = text.find(':');
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty())
      return fail(Code::kMalformed, fmt::format("'{}' has no port after ':'", text));
  }
  Endpoint endpoint;
  auto ip = IpAddress::parse(host);
  if (!ip) return tl::unexpected(ip.error());
  endpoint.ip = *ip;
  if (port.empty()) {
    if (default_port == 0) {
      return fail(Code::kMalformed,
                  fmt::format("'{}' has no port; write IP:port or [IPv6]:port", text));
    }
    endpoint.port = default_port;
    return endpoint;
  }
  const auto number = parse_port(port);
  if (!number) return tl::unexpected(number.error());
  endpoint.port = *number;
  return endpoint;
}

Endpoint Endpoint::from_sockaddr(const sockaddr_storage& address) {
  Endpoint endpoint;
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    endpoint.ip = IpAddress::v4(reinterpret_cast<const std::uint8_t*>(&in.sin_addr));
    endpoint.port = ntohs(in.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
    endpoint.ip = IpAddress::v6(in6.sin6_addr.s6_addr);
    endpoint.port = ntohs(in6.sin6_port);
    endpoint.scope = in6.sin6_scope_id;
  }
  return endpoint;
}

socklen_t Endpoint::to_sockaddr(sockaddr_storage& out) const {
  std::memset(&out, 0, sizeof(out));
  if (ip.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(out);
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, ip.data(), 4);
    return sizeof(sockaddr_in);
  }
  auto& in6 = reinterpret_cast<sockaddr_in6&>(out);
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  in6.sin6_scope_id = scope;
  std::memcpy(&in6.sin6_addr, ip.data(), 16);
  return sizeof(sockaddr_in6);
}

std::string Endpoint::to_string() const {
  return ip.is_v4() ? fmt::format("{}:{}", ip.to_string(), port)
                    : fmt::format("[{}]:{}", ip.to_string(), port);
}

Network::Network(IpAddress base, std::uint8_t prefix_bits)
    : base_(base), prefix_bits_(prefix_bits) {}

Result<Network> Network::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto ip = IpAddress::parse(text.substr(0, slash));
  if (!ip)
    return fail(Code::kMalformed, fmt::format("'{}' is not a network; write 192.0.2.0/24", text));
  const auto bits_max = static_cast<unsigned>(ip->size() * 8);
  unsigned bits = bits_max;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc{} || end != digits.data() + digits.size() || bits > bits_max) {
      return fail(Code::kMalformed,
                  fmt::format("'{}': the prefix length is 0 to {}", text, bits_max));
    }
  }
  if (has_host_bits(*ip, bits)) {
    return fail(Code::kInvalid, fmt::format("'{}' has bits set after the prefix", text));
  }
  return Network(*ip, static_cast<std::uint8_t>(bits));
}

bool Network::contains(const IpAddress& address) const {
  if (address.is_v4() != base_.is_v4()) return false;
  const std::size_t whole = prefix_bits_ / 8U;
  if (std::memcmp(address.data(), base_.data(), whole) != 0) return false;
  const unsigned rest = prefix_bits_ % 8U;
  if (rest == 0) return true;
  return ((address.data()[whole] ^ base_.data()[whole]) >> (8 - rest)) == 0;
}

std::string Network::to_string() const {
  return fmt::format("{}/{}", base_.to_string(), prefix_bits_);
}

bool contains(const std::vector<Network>& networks, const IpAddress& address) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const Network& n) { return n.contains(address); });
}

}  // namespace postern
