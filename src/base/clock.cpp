#include "base/clock.h"

#include <ctime>

#include <fmt/format.h>

namespace postern {
namespace {

timespec read_clock(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return t;
}

}  // namespace

std::uint64_t monotonic_ms() {
  const timespec t = read_clock(CLOCK_MONOTONIC);
  return static_cast<std::uint64_t>(t.tv_sec) * 1000 +
         static_cast<std::uint64_t>(t.tv_nsec) / 1000000;
}

std::uint64_t monotonic_us() {
  const timespec t = read_clock(CLOCK_MONOTONIC);
  return static_cast<std::uint64_t>(t.tv_sec) * 1000000 +
         static_cast<std::uint64_t>(t.tv_nsec) / 1000;
}

std::string utc_now_text() {
  const timespec t = read_clock(CLOCK_REALTIME);
  std::tm tm{};
  gmtime_r(&t.tv_sec, &tm);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, t.tv_nsec / 1000000);
}

}  // namespace postern
