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

std::uint64_t utc_us() {
  const timespec t = read_clock(CLOCK_REALTIME);
  return static_cast<std::uint64_t>(t.tv_sec) * 1000000 +
         static_cast<std::uint64_t>(t.tv_nsec) / 1000;
}

std::string utc_text(std::uint64_t since_1970_us) {
  const auto seconds = static_cast<std::time_t>(since_1970_us / 1000000);
  std::tm tm{};
  gmtime_r(&seconds, &tm);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, since_1970_us / 1000 % 1000);
}

std::string utc_now_text() { return utc_text(utc_us()); }

}  // namespace postern
