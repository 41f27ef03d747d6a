// Small parts of master file text: numbers, TTLs, character strings, names, hex, base64 and
// base32hex. Each returns false and says in `why` what is wrong; nothing throws.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "dns/name.h"

namespace postern::dns {

inline constexpr std::uint32_t kTtlMax = 0x7fffffff;  ///< RFC 2181 section 8

bool parse_number(std::string_view text, std::uint64_t max, std::uint64_t* out, std::string* why);
/// "3600" or "1h30m"; units w d h m s in any case; up to kTtlMax.
bool parse_ttl(std::string_view text, std::uint32_t* out, std::string* why);
/// Resolves \X and \DDD and appends the bytes.
bool decode_text(std::string_view text, std::string* out, std::string* why);
bool decode_hex(std::string_view text, std::string* out, std::string* why);
bool decode_base64(std::string_view text, std::string* out, std::string* why);
/// RFC 4648 section 7 without padding, as in NSEC3.
bool decode_base32hex(std::string_view text, std::string* out, std::string* why);
bool parse_ipv4(std::string_view text, std::uint8_t* four_bytes);
bool parse_ipv6(std::string_view text, std::uint8_t* sixteen_bytes);

/// A name in wire form in a buffer of its own, for loops that must not allocate.
struct WireName {
  std::array<std::uint8_t, kNameBytesMax> bytes{};
  std::uint8_t size = 1;

  NameView view() const { return NameView(Bytes(bytes.data(), size)); }
  void assign(NameView name);
};

/// Like Name::parse, without an allocation unless it fails.
bool parse_wire_name(std::string_view text, NameView origin, WireName* out, std::string* why);

/// True when `name` reads like an IP address ("192.0.2.1.", or relative to any origin).
bool looks_like_address(NameView name);
/// Letters, digits and inner hyphens in every label (RFC 952, RFC 1123 section 2.1).
bool is_host_name(NameView name, bool wildcard_allowed);

}  // namespace postern::dns
