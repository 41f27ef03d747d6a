#include "dns/zone_text.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace postern::dns {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_letter(std::uint8_t c) { return lower_byte(c) >= 'a' && lower_byte(c) <= 'z'; }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (is_digit(c)) return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

int base32hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'v') return c - 'a' + 10;
  if (c >= 'A' && c <= 'V') return c - 'A' + 10;
  return -1;
}

std::uint64_t unit_seconds(char unit) {
  switch (unit) {
    case 'w':
    case 'W':
      return 604800;
    case 'd':
    case 'D':
      return 86400;
    case 'h':
    case 'H':
      return 3600;
    case 'm':
    case 'M':
      return 60;
    case 's':
    case 'S':
      return 1;
    default:
      return 0;
  }
}

// One character of text[*at], escapes resolved (RFC 1035 section 5.1); -1 when the escape is bad.
int next_character(std::string_view text, std::size_t* at) {
  const auto c = static_cast<unsigned char>(text[(*at)++]);
  if (c != '\\') return c;
  if (*at >= text.size()) return -1;
  if (!is_digit(text[*at])) return static_cast<unsigned char>(text[(*at)++]);
  if (*at + 3 > text.size() || !is_digit(text[*at + 1]) || !is_digit(text[*at + 2])) return -1;
  const int value = (text[*at] - '0') * 100 + (text[*at + 1] - '0') * 10 + (text[*at + 2] - '0');
  *at += 3;
  return value > 255 ? -1 : value;
}

bool fault(std::string* why, std::string text) {
  *why = std::move(text);
  return false;
}

bool is_host_label(Bytes label) {
  const auto is_alnum = [](std::uint8_t c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  if (!is_alnum(label.front()) || !is_alnum(label.back())) return false;
  return std::all_of(label.begin(), label.end(),
                     [&](std::uint8_t c) { return is_alnum(c) || c == '-'; });
}

}  // namespace

bool parse_number(std::string_view text, std::uint64_t max, std::uint64_t* out, std::string* why) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::result_out_of_range || (error == std::errc{} && value > max)) {
    return fault(why, fmt::format("'{}' is above {}", text, max));
  }
  if (error != std::errc{} || stop != end)
    return fault(why, fmt::format("'{}' is not a number", text));
  *out = value;
  return true;
}

bool parse_ttl(std::string_view text, std::uint32_t* out, std::string* why) {
  std::uint64_t total = 0;
  std::uint64_t number = 0;
  bool digits = false;
  for (const char c : text) {
    if (is_digit(c)) {
      number = number * 10 + static_cast<std::uint64_t>(c - '0');
      digits = true;
    } else if (unit_seconds(c) != 0 && digits) {
      total += number * unit_seconds(c);
      number = 0;
      digits = false;
    } else {
      return fault(why, fmt::format("'{}' is not a time (\"3600\" or \"1h30m\")", text));
    }
    if (number > kTtlMax || total > kTtlMax) {
      return fault(why,
                   fmt::format("'{}' is above {} seconds (RFC 2181 section 8)", text, kTtlMax));
    }
  }
  if (text.empty()) return fault(why, "a time is missing");
  total += number;
  if (total > kTtlMax) {
    return fault(why, fmt::format("'{}' is above {} seconds (RFC 2181 section 8)", text, kTtlMax));
  }
  *out = static_cast<std::uint32_t>(total);
  return true;
}

bool decode_text(std::string_view text, std::string* out, std::string* why) {
  for (std::size_t at = 0; at < text.size();) {
    const int c = next_character(text, &at);
    if (c < 0)
      return fault(why, fmt::format("'{}' has a bad escape; \\X or \\DDD up to 255", text));
    out->push_back(static_cast<char>(static_cast<unsigned char>(c)));
  }
  return true;
}

bool decode_hex(std::string_view text, std::string* out, std::string* why) {
  if (text.size() % 2 != 0) return fault(why, "an odd number of hexadecimal digits");
  for (std::size_t at = 0; at < text.size(); at += 2) {
    const int high = hex_value(text[at]);
    const int low = hex_value(text[at + 1]);
    if (high < 0 || low < 0) return fault(why, fmt::format("'{}' is not hexadecimal", text));
    out->push_back(static_cast<char>(high * 16 + low));
  }
  return true;
}

