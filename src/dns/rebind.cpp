#include "dns/rebind.h"

#include <algorithm>
#include <array>

#include "dns/svcb.h"

namespace postern::dns {
namespace {

using Prefix12 = std::array<std::uint8_t, 12>;
constexpr Prefix12 kCompatible{};
constexpr Prefix12 kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr Prefix12 kNat64{0, 0x64, 0xff, 0x9b};
constexpr std::array<std::uint8_t, 6> kLocalNat64{0, 0x64, 0xff, 0x9b, 0, 1};  // RFC 8215

bool is_private_v4(const std::uint8_t* a) {
  switch (a[0]) {
    case 0:
    case 10:
    case 127:
      return true;
    case 100:
      return (a[1] & 0xc0U) == 64;
    case 169:
      return a[1] == 254;
    case 172:
      return (a[1] & 0xf0U) == 16;
    case 192:
      return a[1] == 168;
    default:
      return false;
  }
}

bool is_private_v6(Bytes a) {
  if ((a[0] & 0xfeU) == 0xfc) return true;
  if (a[0] == 0xfe && (a[1] & 0x80U) != 0) return true;  // fe80::/10, fec0::/10
  const Bytes prefix = a.first(12);
  if (equal_bytes(prefix, kCompatible)) return true;  // ::, ::1 and what nobody uses any more
  if (equal_bytes(a.first(6), kLocalNat64)) return true;
  if (a[0] == 0x20 && a[1] == 0x02) return is_private_v4(a.data() + 2);  // 6to4, RFC 3056
  const bool holds_v4 = equal_bytes(prefix, kMapped) || equal_bytes(prefix, kNat64);
  return holds_v4 && is_private_v4(a.data() + 12);
}

bool any_private(Bytes addresses, std::size_t size) {
  for (; addresses.size() >= size; addresses = addresses.subspan(size)) {
    if (is_private_address(addresses.first(size))) return true;
  }
  return false;
}

}  // namespace

bool is_private_address(Bytes address) {
  return address.size() == 4 ? is_private_v4(address.data()) : is_private_v6(address);
}

bool has_private_hint(Bytes rdata) {
  return any_private(svcb_value(rdata, kSvcIpv4Hint), 4) ||
         any_private(svcb_value(rdata, kSvcIpv6Hint), 16);
}

}  // namespace postern::dns
