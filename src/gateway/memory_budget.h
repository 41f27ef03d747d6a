// How much memory the requests of a worker hold, and who gives some back when it gets too much: a
// client can have hundreds of streams on each of his connections, and need not read what he asked
// for. Pure; one thread, but for what all share.
//
// What waits for a peer is looked at every five seconds. Where nothing moved meanwhile it is stuck.
// Beyond the limit what is stuck goes, longest first; beyond the full mark, half as much again, at
// the end of the turn; when nothing is stuck, the newest of which nothing has moved yet.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

namespace postern::gateway {

class MemoryBudget;

/// Bytes that wait for a peer: for it to take them, or to say the rest. Counted as long as it
/// lives.
class HeldBytes {
 public:
  explicit HeldBytes(MemoryBudget& budget) : budget_(budget) {}
  virtual ~HeldBytes() { hold(0); }
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;

  /// So many now.
  void hold(std::size_t bytes);

  enum class State : std::uint8_t { kNew, kMoves, kStuck };

 protected:
  /// Nothing is held any more, and what comes has nothing to do with what was.
  void let_go() {
    hold(0);
    looked_ = false;
    state_ = State::kNew;
  }

 private:
  friend class MemoryBudget;
  /// Grows with what the peer's system has taken, or has sent: what waits here is not all that is
  /// on the way. Asked seldom, may cost a system call.
  virtual std::uint64_t moved() const = 0;
  /// They are not counted any more, and have to go.
  virtual void give_up_held() = 0;

  std::size_t taken_least() const;
  bool still_moves();

  MemoryBudget& budget_;
  HeldBytes* before_ = nullptr;  // that waits for longer; all three are for budget_
  HeldBytes* after_ = nullptr;
  State state_ = State::kNew;
  std::size_t bytes_ = 0;
  std::size_t reference_ = 0;  // less than this was taken
  std::uint64_t since_ms_ = 0;
  bool looked_ = false;
  std::uint64_t moved_ = 0;  // when it was looked at
};

class MemoryBudget {
 public:
  /// Systems open their windows in steps of hundreds of kilobytes: a slow reader needs its time.
  static constexpr std::uint64_t kLookMs = 5'000;
  static constexpr unsigned kLooksMax = 4'096;           ///< in one sweep
  static constexpr std::size_t kTakenBytes = 2U << 10;   ///< less is as nothing, and a 16th of it
  static constexpr std::size_t kSmallBytes = 16U << 10;  ///< of a request

  /// `all`: what all workers hold, as far as they have told. `full`: calls for relieve(), from
  /// inside of hold() and take().
  MemoryBudget(std::atomic<std::size_t>& all, std::function<void()> full)
      : all_(all), full_(std::move(full)) {}
  ~MemoryBudget() { all_ -= told_; }
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  /// Of all workers.
  void set_max(std::size_t bytes) {
    max_ = bytes;
    full_bytes_ = bytes > SIZE_MAX / 2 ? SIZE_MAX : bytes + bytes / 2;
  }
  void take(std::size_t bytes) {
    used_ += bytes;
    grown();
  }
  void give_back(std::size_t bytes) { used_ -= bytes; }

  /// May one more request begin, which takes this much?
  bool has_room(std::size_t bytes) const {
    return others_ + used_ + bytes <= (bytes <= kSmallBytes ? full_bytes_ : max_);
  }
  std::size_t used() const { return used_; }

  /// Now and then. How many were given up, since they were stuck.
  std::size_t sweep(std::uint64_t now_ms);
  /// Not from inside a call of those who hold. How many were given up to be below the full mark.
  std::size_t relieve();

 private:
  friend class HeldBytes;
  static constexpr std::size_t kToldBytes = 1U << 20;  // a difference the others have to know

  void grown() {
    if (used_ > told_ + kToldBytes) tell();
    if (others_ + used_ > full_bytes_) full_();
  }
  void tell() {
    all_ += used_ - std::exchange(told_, used_);
    others_ = all_ - told_;
  }
  struct Line {
    HeldBytes* first = nullptr;
    HeldBytes* last = nullptr;
    void append(HeldBytes& held);
    void remove(HeldBytes& held);
  };
  bool is_beyond(std::size_t bytes) const { return others_ + used_ > bytes; }
  Line& line(HeldBytes::State state) { return lines_[static_cast<std::size_t>(state)]; }
  void append(HeldBytes& held, HeldBytes::State state);
  void remove(HeldBytes& held) { line(held.state_).remove(held); }
  void look(Line& line);
  std::size_t give_up_stuck(std::size_t down_to);
  void give_up(HeldBytes& held);

  std::atomic<std::size_t>& all_;
  std::function<void()> full_;
  std::size_t told_ = 0;    // of it: ours
  std::size_t others_ = 0;  // of it: the rest, when we told
  std::size_t max_ = SIZE_MAX, full_bytes_ = SIZE_MAX;
  std::size_t used_ = 0;
  std::uint64_t now_ms_ = 0;  // of the last sweep
  std::array<Line, 3> lines_;
};

inline std::size_t HeldBytes::taken_least() const {
  return std::max(MemoryBudget::kTakenBytes, reference_ / 16);
}

inline void HeldBytes::hold(std::size_t bytes) {
  if (bytes == bytes_) return;
  const std::size_t before = std::exchange(bytes_, bytes);
  budget_.used_ += bytes - before;
  if (before == 0) {
    reference_ = bytes;
    budget_.append(*this, state_);
  } else if (bytes == 0) {
    budget_.remove(*this);
    state_ = State::kMoves;
  } else {
    if (bytes > before) reference_ += bytes - before;
    if (bytes + taken_least() <= reference_) {
      reference_ = bytes;
      budget_.remove(*this);
      budget_.append(*this, State::kMoves);
    }
  }
  if (bytes > before) budget_.grown();
}

}  // namespace postern::gateway
