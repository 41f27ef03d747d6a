#include "dns/zone_generate.h"

#include <array>
#include <charconv>
#include <limits>
#include <tuple>

#include <fmt/format.h>

namespace postern::dns {
namespace {

constexpr std::int64_t kNumberMax = std::numeric_limits<std::int32_t>::max();
constexpr int kWidthMax = 255;  // more does not fit into a name or a string

struct Modifier {
  std::int64_t offset = 0;
  int width = 0;
  char base = 'd';
};

template <class Number>
bool whole_number(std::string_view text, Number* out) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *out);
  return error == std::errc{} && stop == end;
}

// OFFSET[,WIDTH[,BASE]]
bool parse_modifier(std::string_view text, Modifier* out) {
  std::array<std::string_view, 3> parts;
  std::size_t count = 0;
  for (std::string_view rest = text; count < parts.size();) {
    const std::size_t comma = rest.find(',');
    parts[count++] = rest.substr(0, comma);
    if (comma == std::string_view::npos) break;
    if (count == parts.size()) return false;
    rest.remove_prefix(comma + 1);
  }
  if (!whole_number(parts[0], &out->offset) || out->offset > kNumberMax ||
      out->offset < -kNumberMax) {
    return false;
  }
  if (count > 1 &&
      (!whole_number(parts[1], &out->width) || out->width < 0 || out->width > kWidthMax)) {
    return false;
  }
  if (count < 3) return true;
  out->base = parts[2].size() == 1 ? parts[2][0] : '?';
  return std::string_view("doxXnN").find(out->base) != std::string_view::npos;
}

std::string nibbles(std::uint32_t value, int width, bool upper) {
  const std::string_view digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string text;
  for (bool more = true; more;) {
    text += digits[value & 15];
    value >>= 4;
    more = value != 0 || static_cast<int>(text.size()) < width;
    if (more) text += '.';
    if (value == 0 && static_cast<int>(text.size()) >= width) more = false;
  }
  return text;
}

bool append_number(std::uint32_t number, const Modifier& modifier, std::string* out,
                   std::string* why) {
  const std::int64_t value = number + modifier.offset;
  if (value > kNumberMax) {
    *why = fmt::format("{} plus {} is above {}", number, modifier.offset, kNumberMax);
    return false;
  }
  const auto bits = static_cast<std::uint32_t>(value);
  switch (modifier.base) {
    case 'd':
      *out += fmt::format("{:0{}}", value, modifier.width);
      return true;
    case 'o':
      *out += fmt::format("{:0{}o}", bits, modifier.width);
      return true;
    case 'x':
      *out += fmt::format("{:0{}x}", bits, modifier.width);
      return true;
    case 'X':
      *out += fmt::format("{:0{}X}", bits, modifier.width);
      return true;
    default:
      *out += nibbles(bits, modifier.width, modifier.base == 'N');
      return true;
  }
}

}  // namespace

bool parse_generate_range(std::string_view text, GenerateRange* out, std::string* why) {
  const std::size_t dash = text.find('-');
  const std::size_t slash = text.find('/');
  const std::string_view start = text.substr(0, dash);
  const std::string_view stop = dash == std::string_view::npos
                                    ? ""
                                    : text.substr(dash + 1, slash - std::min(slash, dash + 1));
  const bool good =
      whole_number(start, &out->start) && whole_number(stop, &out->stop) &&
      (slash == std::string_view::npos || whole_number(text.substr(slash + 1), &out->step)) &&
      out->start <= out->stop && out->stop <= kNumberMax && out->step > 0 &&
      out->step <= kNumberMax;
  if (!good) {
    *why = fmt::format(
        "'{}' is not a range; START-STOP or START-STOP/STEP, START not above STOP, "
        "STEP from 1",
        text);
  }
  return good;
}

bool substitute(std::string_view text, std::uint32_t number, std::string* out, std::string* why) {
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at++];
    if (c == '\\' && at < text.size()) {
      if (text[at] != '$') *out += c;
      *out += text[at++];
    } else if (c != '$') {
      *out += c;
    } else if (at < text.size() && text[at] == '$') {
      *out += text[at++];
    } else {
      Modifier modifier;
      if (at < text.size() && text[at] == '{') {
        const std::size_t close = text.find('}', at);
        if (close == std::string_view::npos ||
            !parse_modifier(text.substr(at + 1, close - at - 1), &modifier)) {
          *why = fmt::format("'{}': ${{OFFSET,WIDTH,BASE}} with base d o x X n or N", text);
          return false;
        }
        at = close + 1;
      }
      if (!append_number(number, modifier, out, why)) return false;
    }
  }
  return true;
}

}  // namespace postern::dns
