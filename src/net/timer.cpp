#include "net/timer.h"

#include <cassert>
#include <utility>

#include <uv.h>

namespace postern::net {

Timer::Timer(Loop& loop, std::function<void()> expired)
    : handle_(new uv_timer_t), expired_(std::move(expired)) {
  uv_timer_init(loop.timers(), handle_.get());
  handle_->data = this;
}

Timer::~Timer() { mark_destroyed(destroyed_); }

void Timer::start_once(std::uint64_t delay_ms) {
  uv_timer_start(
      handle_.get(), [](uv_timer_t* timer) { static_cast<Timer*>(timer->data)->fire(); }, delay_ms,
      0);
}

void Timer::start_every(std::uint64_t interval_ms) {
  assert(interval_ms > 0);
  uv_timer_start(
      handle_.get(), [](uv_timer_t* timer) { static_cast<Timer*>(timer->data)->fire(); },
      interval_ms, interval_ms);
}

void Timer::stop() { uv_timer_stop(handle_.get()); }

bool Timer::active() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(handle_.get())) != 0;
}

// The function is moved aside, since it may destroy its timer.
void Timer::fire() {
  LifeGuard guard(destroyed_);
  std::function<void()> expired = std::move(expired_);
  expired();
  if (!guard.gone()) expired_ = std::move(expired);
}

}  // namespace postern::net
