#include "nameserver/deadlines.h"

#include <algorithm>

namespace postern::nameserver {

void DeadlineWheel::set(Deadline& item, std::uint64_t due_ms) {
  item.due_ms_ = due_ms;
  slots_[std::max(due_ms / kSlotMs, reached_) % kSlots].push_back(item);
}

std::uint64_t DeadlineWheel::next_due_ms() const {
  for (std::uint64_t ahead = 0; ahead < kSlots; ++ahead) {
    // What is further away than one turn of the wheel is looked at once per turn.
    if (!slots_[(reached_ + ahead) % kSlots].empty()) return (reached_ + ahead) * kSlotMs;
  }
  return kNever;
}

Deadlines::Deadlines(net::Loop& loop, Expired expired)
    : loop_(loop),
      expired_(std::move(expired)),
      wheel_(loop.now_ms()),
      timer_(loop, [this] { fire(); }) {}

void Deadlines::set(Deadline& item, std::uint64_t due_ms) {
  wheel_.set(item, due_ms);
  if (due_ms < armed_ms_) arm(due_ms);
}

void Deadlines::arm(std::uint64_t due_ms) {
  const std::uint64_t now = loop_.now_ms();
  armed_ms_ = std::max(due_ms, now + 1);
  timer_.start_once(armed_ms_ - now);
}

void Deadlines::fire() {
  // Nothing that is set meanwhile may start the timer: it is started below, once.
  armed_ms_ = 0;
  wheel_.expire(loop_.now_ms(), [this](Deadline& item) { expired_(item); });
  armed_ms_ = DeadlineWheel::kNever;
  const std::uint64_t next = wheel_.next_due_ms();
  // Rounded up to the end of the slot, so that one look serves all in it.
  if (next != DeadlineWheel::kNever) arm(next + DeadlineWheel::kSlotMs);
}

}  // namespace postern::nameserver
