// Which backend of several gets a request: by weight and one random number, without any state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace postern::http {

/// An index, each as often as its weight is of the sum; weight 0 never. nullopt when all are 0 or
/// there are none: 500 (Gateway API, HTTPRouteRule backendRefs). `random` is evenly spread over all
/// 64-bit numbers; the error that the division makes is below the sum in 2^64.
inline std::optional<std::size_t> pick_weighted(std::span<const std::uint32_t> weights,
                                                std::uint64_t random) {
  std::uint64_t sum = 0;
  for (const std::uint32_t weight : weights) sum += weight;
  if (sum == 0) return std::nullopt;
  std::uint64_t at = random % sum;
  std::size_t i = 0;
  for (; at >= weights[i]; ++i) at -= weights[i];
  return i;
}

}  // namespace postern::http
