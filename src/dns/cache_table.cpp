#include "dns/cache_table.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "dns/cache_ring.h"

namespace postern::dns {

namespace {

constexpr std::size_t kSlotsAtStart = 16;

/// At 4/5 a look-up that misses reads 13 slots on average: two cache lines.
std::size_t count_max(std::size_t slots) { return slots / 5 * 4; }

}  // namespace

static_assert(CacheRing::kUnit == 8, "CacheTable::offset_of");

CacheTable::CacheTable(std::size_t slots_max) : size_max_(std::max(slots_max, kSlotsAtStart)) {
  static_assert(sizeof(Slot) == kSlotBytes);
  clear();
}

std::size_t CacheTable::bytes_max(std::size_t slots_max) {
  // The last step of growing has two thirds beside the whole, see make_room().
  return std::max(slots_max, kSlotsAtStart) * kSlotBytes * 5 / 3;
}

std::size_t CacheTable::slot_of(std::uint32_t tag, std::size_t offset) const {
  const auto place = static_cast<std::uint32_t>(offset / CacheRing::kUnit + 1);
  std::size_t i = home(tag);
  while (slots_[i].place != place) {
    assert(slots_[i].place != 0);
    i = following(i);
  }
  return i;
}

void CacheTable::put(Slot slot) {
  std::size_t i = home(slot.tag);
  while (slots_[i].place != 0) i = following(i);
  slots_[i] = slot;
}

void CacheTable::resize(std::size_t size) {
  const std::unique_ptr<Slot[]> old = std::exchange(slots_, std::make_unique<Slot[]>(size));
  const std::size_t old_size = std::exchange(size_, size);
  for (std::size_t i = 0; i < old_size; ++i) {
    if (old[i].place != 0) put(old[i]);
  }
}

bool CacheTable::make_room() {
  if (count_ < count_max(size_)) return true;
  if (size_ == size_max_) return false;
  // A last step of less than one half would cost a whole copy for little.
  resize(size_ * 3 > size_max_ ? size_max_ : size_ * 2);
  return true;
}

void CacheTable::insert(std::uint32_t tag, std::size_t offset) {
  assert(count_ < count_max(size_));
  put({tag, static_cast<std::uint32_t>(offset / CacheRing::kUnit + 1)});
  ++count_;
}

void CacheTable::move(std::uint32_t tag, std::size_t from, std::size_t to) {
  slots_[slot_of(tag, from)].place = static_cast<std::uint32_t>(to / CacheRing::kUnit + 1);
}

void CacheTable::erase(std::uint32_t tag, std::size_t offset) {
  std::size_t hole = slot_of(tag, offset);
  // Those behind that were pushed past the hole move up, so that no probe stops too early.
  for (std::size_t i = following(hole); slots_[i].place != 0; i = following(i)) {
    const std::size_t wanted = home(slots_[i].tag);
    const std::size_t pushed = i >= wanted ? i - wanted : i + size_ - wanted;
    const std::size_t to_hole = i >= hole ? i - hole : i + size_ - hole;
    if (pushed >= to_hole) {
      slots_[hole] = slots_[i];
      hole = i;
    }
  }
  slots_[hole].place = 0;
  --count_;
}

void CacheTable::clear() {
  slots_.reset();
  size_ = 0;
  count_ = 0;
  resize(kSlotsAtStart);
}

}  // namespace postern::dns
