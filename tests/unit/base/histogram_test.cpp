#include "base/histogram.h"

#include <doctest/doctest.h>

namespace postern {
namespace {

constexpr std::array<std::uint32_t, 3> kBounds{10, 100, 1000};
using Small = Histogram<kBounds>;

}  // namespace

TEST_CASE("a bound belongs to its range, and what is above all of them is counted, too") {
  Small times;
  for (const std::uint64_t us : {0U, 10U, 11U, 100U, 1000U, 1001U, 900'000U}) times.observe(us);
  CHECK(times.ranges == std::array<std::uint64_t, 4>{2, 2, 1, 2});
  CHECK(times.count() == 7);
  CHECK(times.sum_us == 902'122);
}

TEST_CASE("one of a sample stands for as many as it is told") {
  Small times;
  times.observe(50, 64);
  CHECK(times.ranges == std::array<std::uint64_t, 4>{0, 64, 0, 0});
  CHECK(times.sum_us == 3200);
}

TEST_CASE("histograms of several threads add up") {
  Small one;
  one.observe(5);
  Small two;
  two.observe(5);
  two.observe(2000);
  one += two;
  CHECK(one.ranges == std::array<std::uint64_t, 4>{2, 0, 0, 1});
  CHECK(one.sum_us == 2010);
}

}  // namespace postern
