// Memory of one stripe of the cache: blocks written one behind the other, the oldest taken away at
// the other end. No free lists and no gaps but one at the end of a lap, so the limit in bytes is
// exact. Pages are touched as they are used. Not thread-safe: the stripe's lock guards it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace postern::dns {

class CacheRing {
 public:
  static constexpr std::size_t kUnit = 8;  ///< sizes and offsets are multiples of it
  static constexpr std::size_t kNone = SIZE_MAX;

  /// Reserves address space only. Throws std::bad_alloc when there is none.
  explicit CacheRing(std::size_t capacity_bytes);
  ~CacheRing();
  CacheRing(const CacheRing&) = delete;
  CacheRing& operator=(const CacheRing&) = delete;

  std::uint8_t* at(std::size_t offset) { return memory_ + offset; }
  const std::uint8_t* at(std::size_t offset) const { return memory_ + offset; }

  /// The offset of a new block, or kNone when the oldest has to go first.
  std::size_t append(std::size_t size);

  std::size_t oldest() const { return empty() ? kNone : head_; }
  /// The block behind this one, or kNone.
  std::size_t next(std::size_t offset, std::size_t size) const;
  /// REQUIRES: !empty(), and `size` is what the oldest block was made with.
  void drop_oldest(std::size_t size);
  /// Moves the oldest block to the young end, where there always is room for it; returns its new
  /// offset.
  std::size_t renew_oldest(std::size_t size);

  bool empty() const { return !wrapped_ && head_ == tail_; }
  /// Forgets all blocks and gives the memory back.
  void clear();
  /// Memory held: bytes of the pages written to since clear().
  std::size_t touched() const;
  std::size_t capacity() const { return capacity_; }

 private:
  std::size_t capacity_;
  std::uint8_t* memory_ = nullptr;
  std::size_t head_ = 0;     // oldest block
  std::size_t tail_ = 0;     // where the next one goes
  std::size_t lap_end_ = 0;  // when wrapped: blocks stand in [head, lap_end) and [0, tail)
  std::size_t touched_ = 0;
  bool wrapped_ = false;
};

}  // namespace postern::dns
