#include "gateway/memory_budget.h"

namespace postern::gateway {

using State = HeldBytes::State;

// The first look is only for the second.
bool HeldBytes::still_moves() {
  const std::uint64_t before = std::exchange(moved_, moved());
  return !std::exchange(looked_, true) || moved_ >= before + taken_least();
}

void MemoryBudget::Line::append(HeldBytes& held) {
  held.before_ = last;
  held.after_ = nullptr;
  (last == nullptr ? first : last->after_) = &held;
  last = &held;
}

void MemoryBudget::Line::remove(HeldBytes& held) {
  (held.before_ == nullptr ? first : held.before_->after_) = held.after_;
  (held.after_ == nullptr ? last : held.after_->before_) = held.before_;
}

void MemoryBudget::append(HeldBytes& held, HeldBytes::State state) {
  held.since_ms_ = now_ms_;
  held.state_ = state;
  line(state).append(held);
}

void MemoryBudget::look(Line& line) {
  for (unsigned looks = 0; looks < kLooksMax; ++looks) {
    if (line.first == nullptr || now_ms_ < line.first->since_ms_ + kLookMs) return;
    HeldBytes& held = *line.first;
    const bool first_look = !held.looked_;
    const bool moves = held.still_moves();
    line.remove(held);
    append(held, first_look ? held.state_ : moves ? State::kMoves : State::kStuck);
  }
}

void MemoryBudget::give_up(HeldBytes& held) {
  held.let_go();
  held.give_up_held();
}

std::size_t MemoryBudget::give_up_stuck(std::size_t down_to) {
  std::size_t given_up = 0;
  Line& stuck = line(State::kStuck);
  while (stuck.first != nullptr && is_beyond(down_to)) {
    HeldBytes& held = *stuck.first;
    if (held.still_moves()) {
      stuck.remove(held);
      append(held, State::kMoves);
      continue;
    }
    give_up(held);
    ++given_up;
  }
  return given_up;
}

std::size_t MemoryBudget::sweep(std::uint64_t now_ms) {
  now_ms_ = now_ms;
  tell();
  look(line(State::kNew));
  look(line(State::kMoves));
  const std::size_t given_up = give_up_stuck(max_);
  tell();
  return given_up;
}

std::size_t MemoryBudget::relieve() {
  tell();
  if (!is_beyond(full_bytes_)) return 0;
  const std::size_t down_to = full_bytes_ - full_bytes_ / 64;  // there is to be room for a few
  std::size_t given_up = give_up_stuck(down_to);
  while (is_beyond(down_to)) {
    HeldBytes* const newest = line(State::kNew).last;
    HeldBytes* const next = newest != nullptr ? newest : line(State::kMoves).first;
    if (next == nullptr) break;
    give_up(*next);
    ++given_up;
  }
  tell();
  return given_up;
}

}  // namespace postern::gateway
