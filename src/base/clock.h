// Time as plain numbers with their unit in the name. Pure code gets `now` as an argument.
#pragma once

#include <cstdint>
#include <string>

namespace postern {

/// Milliseconds of CLOCK_MONOTONIC; never goes back, unrelated to the calendar.
std::uint64_t monotonic_ms();

/// Microseconds of CLOCK_MONOTONIC, for round-trip times.
std::uint64_t monotonic_us();

/// Microseconds of CLOCK_REALTIME, since 1970.
std::uint64_t utc_us();

/// "2026-01-31T23:59:59.123Z"
std::string utc_text(std::uint64_t since_1970_us);
/// "2026-01-31T23:59:59.123Z"
std::string utc_now_text();

}  // namespace postern
