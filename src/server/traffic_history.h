// How much traffic there was: each second of the last three minutes, each minute of the last hour.
// Fixed memory, filled from the sums of the workers' counters. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/counts.h"

namespace postern::server {

struct TrafficPoint {
  std::uint64_t time = 0;      ///< second or minute since 1970 in which it begins
  std::uint64_t queries = 0;   ///< DNS, by all transports
  std::uint64_t cached = 0;    ///< replies from the cache, stale ones too
  std::uint64_t local = 0;     ///< replies from overrides, zones and special names
  std::uint64_t upstream = 0;  ///< replies from upstream
  std::uint64_t failed = 0;    ///< replies that say SERVFAIL
  std::uint64_t requests = 0;  ///< HTTP
  std::uint64_t errors = 0;    ///< HTTP responses 5xx
  std::uint64_t bytes = 0;     ///< bodies of HTTP responses

  TrafficPoint& operator+=(const TrafficPoint& more);
};

class TrafficHistory {
 public:
  static constexpr std::size_t kSeconds = 180;
  static constexpr std::size_t kMinutes = 60;

  /// `totals`: since the start.
  void add(std::uint64_t unix_s, const WorkerCounts& totals);

  /// The last whole seconds before this one; the last minutes, with the one that runs.
  std::vector<TrafficPoint> seconds(std::uint64_t unix_s) const;
  std::vector<TrafficPoint> minutes(std::uint64_t unix_s) const;

 private:
  std::array<TrafficPoint, kSeconds + 1> seconds_;
  std::array<TrafficPoint, kMinutes + 1> minutes_;
  TrafficPoint totals_;
};

}  // namespace postern::server
