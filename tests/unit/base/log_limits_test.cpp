#include "base/log_limits.h"

#include <string>

#include <doctest/doctest.h>

namespace postern {
namespace {

constexpr std::uint64_t kNow = 1'000'000;
constexpr std::uint64_t kWindow = LogLimits::kWindowMs;

std::uint32_t allowed(LogLimits& limits, std::string_view event, std::uint64_t now_ms, int times) {
  std::uint32_t count = 0;
  for (int i = 0; i < times; ++i) count += limits.allow(event, now_ms) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("so many lines of one event may be written, and others do not suffer") {
  LogLimits limits;
  CHECK(allowed(limits, "a", kNow, 1000) == LogLimits::kLinesMax);
  CHECK(allowed(limits, "b", kNow, 10) == 10);
  CHECK(allowed(limits, "a", kNow + kWindow - 1, 10) == 0);
}

TEST_CASE("what was held back is told once, when the window is over") {
  LogLimits limits;
  allowed(limits, "a", kNow, 150);
  CHECK(limits.take_held(kNow + kWindow - 1).empty());
  CHECK(limits.holds_any());
  const auto told = limits.take_held(kNow + kWindow);
  REQUIRE(told.size() == 1);
  CHECK(told[0].event == "a");
  CHECK(told[0].lines == 150 - LogLimits::kLinesMax);
  CHECK_FALSE(limits.holds_any());
  CHECK(limits.take_held(kNow + 2 * kWindow).empty());
  CHECK(allowed(limits, "a", kNow + kWindow, 150) == LogLimits::kLinesMax);
}

TEST_CASE("a slow event is never held back") {
  LogLimits limits;
  std::uint32_t count = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) count += limits.allow("a", kNow + i * 200) ? 1 : 0;
  CHECK(count == 1000);
}

TEST_CASE("more events than the table holds are not limited") {
  LogLimits limits;
  for (std::size_t i = 0; i < LogLimits::kEventsMax; ++i) limits.allow(std::to_string(i), kNow);
  CHECK(allowed(limits, "one more", kNow, 200) == 200);
  CHECK(allowed(limits, "0", kNow, 200) == LogLimits::kLinesMax - 1);
}

}  // namespace postern
