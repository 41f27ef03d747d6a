#include "http/weights.h"

#include <array>
#include <vector>

#include <doctest/doctest.h>

namespace postern::http {

TEST_CASE("each backend is picked as often as its weight is of the sum") {
  const std::vector<std::uint32_t> weights{70, 0, 30};
  std::array<int, 3> picks{};
  for (std::uint64_t random = 0; random < 1000; ++random) {
    const auto picked = pick_weighted(weights, random);
    REQUIRE(picked.has_value());
    ++picks[*picked];
  }
  CHECK(picks == std::array<int, 3>{700, 0, 300});
}

TEST_CASE("without a weight there is no backend") {
  CHECK_FALSE(pick_weighted({}, 7).has_value());
  const std::vector<std::uint32_t> zeros{0, 0};
  CHECK_FALSE(pick_weighted(zeros, 7).has_value());
}

TEST_CASE("weights whose sum needs more than 32 bits are added up right") {
  const std::vector<std::uint32_t> weights{0xffffffff, 0, 0xffffffff};
  CHECK(pick_weighted(weights, 0) == 0U);
  CHECK(pick_weighted(weights, 0xfffffffe) == 0U);
  CHECK(pick_weighted(weights, 0xffffffff) == 2U);
  CHECK(pick_weighted(weights, 0xffffffffffffffffU).has_value());
}

}  // namespace postern::http