bool decode_base64(std::string_view text, std::string* out, std::string* why) {
  const std::size_t padding =
      text.size() - std::min(text.size(), text.find_last_not_of('=') + 1);  // npos + 1 == 0
  const std::string_view digits = text.substr(0, text.size() - padding);
  if (text.size() % 4 != 0 || padding > 2) {
    return fault(why, "base64 text comes in groups of four characters");
  }
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : digits) {
    const int value = base64_value(c);
    if (value < 0) return fault(why, fmt::format("'{}' is not a base64 character", c));
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out->push_back(static_cast<char>(bits >> count & 0xff));
    }
  }
  return true;
}

bool decode_base32hex(std::string_view text, std::string* out, std::string* why) {
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = base32hex_value(c);
    if (value < 0) {
      return fault(why, fmt::format("'{}' is not base32hex (0-9 A-V, no padding)", text));
    }
    bits = bits << 5 | static_cast<std::uint32_t>(value);
    count += 5;
    if (count >= 8) {
      count -= 8;
      out->push_back(static_cast<char>(bits >> count & 0xff));
    }
  }
  if (count >= 5) return fault(why, fmt::format("'{}' is not whole base32hex", text));
  return true;
}

bool parse_ipv4(std::string_view text, std::uint8_t* four_bytes) {
  std::size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at >= text.size() || text[at++] != '.')) return false;
    const std::size_t start = at;
    unsigned value = 0;
    while (at < text.size() && is_digit(text[at]) && at - start < 3) {
      value = value * 10 + static_cast<unsigned>(text[at++] - '0');
    }
    if (at == start || value > 255 || (text[start] == '0' && at - start > 1)) return false;
    four_bytes[part] = static_cast<std::uint8_t>(value);
  }
  return at == text.size();
}

bool parse_ipv6(std::string_view text, std::uint8_t* sixteen_bytes) {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size()) return false;
  std::memcpy(copy.data(), text.data(), text.size());
  return inet_pton(AF_INET6, copy.data(), sixteen_bytes) == 1;
}

void WireName::assign(NameView name) {
  size = static_cast<std::uint8_t>(name.size());
  std::memcpy(bytes.data(), name.wire().data(), name.size());
}

bool parse_wire_name(std::string_view text, NameView origin, WireName* out, std::string* why) {
  if (text == "@" || text == ".") {
    out->assign(text == "@" ? origin : NameView());
    return true;
  }
  std::size_t size = 1;         // bytes used, the length byte of the open label included
  std::size_t label_start = 0;  // of the open label's length byte
  bool failed = text.empty();
  for (std::size_t at = 0; at < text.size() && !failed;) {
    if (text[at] == '.') {
      const std::size_t length = size - label_start - 1;
      failed = length == 0 || length > kLabelBytesMax || size >= kNameBytesMax;
      if (failed) break;
      out->bytes[label_start] = static_cast<std::uint8_t>(length);
      label_start = size++;
      ++at;
      continue;
    }
    const int c =
        text[at] == '\\' ? next_character(text, &at) : static_cast<unsigned char>(text[at++]);
    failed = c < 0 || size >= kNameBytesMax;
    if (!failed) out->bytes[size++] = static_cast<std::uint8_t>(c);
  }
  const std::size_t length = failed ? 0 : size - label_start - 1;
  const bool absolute = length == 0;
  const std::size_t total = size + (absolute ? 0 : origin.size());
  if (failed || length > kLabelBytesMax || total > kNameBytesMax) {
    const auto again = Name::parse(text, origin);
    return fault(why, again ? fmt::format("'{}' is not a name", text) : again.error().detail);
  }
  out->bytes[label_start] = static_cast<std::uint8_t>(length);
  if (!absolute) std::memcpy(out->bytes.data() + size, origin.wire().data(), origin.size());
  out->size = static_cast<std::uint8_t>(total);
  return true;
}

bool looks_like_address(NameView name) {
  std::string text;
  const Bytes wire = name.wire();
  std::size_t at = 0;
  for (int label = 0; label < 4 && wire[at] != 0; ++label, at += wire[at] + 1U) {
    if (label > 0) text += '.';
    text += as_text(wire.subspan(at + 1, wire[at]));
  }
  std::array<std::uint8_t, 16> address;
  if (parse_ipv4(text, address.data())) return true;
  const std::string first(as_text(name.is_root() ? Bytes() : name.first_label()));
  return first.find(':') != std::string::npos && parse_ipv6(first, address.data());
}

bool is_host_name(NameView name, bool wildcard_allowed) {
  if (wildcard_allowed && name.is_wildcard()) name = name.parent();
  for (; !name.is_root(); name = name.parent()) {
    if (!is_host_label(name.first_label())) return false;
  }
  return true;
}

}  // namespace postern::dns
