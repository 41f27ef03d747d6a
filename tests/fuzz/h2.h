// What the fuzzers of HTTP/2 have in common: what the peer sends, what the owner does in between,
// and a look at the frames that come out.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "check.h"

namespace postern::fuzz {

/// A peer's bytes: as they are, or frames whose length is always right: type, flags, stream, then a
/// payload behind its length.
std::string h2_frames(Input input, bool raw);

/// Bytes that choose; the same ones again when they are used up.
class Choices {
 public:
  explicit Choices(Bytes bytes) : bytes_(bytes) {}
  unsigned next() {
    if (bytes_.empty()) return 0;
    return bytes_[at_++ % bytes_.size()];
  }

 private:
  Bytes bytes_;
  std::size_t at_ = 0;
};

/// Looks at what was collected: whole frames of known types, none too large, in the end nothing
/// behind a GOAWAY with an error.
class FrameWatch {
 public:
  explicit FrameWatch(std::size_t preface_bytes) : skip_(preface_bytes) {}
  void take(Bytes bytes);
  void end() const { require(rest_.empty() && skip_ == 0, "the last frame is whole"); }

 private:
  void look();

  std::size_t skip_;
  std::string rest_;
  bool over_ = false;
};

}  // namespace postern::fuzz
