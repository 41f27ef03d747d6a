// Tells a peer that reads slowly from one that takes nothing: the systems on the way hold
// megabytes, so that for minutes nothing more can be written although the peer reads on. Loop
// thread only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "net/stream.h"

namespace postern::gateway {

class DeliveryWatch {
 public:
  static constexpr std::size_t kAtLeastBytes = 2U << 10;  ///< less in most of a limit is as nothing

  /// What has been written until now is watched.
  void restart(const net::Stream& to) {
    end_ = to.sent_total() + to.unsent();
    looked_ = false;
  }
  /// Nothing was written for `idle_ms` of `limit_ms`; asked again and again, with the limit at the
  /// latest. True once, at the limit: the peer has taken some of it since an eighth of it. (A
  /// system with much room says so in steps of a sixteenth of it.)
  bool look(const net::Stream& to, std::uint64_t idle_ms, std::uint64_t limit_ms) {
    if (idle_ms < (looked_ ? limit_ms : limit_ms / 8)) return false;
    const std::uint64_t before = acknowledged_;
    acknowledged_ = std::min(to.acknowledged_total(), end_);
    return std::exchange(looked_, true) && acknowledged_ >= before + kAtLeastBytes;
  }

 private:
  std::uint64_t end_ = 0, acknowledged_ = 0;  // of the stream's bytes
  bool looked_ = false;
};

}  // namespace postern::gateway
