// Queries per second and client address, in a table of fixed size that is made once. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/address.h"

namespace postern::nameserver {

/// A token bucket per IPv4 address or IPv6 /64. Four places per hash; a newcomer takes the place of
/// the one that was heard longest ago, so many addresses at once loosen the limit, never tighten
/// it.
class RateLimit {
 public:
  enum class Verdict : std::uint8_t { kPass, kTruncate, kDrop };
  static constexpr std::size_t kBuckets = 32768;  ///< 24 bytes each

  /// `rate` tokens per second up to `burst`; rate 0: everything passes and no table is made.
  RateLimit(std::uint32_t rate, std::uint32_t burst);

  /// Beyond the limit every second query is to be answered with TC=1, so that a real client can
  /// prove itself by TCP, and the others not at all.
  Verdict take(const IpAddress& client, std::uint64_t now_ms);

 private:
  struct Bucket {
    std::uint64_t tag = 0;
    std::uint64_t refilled_ms = 0;
    std::uint32_t millitokens = 0;
    bool dropped_last = true;
  };
  static constexpr std::size_t kWays = 4;

  Bucket& bucket_of(std::uint64_t tag, std::uint64_t now_ms);

  std::uint32_t rate_;
  std::uint32_t burst_millitokens_;
  std::vector<Bucket> buckets_;
};

}  // namespace postern::nameserver
