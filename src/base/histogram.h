// How often a time fell into which of a few fixed ranges, as Prometheus counts it. Plain numbers of
// one thread; an observation is one search in a small array, nothing is allocated.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace postern {

/// `kBoundsUs`: upper bounds in microseconds, each included in its range, rising. Behind the last
/// one there is a range for all that took longer.
template <const auto& kBoundsUs>
struct Histogram {
  std::array<std::uint64_t, kBoundsUs.size() + 1> ranges{};  ///< not cumulated
  std::uint64_t sum_us = 0;

  static constexpr const auto& bounds_us() { return kBoundsUs; }

  /// `weight`: how many this one stands for, when only a sample of them is measured.
  void observe(std::uint64_t us, std::uint64_t weight = 1) {
    std::size_t range = 0;
    while (range < kBoundsUs.size() && us > kBoundsUs[range]) ++range;
    ranges[range] += weight;
    sum_us += us * weight;
  }

  Histogram& operator+=(const Histogram& more) {
    for (std::size_t i = 0; i < ranges.size(); ++i) ranges[i] += more.ranges[i];
    sum_us += more.sum_us;
    return *this;
  }

  std::uint64_t count() const {
    std::uint64_t all = 0;
    for (const std::uint64_t one : ranges) all += one;
    return all;
  }
};

/// From the cache in microseconds to an upstream's last attempt.
inline constexpr std::array<std::uint32_t, 16> kDnsBoundsUs{
    5,      20,     100,     500,     1'000,   2'500,     5'000,     10'000,
    25'000, 50'000, 100'000, 250'000, 500'000, 1'000'000, 2'500'000, 5'000'000};
using DnsHistogram = Histogram<kDnsBoundsUs>;

/// From an answer of the gateway itself to a long poll.
inline constexpr std::array<std::uint32_t, 14> kRequestBoundsUs{
    1'000,   2'500,   5'000,     10'000,    25'000,    50'000,     100'000,
    250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000, 60'000'000};
using RequestHistogram = Histogram<kRequestBoundsUs>;

}  // namespace postern
