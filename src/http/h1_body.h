// The body behind a head, whatever says where it ends (RFC 9112 section 6.3): one interface for a
// known length, chunks, and the end of the connection. Payload is handed on where it stands in the
// input.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "http/h1.h"
#include "http/h1_chunked.h"
#include "http/head.h"

namespace postern::http::h1 {

/// Reads one body after the other from one connection. Belongs to the connection.
class BodyReader {
 public:
  explicit BodyReader(const BodyLimits& limits = {}) : chunked_(limits) {}

  /// Before each body, with what its head said; kUnknown means chunked.
  void start(BodyLength length);

  /// Takes bytes up to the end of a run of payload, of the input, or of the body. Again and again
  /// until consumed is all, or done() or a fault; what is behind the body is left. The payload
  /// comes with kDone when it is the last of a known length.
  BodyPiece feed(Bytes input);

  /// The connection has ended. kDone when the body was complete, or may end so; else kFault: it is
  /// incomplete (RFC 9112 section 8), which must not look like its end to who gets it next.
  Progress end_of_input();

  bool done() const { return state_ == Progress::kDone; }
  /// Faults have the status for a client's body; 502 for a backend's is up to the caller.
  Fault fault() const { return fault_; }
  /// Once done (RFC 9112 section 7.1.2): without those that are forbidden. They last until start().
  const Fields& trailers() const { return chunked_.trailers(); }

 private:
  BodyPiece feed_known(Bytes input);

  ChunkedReader chunked_;
  BodyLength::Kind kind_ = BodyLength::Kind::kNone;
  std::uint64_t left_ = 0;
  Progress state_ = Progress::kDone;
  Fault fault_;
};

}  // namespace postern::http::h1
