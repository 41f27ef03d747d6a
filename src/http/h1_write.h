// HTTP/1.1 messages written anew from their parsed form, never copied from what came in (RFC 9112
// sections 3, 4, 6 and 7). No byte can get onto the wire that would be read as another line. Writes
// into the caller's buffer, allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "http/head.h"

namespace postern::http::h1 {

enum class WriteStatus : std::uint8_t {
  kWritten,
  kNoRoom,   ///< the buffer is too small; nothing of it counts
  kRefused,  ///< the head must not be sent: CR, LF, NUL or another control in it, a name that is no
             ///< token, a field that this writer makes itself
};

struct Written {
  WriteStatus status = WriteStatus::kRefused;
  std::size_t bytes = 0;
};

/// A request to a backend: origin-form, or "*"; Host first, also when there is no authority.
/// Framing is made from `body`: kUnknown is chunked; a POST, PUT or PATCH without a body says so.
/// Connection and Upgrade ask for head.protocol; otherwise Connection names TE when that is among
/// the fields (RFC 9110 section 10.1.4). Refused: CONNECT, kToClose, and Host, Connection, Upgrade,
/// Content-Length or Transfer-Encoding among the fields.
Written write_request(const RequestHead& head, BodyLength body, MutableBytes out);

/// A response to a client, with the usual reason phrase. kToClose is for HTTP/1.0 clients, which
/// know no chunks; it says "Connection: close" whatever `connection` is. `to_head`: it answers
/// HEAD. With kNone a Content-Length among the fields of an answer to HEAD or a 304 is written (RFC
/// 9110 section 8.6); where a body could be, "Content-Length: 0" is. A 101 has head.protocol as its
/// Upgrade. Refused: a status outside 100 to 599; a body where there is none (1xx, 204, 304, HEAD:
/// RFC 9112 section 6.3), and the fields as above.
Written write_response(const ResponseHead& head, BodyLength body, bool to_head,
                       std::string_view connection, MutableBytes out);

/// What write_request and write_response need at most.
std::size_t request_size_max(const RequestHead& head);
std::size_t response_size_max(const ResponseHead& head);

/// The line before a chunk's payload; kChunkEnd goes behind that (RFC 9112 section 7.1).
/// REQUIRES: size > 0
class ChunkSizeLine {
 public:
  explicit ChunkSizeLine(std::uint64_t size);
  std::string_view text() const { return {text_.data() + begin_, text_.size() - begin_}; }

 private:
  std::array<char, 18> text_;  // 16 digits and CRLF
  std::size_t begin_;
};
inline constexpr std::string_view kChunkEnd = "\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

/// The last chunk and trailers, without those that are forbidden (RFC 9110 section 6.5.1).
Written write_last_chunk(const Fields& trailers, MutableBytes out);

/// "" when RFC 9110 section 15 has none.
std::string_view reason_phrase(std::uint16_t status);

}  // namespace postern::http::h1
