#include "dns/zone_rdata.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "dns/svcb.h"
#include "dns/zone_rdata_fields.h"

namespace postern::dns {
namespace {

constexpr RrType kA6{38};
constexpr RrType kAmtrelay{260};
constexpr RrType kAtma{34};
constexpr RrType kLoc{29};
constexpr std::size_t kStringBytesMax = 255;
constexpr std::size_t kRdataBytesMax = 65535;

constexpr std::pair<std::string_view, std::uint8_t> kAlgorithms[] = {
    {"RSAMD5", 1},           {"DH", 2},           {"DSA", 3},
    {"RSASHA1", 5},          {"DSANSEC3SHA1", 6}, {"NSEC3DSA", 6},
    {"RSASHA1NSEC3SHA1", 7}, {"NSEC3RSASHA1", 7}, {"RSASHA256", 8},
    {"RSASHA512", 10},       {"ECCGOST", 12},     {"ECDSAP256SHA256", 13},
    {"ECDSAP384SHA384", 14}, {"ED25519", 15},     {"ED448", 16},
    {"INDIRECT", 252},       {"PRIVATEDNS", 253}, {"PRIVATEOID", 254},
};

// Days from 1970-01-01 to a date of the Gregorian calendar.
std::int64_t days_to(std::int64_t year, std::int64_t month, std::int64_t day) {
  if (month <= 2) {
    --year;
    month += 12;
  }
  return 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1 -
         719468;
}

std::uint64_t days_in(std::uint64_t year, std::uint64_t month) {
  constexpr std::array<std::uint64_t, 12> kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return kDays[month - 1] + (month == 2 && leap ? 1 : 0);
}

// YYYYMMDDHHMMSS or seconds since 1970 (RFC 4034 section 3.2).
bool parse_signature_time(std::string_view text, std::uint64_t* out, std::string* why) {
  if (text.size() != 14) return parse_number(text, 0xffffffff, out, why);
  std::array<std::uint64_t, 6> part{};
  constexpr std::array<std::size_t, 7> kStarts{0, 4, 6, 8, 10, 12, 14};
  for (std::size_t i = 0; i < part.size(); ++i) {
    const auto digits = text.substr(kStarts[i], kStarts[i + 1] - kStarts[i]);
    if (!parse_number(digits, 9999, &part[i], why)) return false;
  }
  if (part[0] < 1970 || part[1] < 1 || part[1] > 12 || part[2] < 1 ||
      part[2] > days_in(part[0], part[1]) || part[3] > 23 || part[4] > 59 || part[5] > 60) {
    *why = fmt::format("'{}' is not a time", text);
    return false;
  }
  const auto days = static_cast<std::uint64_t>(days_to(static_cast<std::int64_t>(part[0]),
                                                       static_cast<std::int64_t>(part[1]),
                                                       static_cast<std::int64_t>(part[2])));
  *out = days * 86400 + part[3] * 3600 + part[4] * 60 + part[5];
  return true;
}

bool parse_algorithm(std::string_view text, std::uint64_t* out, std::string* why) {
  for (const auto& [name, number] : kAlgorithms) {
    if (std::equal(text.begin(), text.end(), name.begin(), name.end(), [](char a, char b) {
          return lower_byte(static_cast<std::uint8_t>(a)) ==
                 lower_byte(static_cast<std::uint8_t>(b));
        })) {
      *out = number;
      return true;
    }
  }
  if (parse_number(text, 255, out, why)) return true;
  *why = fmt::format("'{}' is not a DNSSEC algorithm", text);
  return false;
}

std::string describe(char field) {
  switch (field) {
    case 'a':
      return "an IPv4 address";
    case '6':
      return "an IPv6 address";
    case 'n':
      return "a name";
    case 's':
    case 'S':
    case 'q':
      return "a string";
    case 'h':
    case 'x':
      return "hexadecimal text";
    case 'b':
      return "base64 text";
    case 'z':
      return "base32hex text";
    case 'y':
    case 'X':
    case 'Y':
      return "a record type";
    case 'p':
      return "0x and hexadecimal digits";
    case 't':
    case 'e':
    case 'E':
      return "a time";
    default:
      return "a number";
  }
}

}  // namespace

void RdataReader::put_u16(std::uint64_t value) {
  put_u8(value >> 8);
  put_u8(value);
}

void RdataReader::put_u32(std::uint64_t value) {
  put_u16(value >> 16);
  put_u16(value);
}

bool RdataReader::fail_at(const ZoneToken& token, std::string text) {
  fault_ = {std::move(text), token.position};
  return false;
}

bool RdataReader::fail_at_end(std::string text) {
  fault_ = {std::move(text), tokens_.empty() ? after_ : tokens_.back().position};
  return false;
}

bool RdataReader::read_number(const ZoneToken& token, std::size_t bytes) {
  std::uint64_t value = 0;
  if (!parse_number(token.text, (1ULL << (8 * bytes)) - 1, &value, &why_)) {
    return fail_at(token, why_);
  }
  for (std::size_t i = bytes; i-- > 0;) put_u8(value >> (8 * i));
  return true;
}

bool RdataReader::read_field(char field, const ZoneToken& token) {
  std::array<std::uint8_t, 16> address;
  std::uint64_t number = 0;
  std::uint32_t seconds = 0;
  std::string bytes;
  switch (field) {
    case 'a':
      if (!parse_ipv4(token.text, address.data())) {
        return fail_at(token, fmt::format("'{}' is not an IPv4 address", token.text));
      }
      rdata_.append(as_text(Bytes(address.data(), 4)));
      return true;
    case '6':
      if (!parse_ipv6(token.text, address.data())) {
        return fail_at(token, fmt::format("'{}' is not an IPv6 address", token.text));
      }
      rdata_.append(as_text(address));
      return true;
    case 'n':
      if (!parse_wire_name(token.text, origin_, &name_, &why_)) return fail_at(token, why_);
      rdata_.append(as_text(name_.view().wire()));
      return true;
    case 's':
    case 'S':
      if (!decode_text(token.text, &bytes, &why_)) return fail_at(token, why_);
      if (bytes.size() > kStringBytesMax) {
        return fail_at(token, fmt::format("a string of {} bytes; at most 255", bytes.size()));
      }
      put_u8(bytes.size());
      rdata_ += bytes;
      return true;
    case 't':
      if (!parse_ttl(token.text, &seconds, &why_)) return fail_at(token, why_);
      put_u32(seconds);
      return true;
    case 'e':
    case 'E':
      if (!parse_signature_time(token.text, &number, &why_)) return fail_at(token, why_);
      put_u32(number);
      return true;
    case 'g':
      if (!parse_algorithm(token.text, &number, &why_)) return fail_at(token, why_);
      put_u8(number);
      return true;
    case 'y': {
      const auto type = parse_type(token.text);
      if (!type) return fail_at(token, type.error().detail);
      put_u16(static_cast<std::uint16_t>(*type));
      return true;
    }
    case 'x':
      if (token.text != "-" && !decode_hex(token.text, &bytes, &why_)) return fail_at(token, why_);
      if (bytes.size() > kStringBytesMax) return fail_at(token, "a salt has at most 255 bytes");
      put_u8(bytes.size());
      rdata_ += bytes;
      return true;
    case 'z':
      if (!decode_base32hex(token.text, &bytes, &why_)) return fail_at(token, why_);
      if (bytes.size() > kStringBytesMax) return fail_at(token, "a hash has at most 255 bytes");
      put_u8(bytes.size());
      rdata_ += bytes;
      return true;
    case 'q':
      if (!decode_text(token.text, &rdata_, &why_)) return fail_at(token, why_);
      return true;
    case 'p':
      return read_nsap(token);
    default:
      return read_number(token, static_cast<std::size_t>(field - '0'));
  }
}

// Hex and base64 may be cut by blanks anywhere.
bool RdataReader::read_joined(char field) {
  const ZoneToken& first = tokens_[next_];
  std::string joined;
  for (; next_ < tokens_.size(); ++next_) joined += tokens_[next_].text;
  const bool good =
      field == 'h' ? decode_hex(joined, &rdata_, &why_) : decode_base64(joined, &rdata_, &why_);
  return good || fail_at(first, why_);
}

bool RdataReader::read_type_bitmap() {
  std::map<std::uint8_t, std::array<std::uint8_t, 32>> windows;
  for (; next_ < tokens_.size(); ++next_) {
    const auto type = parse_type(tokens_[next_].text);
    if (!type) return fail_at(tokens_[next_], type.error().detail);
    const auto number = static_cast<std::uint16_t>(*type);
    auto& window = windows[static_cast<std::uint8_t>(number >> 8)];
    window[(number & 0xff) / 8] |= static_cast<std::uint8_t>(0x80 >> (number % 8));
  }
  for (const auto& [number, bits] : windows) {
    std::size_t size = bits.size();
    while (size > 0 && bits[size - 1] == 0) --size;
    put_u8(number);
    put_u8(size);
    rdata_.append(as_text(Bytes(bits.data(), size)));
  }
  return true;
}

bool RdataReader::read_rest(char field) {
  if (field == 'Y') return read_type_bitmap();
  if (field == 'X') return read_nxt_bitmap();
  if (field != 'S') return read_joined(field);
  for (; next_ < tokens_.size(); ++next_) {
    if (!read_field('S', tokens_[next_])) return false;
  }
  return true;
}

bool RdataReader::read_fields(std::string_view fields) {
  for (std::size_t i = 0; i < fields.size() && fields[i] != ','; ++i) {
    const char field = fields[i];
    if (next_ >= tokens_.size()) {
      const bool optional = field == 'Y' || (i + 1 < fields.size() && fields[i + 1] == ',');
      return optional ||
             fail_at_end(fmt::format("the record ends where {} is expected", describe(field)));
    }
    if (field == 'S' || field == 'h' || field == 'b' || field == 'X' || field == 'Y') {
      if (!read_rest(field)) return false;
    } else if (!read_field(field, tokens_[next_++])) {
      return false;
    }
  }
  return read_no_more();
}

bool RdataReader::read_no_more() {
  if (next_ == tokens_.size()) return true;
  return fail_at(tokens_[next_],
                 fmt::format("'{}' is more than the record takes", tokens_[next_].text));
}

// RFC 3597 section 5: \# LENGTH HEX.
bool RdataReader::read_unknown(RrType type) {
  std::uint64_t size = 0;
  if (tokens_.size() < 2) return fail_at_end("\\# is followed by a length and hexadecimal text");
  if (!parse_number(tokens_[1].text, kRdataBytesMax, &size, &why_)) {
    return fail_at(tokens_[1], why_);
  }
  next_ = 2;
  if (next_ < tokens_.size() && !read_joined('h')) return false;
  if (rdata_.size() != size) {
    return fail_at(tokens_[1],
                   fmt::format("the length is {}, but {} bytes follow", size, rdata_.size()));
  }
  if (type == RrType::kSvcb || type == RrType::kHttps) {
    return svcb_well_formed(rdata(), &why_) || fail_at(tokens_.front(), why_);
  }
  return rdata_well_formed(type, rdata()) ||
         fail_at(tokens_.front(), fmt::format("these bytes are no {}", type_text(type)));
}

bool RdataReader::read_by_type(RrType type) {
  if (!tokens_.empty() && tokens_[0].text == "\\#" && !tokens_[0].quoted) return read_unknown(type);
  if (type == RrType::kSvcb || type == RrType::kHttps) return read_svcb();
  if (const std::string_view fields = rdata_fields(type); !fields.empty()) {
    return read_fields(fields);
  }
  if (type == kLoc) return read_loc();
  if (type == kAmtrelay) return read_amtrelay();
  if (type == kA6) return read_a6();
  if (type == kAtma) return read_atma();
  return read_with_ldns(type);
}

bool RdataReader::read(RrType type, std::span<const ZoneToken> tokens, NameView origin,
                       TextPosition after) {
  tokens_ = tokens;
  next_ = 0;
  origin_ = origin;
  after_ = after;
  rdata_.clear();
  if (!read_by_type(type)) return false;
  if (rdata_.size() > kRdataBytesMax) return fail_at_end("more than 65535 bytes of data");
  return rdata_values_good(type, rdata(), &why_) ||
         fail_at_end(fmt::format("{}: {}", type_text(type), why_));
}

}  // namespace postern::dns
