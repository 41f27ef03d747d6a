#include "http/authority.h"

#include <array>

#include "base/address.h"
#include "http/h1_text.h"

namespace postern::http {
namespace {

constexpr std::size_t kPortDigitsMax = 5;

// reg-name and IPv4address, without "%" (RFC 3986 section 3.2.2).
constexpr auto kHostBytes = [] {
  std::array<bool, 256> table{};
  for (int c = 0; c < 128; ++c) {
    const char byte = static_cast<char>(c);
    table[static_cast<std::size_t>(c)] = h1::is_digit(byte) || h1::is_alpha(byte);
  }
  for (const char c : std::string_view("-._~!$&'()*+,;="))
    table[static_cast<unsigned char>(c)] = true;
  return table;
}();

bool is_percent_encoding(std::string_view text) {
  return text.size() >= 3 && h1::hex_digit(text[1]) >= 0 && h1::hex_digit(text[2]) >= 0;
}

// How many bytes of a name `text` begins with.
std::size_t name_size(std::string_view text) {
  std::size_t at = h1::skip_common(text, 0, h1::scan::rare_in_hosts);
  while (at < text.size()) {
    if (kHostBytes[static_cast<unsigned char>(text[at])]) {
      ++at;
    } else if (text[at] == '%' && is_percent_encoding(text.substr(at))) {
      at += 3;
    } else {
      break;
    }
  }
  return at;
}

// The same for "[" IPv6address "]"; 0 when it is none. IPvFuture has never been used.
std::size_t bracketed_size(std::string_view text) {
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos) return 0;
  const std::string_view inner = text.substr(1, close - 1);
  if (inner.find(':') == std::string_view::npos || !IpAddress::parse(inner)) return 0;
  return close + 1;
}

// What stands behind the host. False when it is neither nothing nor a port.
bool parse_port(std::string_view text, std::optional<std::uint16_t>* port) {
  if (text.empty()) return true;
  if (text.front() != ':' || text.size() > 1 + kPortDigitsMax) return false;
  unsigned value = 0;
  for (const char c : text.substr(1)) {
    if (!h1::is_digit(c)) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (value > UINT16_MAX) return false;
  if (text.size() > 1) *port = static_cast<std::uint16_t>(value);
  return true;
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const std::size_t size = text.front() == '[' ? bracketed_size(text) : name_size(text);
  Authority authority;
  if (size == 0 || !parse_port(text.substr(size), &authority.port)) return std::nullopt;
  authority.host = text.substr(0, size);
  authority.text = authority.port ? text : authority.host;
  return authority;
}

}  // namespace postern::http
