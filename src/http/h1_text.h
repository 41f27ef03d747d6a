// Classes of short texts in HTTP/1.1 (RFC 9110 section 5.6).
#pragma once

#include <cstddef>
#include <string_view>

#include "http/h1_scan.h"

namespace postern::http::h1 {

/// -1 when `c` is not one.
inline constexpr int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  const char low = static_cast<char>(c | 0x20);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/// 1*tchar (RFC 9110 section 5.6.2)
inline bool is_token(std::string_view text) {
  if (text.size() >= 8 && !scan::has_rare(text)) return true;
  return !text.empty() && skip_token(text, 0) == text.size();
}

/// What a field value may have in it (RFC 9110 section 5.5).
inline bool is_value(std::string_view text) {
  if (text.size() >= 8 && !scan::has_control(text)) return true;
  return skip_value(text, 0) == text.size();
}

/// is_token(), and copies the text, whatever it is. REQUIRES: they do not overlap
inline bool copy_token(std::string_view text, char* to) {
  if (text.size() < 8) {
    scan::copy_short(text, to);
  } else if (!scan::copy_any(text, to, scan::rare_in_names)) {
    return true;
  }
  return !text.empty() && skip_token(text, 0) == text.size();
}

/// The same for is_value().
inline bool copy_value(std::string_view text, char* to) {
  if (text.size() < 8) {
    scan::copy_short(text, to);
  } else if (!scan::copy_any(text, to, scan::controls)) {
    return true;
  }
  return skip_value(text, 0) == text.size();
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
