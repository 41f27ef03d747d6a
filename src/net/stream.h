// A two-way flow of bytes, whatever carries it: TCP now, TLS over TCP later. Loop thread only.
#pragma once

#include <cstddef>

#include "base/address.h"
#include "base/bytes.h"
#include "base/result.h"

namespace postern::net {

/// What a stream tells its owner, always from the loop, never from inside a call to the stream.
/// Every call may destroy the stream.
class StreamReader {
 public:
  virtual ~StreamReader() = default;
  /// Only streams that we opened: from now on bytes flow. Writing before that is queued.
  virtual void connected() {}
  /// A chunk as it came, at most 64 KiB; valid during the call.
  virtual void received(Bytes chunk) = 0;
  /// The peer has finished sending; we may still write.
  virtual void ended() = 0;
  /// Everything written has left.
  virtual void drained() {}
  /// Reset, unreachable, not connected in time. Nothing follows; the stream is dead.
  virtual void failed(const Error& error) = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;

  /// Sends what can leave now and keeps a copy of the rest, up to the stream's limit. False when
  /// the limit would be passed (nothing is taken) or the stream is dead or finished.
  virtual bool write(Bytes data) = 0;
  /// Bytes taken by write() that have not left yet.
  virtual std::size_t unsent() const = 0;
  /// Bytes that have left, ever: a writer that makes no progress is seen by this.
  virtual std::uint64_t sent_total() const = 0;
  /// No more writing: the peer sees the end after the last byte. Reading goes on.
  virtual void finish() = 0;

  /// Back-pressure: while paused nothing is read, so ended() does not come either.
  virtual void pause() = 0;
  virtual void resume() = 0;

  /// Of sent_total(), what the peer's system has acknowledged; with TLS maybe a little less. Costs
  /// a system call.
  virtual std::uint64_t acknowledged_total() const = 0;
  /// For how long the peer's system has acknowledged nothing of what is on the way to it; 0 when
  /// nothing is. Costs a system call.
  virtual std::uint64_t unacknowledged_ms() const = 0;
  /// Something, or the end, has come and was not read yet. Costs a system call.
  virtual bool has_input() const = 0;
  /// After ended(): TLS without close_notify, so that what came may have been cut by anybody
  /// (RFC 8446 section 6.1).
  virtual bool ended_without_notice() const { return false; }
  /// Gives up the connection: failed() follows from the loop.
  virtual void break_off() = 0;
  /// The destructor resets the connection in place of ending it, so that what was sent cannot be
  /// taken for all there was.
  virtual void reset_on_close() = 0;
  /// Nothing is expected for a while: may need less memory until something happens, which then
  /// costs some microseconds more.
  virtual void rest() {}

  virtual const Endpoint& peer() const = 0;
  virtual Endpoint local() const = 0;
};

}  // namespace postern::net
