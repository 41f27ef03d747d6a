// What the gateways of all workers share. Any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace postern::gateway {

struct SharedByWorkers {
  static constexpr std::size_t kApart = 64;  // a cache line each: one changes often

  alignas(kApart) std::atomic<std::size_t> connections{0};  ///< of clients
  /// Held by requests under way, bytes; see MemoryBudget.
  alignas(kApart) std::atomic<std::size_t> memory{0};
  /// Until then file descriptors count as scarce: no connection to a backend is kept unused.
  alignas(kApart) std::atomic<std::uint64_t> files_short_until_ms{0};
};

}  // namespace postern::gateway
