#include "gateway/memory_budget.h"

#include <utility>

namespace postern::gateway {

void MemoryBudget::append(HeldBytes& held) {
  held.since_ms_ = now_ms_;
  held.before_ = last_;
  held.after_ = nullptr;
  (last_ == nullptr ? first_ : last_->after_) = &held;
  last_ = &held;
}

void MemoryBudget::remove(HeldBytes& held) {
  (held.before_ == nullptr ? first_ : held.before_->after_) = held.after_;
  (held.after_ == nullptr ? last_ : held.after_->before_) = held.before_;
}

std::size_t MemoryBudget::sweep(std::uint64_t now_ms) {
  now_ms_ = now_ms;
  all_ += used_ - std::exchange(told_, used_);
  others_ = all_ - told_;
  std::size_t given_up = 0;
  while (is_short() && first_ != nullptr && now_ms >= first_->since_ms_ + kTakesNothingMs) {
    HeldBytes& held = *first_;
    held.hold(0);
    held.give_up_held();
    ++given_up;
  }
  return given_up;
}

}  // namespace postern::gateway
