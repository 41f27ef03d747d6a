// Pointers found by a hash that their owner keeps: open addressing, linear probing, no tombstones
// (what follows moves up on removal), grows by doubling. Nothing is allocated per entry. What makes
// two entries equal is the caller's to say.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace postern::nameserver {

template <class T>
class FlatTable {
 public:
  std::size_t size() const { return size_; }

  template <class Same>  // bool same(const T&)
  T* find(std::uint64_t hash, Same same) const {
    if (slots_.empty()) return nullptr;
    for (std::size_t at = home(hash); slots_[at].value != nullptr; at = next(at)) {
      if (slots_[at].hash == hash && same(*slots_[at].value)) return slots_[at].value;
    }
    return nullptr;
  }

  void insert(std::uint64_t hash, T* value) {
    if ((size_ + 1) * 2 > slots_.size()) grow();
    place({hash, value});
    ++size_;
  }

  /// REQUIRES: `value` was inserted with this hash and not erased.
  void erase(std::uint64_t hash, const T* value) {
    std::size_t hole = home(hash);
    while (slots_[hole].value != value) {
      assert(slots_[hole].value != nullptr);
      hole = next(hole);
    }
    for (std::size_t at = next(hole); slots_[at].value != nullptr; at = next(at)) {
      const std::size_t reach = (at - home(slots_[at].hash)) & (slots_.size() - 1);
      if (reach < ((at - hole) & (slots_.size() - 1))) continue;
      slots_[hole] = slots_[at];
      hole = at;
    }
    slots_[hole] = {};
    --size_;
  }

 private:
  struct Slot {
    std::uint64_t hash = 0;
    T* value = nullptr;
  };

  std::size_t home(std::uint64_t hash) const {
    return static_cast<std::size_t>((hash * 0x9e3779b97f4a7c15ULL) >> 32) & (slots_.size() - 1);
  }
  std::size_t next(std::size_t at) const { return (at + 1) & (slots_.size() - 1); }

  void place(const Slot& slot) {
    std::size_t at = home(slot.hash);
    while (slots_[at].value != nullptr) at = next(at);
    slots_[at] = slot;
  }

  void grow() {
    std::vector<Slot> old(slots_.empty() ? 64 : slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.value != nullptr) place(slot);
    }
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace postern::nameserver
