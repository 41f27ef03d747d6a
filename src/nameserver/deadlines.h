// Deadlines of many waiting things under one timer: a hashed wheel of rings, so that setting and
// clearing one costs a few stores. DeadlineWheel is pure; Deadlines puts it on a loop.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "nameserver/linked.h"
#include "net/loop.h"
#include "net/timer.h"

namespace postern::nameserver {

/// Base of what waits. Leaves the wheel when destroyed.
class Deadline : public Linked {
 public:
  std::uint64_t due_ms() const { return due_ms_; }
  bool is_set() const { return is_linked(); }
  void clear() { unlink(); }

 private:
  friend class DeadlineWheel;
  std::uint64_t due_ms_ = 0;
};

class DeadlineWheel {
 public:
  static constexpr std::uint64_t kSlotMs = 4;
  static constexpr std::size_t kSlots = 1024;
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  explicit DeadlineWheel(std::uint64_t now_ms) : reached_(now_ms / kSlotMs) {}

  /// Replaces the former deadline of `item`.
  void set(Deadline& item, std::uint64_t due_ms);

  /// Takes out everything due at `now_ms`, in order of slots; `expired` may set and clear any
  /// deadline.
  template <class Expired>  // void expired(Deadline&)
  void expire(std::uint64_t now_ms, Expired expired) {
    const std::uint64_t last = now_ms / kSlotMs;
    std::uint64_t slot = last >= reached_ + kSlots ? last - kSlots + 1 : reached_;
    reached_ = last;
    for (; slot <= last; ++slot) {
      Ring<Deadline> due;
      due.take(slots_[slot % kSlots]);
      while (Deadline* item = due.front()) {
        item->unlink();
        if (item->due_ms_ > now_ms) {
          slots_[slot % kSlots].push_back(*item);
        } else {
          expired(*item);
        }
      }
    }
  }

  /// No deadline comes before this one; kNever: there is none. Walks over the slots.
  std::uint64_t next_due_ms() const;

 private:
  std::array<Ring<Deadline>, kSlots> slots_;
  std::uint64_t reached_;  // slots before this one hold nothing that is due
};

class Deadlines {
 public:
  using Expired = std::function<void(Deadline&)>;
  Deadlines(net::Loop& loop, Expired expired);

  void set(Deadline& item, std::uint64_t due_ms);

 private:
  void fire();
  void arm(std::uint64_t due_ms);

  net::Loop& loop_;
  Expired expired_;
  DeadlineWheel wheel_;
  std::uint64_t armed_ms_ = DeadlineWheel::kNever;
  net::Timer timer_;
};

}  // namespace postern::nameserver
