// The two sides of an exchange: the client's, an HTTP/1.1 connection or an HTTP/2 stream, and the
// backend's, the same two. An Exchange stands between them and knows neither protocol.
//
// Bodies are pushed: who has bytes hands them over and the receiver takes all of them. The receiver
// says how much it could not send on yet (unsent()), the exchange stops the giver in between, so
// that at most kBodyHeldBytes and one chunk are kept for each direction. What is kept is counted
// (memory_budget.h) and may have to be given up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "gateway/memory_budget.h"
#include "http/head.h"
#include "net/stream.h"

namespace postern::gateway {

/// Beyond this the giver is stopped until all has left.
constexpr std::size_t kBodyHeldBytes = 16U << 10;

/// No trailers.
inline const http::Fields& no_fields() {
  static const http::Fields none;
  return none;
}

/// What an exchange does to its client. Holds what of the response could not be sent on yet.
class ClientSide : public HeldBytes {
 public:
  using HeldBytes::HeldBytes;
  virtual void send_interim(const http::ResponseHead& head) = 0;
  /// The final head, once; a 101 makes both bodies streams of bytes without an end of their own.
  virtual void send_head(const http::ResponseHead& head, http::BodyLength body) = 0;
  virtual void send_body(Bytes chunk) = 0;
  virtual void send_end(const http::Fields& trailers) = 0;
  virtual std::size_t unsent() const = 0;
  /// What carries the response, maybe with others.
  virtual const net::Stream& carrier() const = 0;
  virtual void stop_request() = 0;  ///< no more request_body() for now
  virtual void resume_request() = 0;
  /// The request was not to be trusted: no other one of this HTTP/1.1 connection is looked at.
  virtual void distrust() = 0;
  /// The response is complete, or can't be completed (`cut`): the client has to see that. Ends the
  /// exchange: it must not be touched after this call returns.
  virtual void finished(bool cut) = 0;
};

/// What an exchange does to its backend. A stream is in use from backend_ready() to release().
class BackendStream {
 public:
  virtual ~BackendStream() = default;
  /// To a listener of our own (loop_mark.h).
  virtual bool leads_here() const = 0;
  virtual const Endpoint& address() const = 0;
  virtual void send_head(const http::RequestHead& head, http::BodyLength body) = 0;
  virtual void send_body(Bytes chunk) = 0;
  virtual void send_end(const http::Fields& trailers) = 0;
  virtual std::size_t unsent() const = 0;
  /// What carries the request, maybe with others.
  virtual const net::Stream& carrier() const = 0;
  virtual void stop_response() = 0;
  virtual void resume_response() = 0;
  /// Nothing more is said to the exchange. What was complete may be used again, else it is closed.
  virtual void release() = 0;
};

enum class BackendFailure : std::uint8_t {
  kNone,
  kNoUpgrade,     ///< its protocol can't be upgraded, or has no way to say this
  kNoAddress,     ///< the name has no address
  kRefused,       ///< not connected: refused, unreachable, TLS not agreed
  kNotSpoken,     ///< reached, but TLS was not agreed on: not trusted, or no TLS at all
  kTimeout,       ///< not connected in time
  kBusy,          ///< a limit of ours: connections of one backend
  kClosed,        ///< the connection ended before the response was complete
  kReset,         ///< HTTP/2: it gave this one request up, for a reason that the request may have
  kMalformed,     ///< not HTTP
  kHeadTooLarge,  ///< the head of the response is beyond our limits
  kUnprocessed,   ///< the backend says that it did not look at the request, or it never left
};

/// What a backend tells an exchange; never from inside a call of the exchange, but for
/// backend_ready() and backend_failed(), which Backend::request() may call at once.
class BackendEvents {
 public:
  virtual ~BackendEvents() = default;
  virtual void backend_ready(BackendStream& stream) = 0;
  virtual http::ResponseHead& response_head() = 0;  ///< where to read the next one to
  virtual void interim_response() = 0;
  virtual void response(http::BodyLength body) = 0;
  virtual void response_body(Bytes chunk) = 0;
  virtual void response_end(const http::Fields& trailers) = 0;
  virtual void backend_drained() = 0;
  /// Should a request that the backend says it did not get whole be sent once more?
  virtual bool may_repeat() const { return false; }
  /// Just before backend_failed(): this is all of the body that was given, and it may be given
  /// again.
  virtual void request_returned(Bytes) {}
  /// The stream is gone, but for its address until the call returns; no release(). `reused`: it may
  /// be no more than the end of a kept connection.
  virtual void backend_failed(BackendFailure failure, std::string_view detail, bool reused) = 0;
};

}  // namespace postern::gateway
