// The server's side of HTTP/2: requests of one client connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "http/h2.h"
#include "http/head.h"

namespace postern::http::h2 {

/// The owner's side of one stream. All calls come from inside ServerConnection::receive() or
/// collect(), and may call back into the connection (but not receive, collect or the destructor).
class ServerStream {
 public:
  virtual ~ServerStream() = default;
  /// Where the head is to be written: names in lower case, values checked (RFC 9113 section 8.2);
  /// cookies of several lines are joined with "; " (section 8.2.3). scheme, authority (of
  /// :authority or Host), path and protocol (extended CONNECT) are set; text is in the head's own
  /// arena.
  virtual RequestHead& head() = 0;
  /// The head is complete. kKnown when there is a Content-Length (nghttp2 holds the client to it),
  /// kNone when the stream ended with the head, else kUnknown.
  virtual void request(BodyLength body) = 0;
  /// The head is well formed but beyond header_bytes_max or fields_max (431); head() is incomplete.
  /// The owner responds; the rest of the request is dropped.
  virtual void head_too_large(bool too_many_fields) = 0;
  virtual void body(Bytes chunk) = 0;
  /// END_STREAM behind a body; without trailers the fields are empty.
  virtual void body_end(const Fields& trailers) = 0;
  /// All of the response that was given has been collected.
  virtual void drained() = 0;
  /// The stream is gone: complete on both sides (error 0), or reset by either side, or the
  /// connection died. The last call; the connection forgets this object before it.
  virtual void closed(std::uint32_t error) = 0;
};

class ServerEvents {
 public:
  virtual ~ServerEvents() = default;
  /// A new stream; nullptr: refuse it (REFUSED_STREAM, the client may try again elsewhere).
  virtual ServerStream* opened(std::int32_t stream) = 0;
  /// A stream beyond streams_max, or one of those, was refused.
  virtual void refused() {}
};

class ServerConnection {
 public:
  /// The destructor makes no calls: the owner of the connection sees to its streams.
  static std::unique_ptr<ServerConnection> make(const Settings& settings, ServerEvents& events);
  virtual ~ServerConnection() = default;

  /// All bytes that came. False: the connection is over (abuse() says why) and all streams were
  /// told; collect what is left (GOAWAY), send it, close. Some violations only show in collect():
  /// ask finished() behind it. `now_ms` is for limits per second.
  virtual bool receive(Bytes input, std::uint64_t now_ms) = 0;
  virtual Abuse abuse() const = 0;
  virtual std::string_view fault() const = 0;  ///< a few words for the log

  /// Fills `out` with what is to be sent as far as it fits and returns how much that is; 0: nothing
  /// now. Call again while most of it is filled. REQUIRES: out has at least 1 KiB + 9 bytes.
  virtual std::size_t collect(MutableBytes out) = 0;
  virtual bool wants_write() const = 0;
  /// Nothing is expected for a while: needs 8 KiB less until the next call that changes something,
  /// which costs some microseconds more. Does nothing while there is something to send.
  virtual void rest() = 0;
  /// Nothing under way and going away, or dead: close the connection once collected.
  virtual bool finished() const = 0;
  virtual std::size_t streams() const = 0;

  /// 1xx, 64 of one stream at most. The text is copied during the call.
  virtual void interim(std::int32_t stream, const ResponseHead& head) = 0;
  /// The final head. With kNone the stream ends with it. Names are lowered; the text is copied.
  /// kKnown sends a Content-Length; `to_head`: an answer to HEAD (Content-Length stays a field).
  virtual void respond(std::int32_t stream, const ResponseHead& head, BodyLength body) = 0;
  /// Takes all of it. Nothing happens on a stream that is gone.
  virtual void body(std::int32_t stream, Bytes chunk) = 0;
  /// As body(), but the chunk is not copied: it has to last until keep(), which takes what has not
  /// been collected by then. Nothing else is called for the stream in between.
  virtual void lend(std::int32_t stream, Bytes chunk) = 0;
  virtual void keep(std::int32_t stream) = 0;
  /// END_STREAM, with trailers when there are any.
  virtual void body_end(std::int32_t stream, const Fields& trailers) = 0;
  virtual std::size_t unsent(std::int32_t stream) const = 0;
  /// The client would take more of this stream's body (RFC 9113 section 5.2).
  virtual bool has_window(std::int32_t stream) const = 0;
  /// RST_STREAM; what is unsent is dropped. closed() follows when it was collected or at once.
  virtual void reset(std::int32_t stream, std::uint32_t error) = 0;
  /// The same, with CANCEL: the client takes nothing of the response. Too many of these are abuse.
  virtual void reset_stalled(std::int32_t stream) = 0;
  /// Stops reading a request whose response is complete: RST_STREAM NO_ERROR behind the response
  /// (RFC 9113 section 8.1).
  virtual void stop_request(std::int32_t stream) = 0;
  /// Opens the windows again by what was passed on. Bytes of closed streams are given back by the
  /// connection itself.
  virtual void consumed(std::int32_t stream, std::size_t bytes) = 0;

  /// First step of a graceful end (RFC 9113 section 6.8): GOAWAY with the highest stream id and a
  /// PING; second step: the true last stream, once called again (or the PING came back).
  virtual void shut_down() = 0;
  virtual bool shutting_down() const = 0;
};

}  // namespace postern::http::h2
