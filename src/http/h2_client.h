// The client's side of HTTP/2: requests to one backend connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "http/h2.h"
#include "http/head.h"

namespace postern::http::h2 {

/// The owner's side of one stream; as ServerStream.
class ClientStream {
 public:
  virtual ~ClientStream() = default;
  /// Where the next head, interim or final, is to be written; cleared before.
  virtual ResponseHead& head() = 0;
  /// 1xx, never 101.
  virtual void interim() = 0;
  /// The final head; kNone when the stream ended with it.
  virtual void response(BodyLength body) = 0;
  virtual void body(Bytes chunk) = 0;
  virtual void body_end(const Fields& trailers) = 0;
  /// All of the request that was given has been collected.
  virtual void drained() = 0;
  /// Just before an unprocessed closed(): what was given of the body, when all of it is still
  /// there: none of it left, or it is small and no head came. The bytes last for the call.
  virtual void returned(Bytes) {}
  /// Just before closed(): it was ended from this side, since what came of the response breaks the
  /// rules or is too large.
  virtual void refused() {}
  /// The last call. `unprocessed`: the backend says it never looked at the request (REFUSED_STREAM,
  /// or above the last stream of GOAWAY), or its head never left, so it may be sent again, whatever
  /// its method (RFC 9113 section 8.7).
  virtual void closed(std::uint32_t error, bool unprocessed) = 0;
};

class ClientConnection {
 public:
  static std::unique_ptr<ClientConnection> make(const Settings& settings);
  virtual ~ClientConnection() = default;

  virtual bool receive(Bytes input, std::uint64_t now_ms) = 0;
  virtual std::string_view fault() const = 0;
  virtual std::size_t collect(MutableBytes out) = 0;
  virtual bool wants_write() const = 0;
  virtual std::size_t streams() const = 0;
  /// May another request be begun: fewer streams than the peer allows, no GOAWAY, ids left?
  virtual bool has_room() const = 0;
  virtual bool going_away() const = 0;
  /// The backend allows extended CONNECT (RFC 8441); known after its SETTINGS.
  virtual bool allows_connect_protocol() const = 0;

  /// The stream id, negative when there is no room. With kNone the stream ends with the head. With
  /// head.protocol it is an extended CONNECT. Names are lowered; the text is copied.
  virtual std::int32_t request(const RequestHead& head, BodyLength body, ClientStream& stream) = 0;
  virtual void body(std::int32_t stream, Bytes chunk) = 0;
  virtual void body_end(std::int32_t stream, const Fields& trailers) = 0;
  virtual std::size_t unsent(std::int32_t stream) const = 0;
  /// RST_STREAM; no more calls to its ClientStream, not even closed().
  virtual void cancel(std::int32_t stream) = 0;
  virtual void consumed(std::int32_t stream, std::size_t bytes) = 0;
  virtual void ping() = 0;
  virtual void shut_down() = 0;
  /// The transport is gone: every stream is closed. Not from inside a ClientStream's call.
  virtual void abandon() = 0;
};

}  // namespace postern::http::h2
