// Where a run of bytes of one class ends: what most of the time of reading heads goes into (RFC
// 9110 sections 5.5 and 5.6.2). Sixteen bytes at a time with SSE2, which every x86-64 has,
// elsewhere eight.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace postern::http::h1 {

inline constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline constexpr bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
inline constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

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

inline bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
inline bool is_above_ascii(char c) { return static_cast<unsigned char>(c) >= 0x80; }

namespace scan {

#ifdef __SSE2__

/// Marks have a bit for each byte of a block.
using Block = __m128i;
using Marks = std::uint32_t;
inline constexpr std::size_t kBlockBytes = 16;

inline Block load(const char* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline Marks marks_of(Block bytes) { return static_cast<Marks>(_mm_movemask_epi8(bytes)); }
inline std::size_t first_of(Marks marks) {
  return static_cast<std::size_t>(std::countr_zero(marks));
}

inline Marks controls(Block bytes) {
  const Block unit_separator = _mm_set1_epi8(0x1f);  // the highest below SP
  const Block low = _mm_cmpeq_epi8(_mm_max_epu8(bytes, unit_separator), unit_separator);
  return marks_of(_mm_or_si128(low, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f))));
}

inline Marks above_ascii(Block bytes) { return marks_of(bytes); }

/// What is no letter, digit or "-": rare in names of fields.
inline Marks rare_in_names(Block bytes) {
  const auto above = [](Block b, char low) { return _mm_cmpgt_epi8(b, _mm_set1_epi8(low)); };
  const auto below = [](Block b, char high) { return _mm_cmplt_epi8(b, _mm_set1_epi8(high)); };
  const Block low = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
  const Block letters = _mm_and_si128(above(low, 'a' - 1), below(low, 'z' + 1));
  const Block digits = _mm_and_si128(above(bytes, '0' - 1), below(bytes, '9' + 1));
  const Block dashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
  return marks_of(_mm_or_si128(_mm_or_si128(letters, digits), dashes)) ^ 0xFFFFU;
}

/// The same and no ".": rare in names of hosts.
inline Marks rare_in_hosts(Block bytes) {
  return rare_in_names(bytes) & ~marks_of(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('.')));
}

#else

/// Marks are the high bits of the bytes of a block; above the lowest one that is set they may be
/// wrong.
using Block = std::uint64_t;
using Marks = std::uint64_t;
inline constexpr std::size_t kBlockBytes = 8;
inline constexpr Block kOnes = 0x0101010101010101;
inline constexpr Block kHighs = 0x8080808080808080;

inline Block load(const char* p) {
  Block word = 0;
  std::memcpy(&word, p, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}
inline std::size_t first_of(Marks marks) {
  return static_cast<std::size_t>(std::countr_zero(marks)) / 8;
}

inline Marks controls(Block word) {
  const Block del = word ^ (kOnes * 0x7f);
  return (((word - kOnes * 0x20) & ~word) | ((del - kOnes) & ~del)) & kHighs;
}

inline Marks above_ascii(Block word) { return word & kHighs; }
inline Marks rare_in_names(Block) { return kHighs; }  // then each byte is looked at
inline Marks rare_in_hosts(Block) { return kHighs; }

#endif

/// Is any byte marked? REQUIRES: at least 8 bytes
template <class MarksOf>
bool is_any(std::string_view text, MarksOf marks) {
  const char* const last = text.data() + text.size();
#ifdef __SSE2__
  if (text.size() < kBlockBytes) {
    const auto half = [](const char* p) {
      return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    };
    return marks(_mm_unpacklo_epi64(half(text.data()), half(last - 8))) != 0;
  }
#endif
  const char* at = text.data();
  for (; last - at > static_cast<std::ptrdiff_t>(kBlockBytes); at += kBlockBytes) {
    if (marks(load(at)) != 0) return true;
  }
  return marks(load(last - kBlockBytes)) != 0;
}
inline bool has_rare(std::string_view text) {
  return is_any(text, [](Block block) { return rare_in_names(block); });
}
inline bool has_control(std::string_view text) {
  return is_any(text, [](Block block) { return controls(block); });
}

/// is_any(), and copies the text. REQUIRES: at least 8 bytes; they do not overlap
template <class MarksOf>
bool copy_any(std::string_view text, char* to, MarksOf marks) {
  const auto move = [marks](const char* from, char* out) {
    std::memcpy(out, from, kBlockBytes);
    return marks(load(from));
  };
  const char* const last = text.data() + text.size();
#ifdef __SSE2__
  if (text.size() < kBlockBytes) {
    std::memcpy(to, text.data(), 8);
    std::memcpy(to + text.size() - 8, last - 8, 8);
    return is_any(text, marks);
  }
#endif
  const char* at = text.data();
  Marks found = 0;
  for (; last - at > static_cast<std::ptrdiff_t>(kBlockBytes);
       at += kBlockBytes, to += kBlockBytes) {
    found |= move(at, to);
  }
  found |= move(last - kBlockBytes, to + (last - at) - kBlockBytes);
  return found != 0;
}

/// memcpy() of fewer than 8 bytes, without a call.
inline void copy_short(std::string_view text, char* to) {
  const std::size_t size = text.size();
  if (size >= 4) {
    std::memcpy(to, text.data(), 4);
    std::memcpy(to + size - 4, text.data() + size - 4, 4);
  } else {
    for (std::size_t i = 0; i < size; ++i) to[i] = text[i];
  }
}

/// Offset of the first byte at or behind `at` that `marks` marks; `is_mark` says the same of one
/// byte.
template <class MarksOf, class IsMark>
std::size_t find(std::string_view text, std::size_t at, MarksOf marks, IsMark is_mark) {
  while (text.size() - at >= kBlockBytes) {
    const Marks found = marks(load(text.data() + at));
    if (found != 0) return at + first_of(found);
    at += kBlockBytes;
  }
  while (at < text.size() && !is_mark(text[at])) ++at;
  return at;
}

}  // namespace scan

/// Offset of the first byte at or behind `at` that `rare` marks, or of one of the last few, which
/// are not looked at.
template <class Rare>
std::size_t skip_common(std::string_view text, std::size_t at, Rare rare) {
  while (text.size() - at >= scan::kBlockBytes) {
    const scan::Marks found = rare(scan::load(text.data() + at));
    if (found != 0) return at + scan::first_of(found);
    at += scan::kBlockBytes;
  }
  return at;
}

/// Offset of the first byte at or behind `at` that no token has; text.size() when there is none.
/// REQUIRES: at <= text.size()
inline std::size_t skip_token(std::string_view text, std::size_t at) {
  at = skip_common(text, at, scan::rare_in_names);
  while (at < text.size() && is_token_byte(text[at])) ++at;
  return at;
}

/// The same for what no field value has: a control other than HTAB (RFC 9110 section 5.5).
inline std::size_t skip_value(std::string_view text, std::size_t at) {
  while (true) {
    at = scan::find(text, at, scan::controls, is_control);
    if (at == text.size() || text[at] != '\t') return at;
    ++at;
  }
}

/// The same for what is neither SP nor visible ASCII: what ends a request line, or spoils it.
inline std::size_t skip_ascii(std::string_view text, std::size_t at) {
  return scan::find(
      text, at, [](scan::Block block) { return scan::controls(block) | scan::above_ascii(block); },
      [](char c) { return is_control(c) || is_above_ascii(c); });
}

}  // namespace postern::http::h1
