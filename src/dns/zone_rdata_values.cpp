// Values that fit their fields and are wrong all the same: such a record is of no use to anybody.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "dns/name.h"
#include "dns/zone_rdata_fields.h"

namespace postern::dns {
namespace {

constexpr std::size_t kSha1Bytes = 20;
constexpr std::size_t kSha256Bytes = 32;
constexpr std::size_t kSha384Bytes = 48;
constexpr std::size_t kSha512Bytes = 64;
constexpr std::size_t kZonemdBytesMin = 12;  // RFC 8976 section 2.2.4

bool fault(std::string* why, std::string text) {
  *why = std::move(text);
  return false;
}

bool is_alnum(std::uint8_t c) {
  const std::uint8_t lower = lower_byte(c);
  return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z');
}

// Of a DS digest type (IANA "DS RR Type Digest Algorithms"); 0 for unknown ones.
std::size_t ds_bytes(std::uint8_t digest) {
  constexpr std::array<std::size_t, 7> kBytes{
      0, kSha1Bytes, kSha256Bytes, kSha256Bytes, kSha384Bytes, kSha256Bytes, kSha256Bytes};
  return digest < kBytes.size() ? kBytes[digest] : 0;
}

bool length_is(const char* what, std::size_t kind, std::size_t wanted, std::size_t found,
               std::string* why) {
  if (wanted == 0 || wanted == found) return true;
  return fault(why, fmt::format("a digest of {} bytes; {} {} has {}", found, what, kind, wanted));
}

bool ds_good(Bytes rdata, std::string* why) {
  const bool removal = rdata[2] == 0 && rdata[3] == 0;  // RFC 8078 section 4
  return removal || length_is("digest type", rdata[3], ds_bytes(rdata[3]), rdata.size() - 4, why);
}

// RFC 4255 section 3.1.2, RFC 6594.
bool sshfp_good(Bytes rdata, std::string* why) {
  const std::size_t wanted = rdata[1] == 1 ? kSha1Bytes : rdata[1] == 2 ? kSha256Bytes : 0;
  return length_is("fingerprint type", rdata[1], wanted, rdata.size() - 2, why);
}

// RFC 6698 section 2.1.3.
bool tlsa_good(Bytes rdata, std::string* why) {
  const std::size_t wanted = rdata[2] == 1 ? kSha256Bytes : rdata[2] == 2 ? kSha512Bytes : 0;
  return length_is("matching type", rdata[2], wanted, rdata.size() - 3, why);
}

bool zonemd_good(Bytes rdata, std::string* why) {
  const std::size_t found = rdata.size() - 6;
  if (found < kZonemdBytesMin) return fault(why, "a digest shorter than 12 bytes");
  const std::size_t wanted = rdata[5] == 1 ? kSha384Bytes : rdata[5] == 2 ? kSha512Bytes : 0;
  return length_is("hash algorithm", rdata[5], wanted, found, why);
}

// RFC 8659 section 4.1.
bool caa_good(Bytes rdata, std::string* why) {
  const Bytes tag = rdata.subspan(2, rdata[1]);
  if (!tag.empty() && std::all_of(tag.begin(), tag.end(), is_alnum)) return true;
  return fault(why, "a tag consists of letters and digits (RFC 8659 section 4.1)");
}

// RFC 1183 section 3.1.
bool x25_good(Bytes rdata, std::string* why) {
  const Bytes digits = rdata.subspan(1);
  const bool good = digits.size() >= 4 && std::all_of(digits.begin(), digits.end(),
                                                      [](auto c) { return c >= '0' && c <= '9'; });
  return good || fault(why, "an address consists of at least 4 digits");
}

bool isdn_good(Bytes rdata, std::string* why) {
  const std::size_t first = rdata[0] + std::size_t{1};
  if (first == rdata.size() || first + rdata[first] + 1 == rdata.size()) return true;
  return fault(why, "more than an address and a subaddress");
}

// RFC 1712 section 3, which has the limits of longitude and latitude the wrong way round.
bool gpos_good(Bytes rdata, std::string* why) {
  constexpr std::array<double, 3> kLimits{90, 180, 1e9};
  for (const double limit : kLimits) {
    const std::string_view text = as_text(rdata.subspan(1, rdata[0]));
    const char* end = text.data() + text.size();
    double value = 0;
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    const bool number = error == std::errc{} && stop == end && std::abs(value) <= limit;
    if (!text.empty() && !number) {
      return fault(why, fmt::format("'{}' is not a number up to {}", text, limit));
    }
    rdata = rdata.subspan(rdata[0] + std::size_t{1});
  }
  return true;
}

// RFC 3123 section 4: families 1 and 2 with prefixes that fit them.
bool apl_good(Bytes rdata, std::string* why) {
  while (rdata.size() >= 4) {
    const std::uint16_t family = load_u16(rdata.data());
    const std::size_t bytes = family == 1 ? 4 : family == 2 ? 16 : 127;
    const std::size_t size = rdata[3] & 0x7fU;
    if (rdata[2] > 8 * bytes && family <= 2) {
      return fault(
          why, fmt::format("a prefix of {} bits; family {} has {}", rdata[2], family, 8 * bytes));
    }
    if (size > bytes) return fault(why, "an address that is longer than its family's");
    rdata = rdata.subspan(std::min(rdata.size(), 4 + size));
  }
  return rdata.empty() || fault(why, "a prefix is cut short");
}

// RFC 3403 section 4.1: DELIMITER expression DELIMITER replacement DELIMITER flags.
bool naptr_good(Bytes rdata, std::string* why) {
  std::size_t at = 4;
  at += rdata[at] + 1U;
  at += rdata[at] + 1U;
  const Bytes regexp = rdata.subspan(at + 1, rdata[at]);
  if (regexp.empty()) return true;
  const std::uint8_t delimiter = regexp[0];
  int delimiters = 0;
  for (std::size_t i = 0; i < regexp.size(); ++i) {
    if (regexp[i] == delimiter) ++delimiters;
    if (regexp[i] == '\\') ++i;
  }
  const std::size_t last = as_text(regexp).rfind(static_cast<char>(delimiter));
  const std::string_view flags = as_text(regexp).substr(last + 1);
  if (delimiters == 3 && (flags.empty() || flags == "i" || flags == "I")) return true;
  return fault(why,
               fmt::format("'{}' is not of the form !expression!replacement!", as_text(regexp)));
}

}  // namespace

bool rdata_values_good(RrType type, Bytes rdata, std::string* why) {
  switch (static_cast<std::uint16_t>(type)) {
    case 19:
      return x25_good(rdata, why);
    case 20:
      return isdn_good(rdata, why);
    case 27:
      return gpos_good(rdata, why);
    case 35:
      return naptr_good(rdata, why);
    case 42:
      return apl_good(rdata, why);
    case 43:     // DS
    case 59:     // CDS
    case 32768:  // TA
    case 32769:  // DLV
      return ds_good(rdata, why);
    case 44:
      return sshfp_good(rdata, why);
    case 52:  // TLSA
    case 53:  // SMIMEA
      return tlsa_good(rdata, why);
    case 63:
      return zonemd_good(rdata, why);
    case 256:
      return rdata.size() > 4 || fault(why, "a target is missing (RFC 7553 section 4.4)");
    case 257:
      return caa_good(rdata, why);
    default:
      return true;
  }
}

}  // namespace postern::dns
