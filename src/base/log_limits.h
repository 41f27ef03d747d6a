// How many lines of one event may be written in a while: whatever a stranger can trigger, the log
// of a day stays readable and the disk free. What was held back is told with a number. Pure: time
// comes in as an argument. Not for the hot path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

class LogLimits {
 public:
  static constexpr std::uint64_t kWindowMs = 10'000;
  static constexpr std::uint32_t kLinesMax = 100;  ///< of one event in one window
  static constexpr std::size_t kEventsMax = 256;   ///< further ones are not limited

  /// May a line of this event be written now?
  bool allow(std::string_view event, std::uint64_t now_ms);

  struct Held {
    std::string event;
    std::uint64_t lines;
  };
  /// The events whose window is over, with what was held back in it; each is told once.
  std::vector<Held> take_held(std::uint64_t now_ms);
  bool holds_any() const { return holding_ != 0; }

 private:
  struct Event {
    std::string name;
    std::uint64_t began_ms = 0;
    std::uint32_t lines = 0;
    std::uint64_t held = 0;
  };
  std::vector<Event> events_;
  std::size_t holding_ = 0;  // events with held lines
};

}  // namespace postern
