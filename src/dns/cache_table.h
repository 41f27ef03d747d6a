// Where the entries of one stripe stand: hash tags to offsets, open addressing with linear probing.
// Grows as entries come, up to a number of slots fixed at the start. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace postern::dns {

class CacheTable {
 public:
  static constexpr std::size_t kSlotBytes = 8;
  static constexpr std::size_t kNone = SIZE_MAX;

  explicit CacheTable(std::size_t slots_max);

  /// The first offset with this tag for which `matches(offset)` holds, or kNone.
  template <class Matches>
  std::size_t find(std::uint32_t tag, Matches matches) const {
    for (std::size_t i = home(tag);; i = following(i)) {
      const Slot slot = slots_[i];
      if (slot.place == 0) return kNone;
      if (slot.tag == tag && matches(offset_of(slot))) return offset_of(slot);
    }
  }

  /// False when the table is full and can't grow: an entry has to go first.
  bool make_room();
  /// REQUIRES: make_room() said true since the last insert.
  void insert(std::uint32_t tag, std::size_t offset);
  /// REQUIRES for both: an entry with this tag and offset is there.
  void move(std::uint32_t tag, std::size_t from, std::size_t to);
  void erase(std::uint32_t tag, std::size_t offset);
  void clear();

  std::size_t count() const { return count_; }
  std::size_t bytes() const { return size_ * kSlotBytes; }
  /// The most that bytes() can become, plus the smaller table that is there while it grows.
  static std::size_t bytes_max(std::size_t slots_max);

 private:
  struct Slot {
    std::uint32_t tag;
    std::uint32_t place;  // offset / CacheRing::kUnit + 1; 0 = empty
  };

  std::size_t home(std::uint32_t tag) const {
    return static_cast<std::size_t>((std::uint64_t{tag} * size_) >> 32);
  }
  std::size_t following(std::size_t i) const { return i + 1 == size_ ? 0 : i + 1; }
  static std::size_t offset_of(Slot slot) { return (std::size_t{slot.place} - 1) * 8; }
  std::size_t slot_of(std::uint32_t tag, std::size_t offset) const;
  void put(Slot slot);
  void resize(std::size_t size);

  std::size_t size_max_;
  std::size_t size_ = 0;
  std::size_t count_ = 0;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace postern::dns
