// Types whose text is no row of fields and that ldns reads loosely or not at all: LOC, AMTRELAY,
// NSAP, and the historic NXT, A6 and ATMA.
#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "dns/zone_rdata.h"

namespace postern::dns {
namespace {

constexpr std::uint32_t kLocEquator = 1U << 31;        // RFC 1876 section 2
constexpr std::uint64_t kLocDegree = 3'600'000;        // in thousandths of a second of arc
constexpr std::int64_t kLocAltitudeBase = 10'000'000;  // centimetres below the spheroid
constexpr std::uint64_t kLocCentimetresMax = 9'000'000'000;
constexpr std::uint16_t kNxtTypeMax = 127;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "12.345" with up to `decimals` of them, as a whole number of units of that size.
bool parse_decimal(std::string_view text, int decimals, std::uint64_t max, std::uint64_t* out) {
  std::uint64_t value = 0;
  int left = -1;  // decimals still missing; -1 before the point
  bool digits = false;
  for (const char c : text) {
    if (c == '.' && left < 0) {
      left = decimals;
    } else if (is_digit(c) && left != 0 && value <= max) {
      value = value * 10 + static_cast<std::uint64_t>(c - '0');
      digits = true;
      if (left > 0) --left;
    } else {
      return false;
    }
  }
  for (int i = left < 0 ? decimals : left; i > 0; --i) value *= 10;
  *out = value;
  return digits && value <= max;
}

// "10m" or "10": centimetres as a digit and a power of ten (RFC 1876 section 2).
bool parse_loc_size(std::string_view text, std::uint8_t* out) {
  if (text.ends_with('m')) text.remove_suffix(1);
  std::uint64_t value = 0;
  if (!parse_decimal(text, 2, kLocCentimetresMax, &value)) return false;
  std::uint8_t power = 0;
  for (; value > 9; value /= 10) ++power;
  *out = static_cast<std::uint8_t>(value << 4 | power);
  return true;
}

bool parse_loc_altitude(std::string_view text, std::uint32_t* out) {
  if (text.ends_with('m')) text.remove_suffix(1);
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::uint64_t value = 0;
  if (!parse_decimal(text, 2, 0xffffffff, &value)) return false;
  const auto centimetres = static_cast<std::int64_t>(value);
  const std::int64_t above = kLocAltitudeBase + (negative ? -centimetres : centimetres);
  if (above < 0 || above > 0xffffffffLL) return false;
  *out = static_cast<std::uint32_t>(above);
  return true;
}

}  // namespace

// DEGREES [MINUTES [SECONDS]] and one of the two letters.
bool RdataReader::read_loc_angle(std::uint64_t degrees_max, std::string_view letters) {
  std::uint64_t total = 0;
  std::uint64_t unit = kLocDegree;
  for (int part = 0; next_ < tokens_.size() && part < 3; ++part, unit /= 60) {
    const ZoneToken& token = tokens_[next_];
    if (token.text.empty() || !is_digit(token.text[0])) break;
    std::uint64_t value = 0;
    const bool good = part < 2
                          ? parse_number(token.text, part == 0 ? degrees_max : 59, &value, &why_)
                          : parse_decimal(token.text, 3, 59'999, &value);
    if (!good) return fail_at(token, fmt::format("'{}' is out of range", token.text));
    total += part < 2 ? value * unit : value;
    ++next_;
  }
  if (next_ >= tokens_.size())
    return fail_at_end(fmt::format("{} or {} is missing", letters[0], letters[1]));
  const ZoneToken& token = tokens_[next_++];
  const char letter = token.text.size() == 1 ? static_cast<char>(token.text[0] & ~0x20) : '?';
  if (unit == kLocDegree || letters.find(letter) == std::string_view::npos) {
    return fail_at(token, fmt::format("'{}' where degrees and {} or {} are expected", token.text,
                                      letters[0], letters[1]));
  }
  if (total > degrees_max * kLocDegree) {
    return fail_at(token, fmt::format("more than {} degrees", degrees_max));
  }
  const auto offset = static_cast<std::uint32_t>(total);
  put_u32(letter == letters[0] ? kLocEquator + offset : kLocEquator - offset);
  return true;
}

// RFC 1876 section 3.
bool RdataReader::read_loc() {
  std::array<std::uint8_t, 3> sizes{0x12, 0x16, 0x13};  // 1 m, 10 km, 10 m
  rdata_.append(4, '\0');
  if (!read_loc_angle(90, "NS") || !read_loc_angle(180, "EW")) return false;
  std::uint32_t altitude = 0;
  if (next_ >= tokens_.size()) return fail_at_end("the record ends where an altitude is expected");
  if (!parse_loc_altitude(tokens_[next_].text, &altitude)) {
    return fail_at(tokens_[next_], fmt::format("'{}' is not an altitude", tokens_[next_].text));
  }
  put_u32(altitude);
  ++next_;
  for (std::size_t i = 0; i < sizes.size() && next_ < tokens_.size(); ++i, ++next_) {
    if (parse_loc_size(tokens_[next_].text, &sizes[i])) continue;
    return fail_at(tokens_[next_], fmt::format("'{}' is not a size", tokens_[next_].text));
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) rdata_[i + 1] = static_cast<char>(sizes[i]);
  return read_no_more();
}

// RFC 8777 section 4.3.1: precedence, discovery, type of the relay, relay.
bool RdataReader::read_amtrelay() {
  std::uint64_t discovery = 0;
  std::uint64_t kind = 0;
  if (tokens_.size() < 4)
    return fail_at_end("precedence, 0 or 1, relay type and relay are expected");
  if (!read_number(tokens_[0], 1)) return false;
  if (!parse_number(tokens_[1].text, 1, &discovery, &why_)) return fail_at(tokens_[1], why_);
  if (!parse_number(tokens_[2].text, 3, &kind, &why_)) return fail_at(tokens_[2], why_);
  put_u8(discovery << 7 | kind);
  next_ = 4;
  constexpr std::array<char, 4> kRelay{'-', 'a', '6', 'n'};
  if (kind != 0 && !read_field(kRelay[kind], tokens_[3])) return false;
  if (kind == 0 && tokens_[3].text != ".") {
    return fail_at(tokens_[3], "the relay is '.' for relay type 0");
  }
  return read_no_more();
}

// RFC 1706 section 7: 0x and hexadecimal digits, dots anywhere.
bool RdataReader::read_nsap(const ZoneToken& token) {
  std::string digits(token.text);
  digits.erase(std::remove(digits.begin(), digits.end(), '.'), digits.end());
  if (digits.size() < 4 || digits[0] != '0' || (digits[1] & ~0x20) != 'X') {
    return fail_at(token, fmt::format("'{}' is not 0x and hexadecimal digits", token.text));
  }
  return decode_hex(std::string_view(digits).substr(2), &rdata_, &why_) || fail_at(token, why_);
}

// RFC 2535 section 5.2: one bitmap for the types up to 127.
bool RdataReader::read_nxt_bitmap() {
  std::array<std::uint8_t, 16> bits{};
  std::size_t size = 0;
  for (; next_ < tokens_.size(); ++next_) {
    const ZoneToken& token = tokens_[next_];
    std::uint64_t number = 0;
    if (const auto type = parse_type(token.text); type) {
      number = static_cast<std::uint16_t>(*type);
    } else if (!parse_number(token.text, kNxtTypeMax, &number, &why_)) {
      return fail_at(token, why_);
    }
    if (number == 0 || number > kNxtTypeMax) return fail_at(token, "NXT has types from 1 to 127");
    bits[number / 8] |= static_cast<std::uint8_t>(0x80 >> (number % 8));
    size = std::max<std::size_t>(size, number / 8 + 1);
  }
  rdata_.append(as_text(Bytes(bits.data(), size)));
  return true;
}

// RFC 2874 section 3.1: prefix length, the rest of the address, the name that has the prefix.
bool RdataReader::read_a6() {
  std::uint64_t prefix = 0;
  std::array<std::uint8_t, 16> address{};
  if (tokens_.empty()) return fail_at_end("the record ends where a prefix length is expected");
  if (!parse_number(tokens_[next_].text, 128, &prefix, &why_)) return fail_at(tokens_[next_], why_);
  put_u8(prefix);
  ++next_;
  if (prefix < 128) {
    if (next_ >= tokens_.size()) return fail_at_end("the record ends where an address is expected");
    if (!parse_ipv6(tokens_[next_].text, address.data())) {
      return fail_at(tokens_[next_],
                     fmt::format("'{}' is not an IPv6 address", tokens_[next_].text));
    }
    const std::size_t skipped = prefix / 8;
    address[skipped] = static_cast<std::uint8_t>(address[skipped] & (0xff >> (prefix % 8)));
    rdata_.append(as_text(Bytes(address).subspan(skipped)));
    ++next_;
  }
  if (prefix > 0) {
    if (next_ >= tokens_.size()) return fail_at_end("the record ends where a name is expected");
    if (!read_field('n', tokens_[next_++])) return false;
  }
  return read_no_more();
}

// ATM Name System 2.0: "+" and a telephone number, else hexadecimal, dots anywhere.
bool RdataReader::read_atma() {
  if (tokens_.empty()) return fail_at_end("the record ends where an address is expected");
  const ZoneToken& token = tokens_[next_++];
  std::string text(token.text);
  text.erase(std::remove(text.begin(), text.end(), '.'), text.end());
  const bool number = text.starts_with('+');
  put_u8(number ? 1 : 0);
  if (!number) {
    if (text.empty() || !decode_hex(text, &rdata_, &why_)) {
      return fail_at(token, fmt::format("'{}' is not an ATM address", token.text));
    }
    return read_no_more();
  }
  if (text.size() < 2 || !std::all_of(text.begin() + 1, text.end(), is_digit)) {
    return fail_at(token, fmt::format("'{}' is not a number", token.text));
  }
  rdata_.append(text, 1, std::string::npos);
  return read_no_more();
}

}  // namespace postern::dns
