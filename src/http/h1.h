// What the readers of the HTTP/1.1 codec have in common (RFC 9112). The codec is pure: bytes in, a
// value out. Whatever two readers of one message could understand differently is a fault, never
// guessed at (RFC 9112 section 11.2); after a fault nothing more can be read from that connection:
// answer with `Fault::status`, then close.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace postern::http::h1 {

enum class Progress : std::uint8_t {
  kMore,   ///< all is well so far; call again when there are more bytes
  kDone,   ///< complete
  kFault,  ///< see fault(); the connection has to be closed
};

/// Faults that are counted apart.
inline constexpr std::string_view kTooManyFields = "too many fields";
inline constexpr std::string_view kHeadTooLong = "head too long";

struct Fault {
  std::uint16_t status = 0;  ///< what to answer a client with; 502 for what a backend sent
  std::string_view reason;   ///< a few words for the log; lasts as long as the program
};

struct HeadLimits {
  std::size_t header_bytes_max = 65536;  ///< the whole head, with its first and last line → 431
  std::size_t request_line_bytes_max = 8192;  ///< without CRLF (RFC 9112 section 3) → 414
  std::size_t fields_max = 100;               ///< field lines → 431
};

}  // namespace postern::http::h1
