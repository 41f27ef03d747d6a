#include "base/log_limits.h"

#include <algorithm>
#include <utility>

namespace postern {

bool LogLimits::allow(std::string_view event, std::uint64_t now_ms) {
  auto known = std::find_if(events_.begin(), events_.end(),
                            [&](const Event& one) { return one.name == event; });
  if (known == events_.end()) {
    if (events_.size() == kEventsMax) return true;
    known = events_.insert(known, Event{std::string(event), now_ms, 0, 0});
  }
  // A window with held lines stays until these are told.
  if (known->held == 0 && now_ms - known->began_ms >= kWindowMs) {
    known->began_ms = now_ms;
    known->lines = 0;
  }
  if (known->lines < kLinesMax) {
    ++known->lines;
    return true;
  }
  if (known->held++ == 0) ++holding_;
  return false;
}

std::vector<LogLimits::Held> LogLimits::take_held(std::uint64_t now_ms) {
  std::vector<Held> told;
  if (holding_ == 0) return told;
  for (Event& one : events_) {
    if (one.held == 0 || now_ms - one.began_ms < kWindowMs) continue;
    told.push_back({one.name, std::exchange(one.held, 0)});
    one.began_ms = now_ms;
    one.lines = 0;
    --holding_;
  }
  return told;
}

}  // namespace postern
