// A timer on a loop: counts from Loop::now_ms(), fires in the turn after it is due. Starting it
// again replaces the former deadline and allocates nothing. The destructor cancels, also from
// inside the callback.
#pragma once

#include <cstdint>
#include <functional>

#include "net/handle.h"
#include "net/loop.h"

namespace postern::net {

class Timer {
 public:
  Timer(Loop& loop, std::function<void()> expired);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void start_once(std::uint64_t delay_ms);
  /// First after `interval_ms`. REQUIRES: interval_ms > 0.
  void start_every(std::uint64_t interval_ms);
  void stop();
  bool active() const;

 private:
  void fire();

  Handle<uv_timer_s> handle_;
  std::function<void()> expired_;
  bool* destroyed_ = nullptr;
};

}  // namespace postern::net
