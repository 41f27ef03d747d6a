// How much memory the requests of a worker hold, and who gives some back when it gets too much: a
// client can have hundreds of streams on each of his connections, and need not read what he asked
// for. Beyond the limit new requests are refused, and bodies are given up whose receiver takes
// nothing, the one that does so for longest first. Pure; one thread, but for what all share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace postern::gateway {

class MemoryBudget;

/// Bytes of a body that wait for their receiver. Counted as long as it lives.
class HeldBytes {
 public:
  explicit HeldBytes(MemoryBudget& budget) : budget_(budget) {}
  virtual ~HeldBytes() { hold(0); }
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;

  /// So many now.
  void hold(std::size_t bytes);

 private:
  friend class MemoryBudget;
  /// They are not counted any more, and have to go.
  virtual void give_up_held() = 0;

  MemoryBudget& budget_;
  HeldBytes* before_ = nullptr;  // that waits for longer; both are for budget_
  HeldBytes* after_ = nullptr;
  std::size_t bytes_ = 0;
  std::uint64_t since_ms_ = 0;  // the receiver has taken nothing
};

class MemoryBudget {
 public:
  static constexpr std::uint64_t kTakesNothingMs = 2'000;  ///< then it may be given up
  static constexpr std::size_t kTakenBytes = 2U << 10;     ///< less is as nothing

  /// `all`: what all workers hold, as far as they have told.
  explicit MemoryBudget(std::atomic<std::size_t>& all) : all_(all) {}
  ~MemoryBudget() { all_ -= told_; }
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  /// Of all workers.
  void set_max(std::size_t bytes) { max_ = bytes; }
  void take(std::size_t bytes) { used_ += bytes; }
  void give_back(std::size_t bytes) { used_ -= bytes; }

  bool is_short() const { return others_ + used_ > max_; }
  std::size_t used() const { return used_; }

  /// Now and then: tells the others, and has bodies given up while memory is short. How many.
  std::size_t sweep(std::uint64_t now_ms);

 private:
  friend class HeldBytes;
  void append(HeldBytes& held);
  void remove(HeldBytes& held);

  std::atomic<std::size_t>& all_;
  std::size_t told_ = 0;    // of it: ours
  std::size_t others_ = 0;  // of it: the rest, at the last sweep
  std::size_t max_ = SIZE_MAX;
  std::size_t used_ = 0;
  std::uint64_t now_ms_ = 0;  // of the last sweep
  HeldBytes* first_ = nullptr;
  HeldBytes* last_ = nullptr;
};

inline void HeldBytes::hold(std::size_t bytes) {
  if (bytes == bytes_) return;
  const bool taken = bytes == 0 || bytes + MemoryBudget::kTakenBytes <= bytes_;
  if (bytes_ != 0 && taken) budget_.remove(*this);
  const bool begins = bytes_ == 0 || taken;
  budget_.used_ += bytes - bytes_;
  bytes_ = bytes;
  if (bytes != 0 && begins) budget_.append(*this);
}

}  // namespace postern::gateway
