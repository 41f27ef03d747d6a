// Classes of bytes in HTTP/1.1 and scans over them (RFC 9110 sections 5.5 and 5.6.2). The long
// scans take eight bytes at a time.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace postern::http::h1 {

inline constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline constexpr bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
inline constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// -1 when `c` is not one.
inline constexpr int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  const char low = static_cast<char>(c | 0x20);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

inline constexpr auto kTokenBytes = [] {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("!#$%&'*+-.^_`|~"))
    table[static_cast<unsigned char>(c)] = true;
  for (int c = 0; c < 128; ++c) {
    if (is_digit(static_cast<char>(c)) || is_alpha(static_cast<char>(c))) {
      table[static_cast<std::size_t>(c)] = true;
    }
  }
  return table;
}();

inline bool is_token_byte(char c) { return kTokenBytes[static_cast<unsigned char>(c)]; }

/// Offset of the first byte at or behind `at` that no token has; text.size() when there is none.
inline std::size_t skip_token(std::string_view text, std::size_t at) {
  while (at < text.size() && is_token_byte(text[at])) ++at;
  return at;
}

/// 1*tchar (RFC 9110 section 5.6.2)
inline bool is_token(std::string_view text) {
  return !text.empty() && skip_token(text, 0) == text.size();
}

inline bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

namespace detail {

inline constexpr std::uint64_t kOnes = 0x0101010101010101;
inline constexpr std::uint64_t kHighs = 0x8080808080808080;

inline std::uint64_t load_word(const char* p) {
  std::uint64_t word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}

/// The high bit of every control byte; bits above the lowest one that is set may be wrong.
inline std::uint64_t controls(std::uint64_t word) {
  const std::uint64_t del = word ^ (kOnes * 0x7f);
  return (((word - kOnes * 0x20) & ~word) | ((del - kOnes) & ~del)) & kHighs;
}

/// Offset of the first byte for which `marks` is set; `is_mark` says the same of one byte.
template <class Marks, class IsMark>
std::size_t scan(std::string_view text, std::size_t at, Marks marks, IsMark is_mark) {
  if constexpr (std::endian::native == std::endian::little) {
    while (text.size() - at >= sizeof(std::uint64_t)) {
      const std::uint64_t found = marks(load_word(text.data() + at));
      if (found != 0) return at + static_cast<std::size_t>(std::countr_zero(found)) / 8;
      at += sizeof(std::uint64_t);
    }
  }
  while (at < text.size() && !is_mark(text[at])) ++at;
  return at;
}

}  // namespace detail

/// Offset of the first byte at or behind `at` that no field value has: a control other than HTAB
/// (RFC 9110 section 5.5). REQUIRES: at <= text.size()
inline std::size_t skip_value(std::string_view text, std::size_t at) {
  while (true) {
    at = detail::scan(text, at, detail::controls, is_control);
    if (at == text.size() || text[at] != '\t') return at;
    ++at;
  }
}

/// Offset of the first byte at or behind `at` that is neither SP nor visible ASCII: what ends a
/// request line, or spoils it. REQUIRES: at <= text.size()
inline std::size_t skip_ascii(std::string_view text, std::size_t at) {
  return detail::scan(
      text, at, [](std::uint64_t word) { return detail::controls(word) | (word & detail::kHighs); },
      [](char c) { return is_control(c) || static_cast<unsigned char>(c) >= 0x80; });
}

/// Visible ASCII only, and some of it: what may stand between the spaces of a request line.
inline bool is_visible(std::string_view text) {
  return !text.empty() && skip_ascii(text, 0) == text.size() &&
         text.find(' ') == std::string_view::npos;
}

/// Without SP and HTAB around it (RFC 9110 section 5.6.3).
inline std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Is `name` the given name, whatever its case? REQUIRES: `name` is a token, `lower` made of lower
/// case letters and "-": no other token byte becomes one of these when bit 5 is set.
inline bool is_named(std::string_view name, std::string_view lower) {
  if (name.size() != lower.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if ((name[i] | 0x20) != lower[i]) return false;
  }
  return true;
}

}  // namespace postern::http::h1
