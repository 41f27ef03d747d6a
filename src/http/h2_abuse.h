// How often a peer may do what costs us more than it costs the peer. One leaky bucket per kind: so
// many at once, so many per minute in the long run. Belongs to a connection; 16 bytes a kind.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "http/h2.h"

namespace postern::http::h2 {

class AbuseMeter {
 public:
  /// One more of these. True when that is too many. Kinds without a rate are never too many.
  bool note(Abuse kind, std::uint64_t now_ms);
  /// The peer has a good reason for `count` more of these, as for WINDOW_UPDATE after DATA.
  void allow(Abuse kind, unsigned count);

 private:
  struct Bucket {
    std::int64_t level = 0;
    std::uint64_t since_ms = 0;
  };
  std::array<Bucket, kAbuseKinds> buckets_;
};

}  // namespace postern::http::h2
