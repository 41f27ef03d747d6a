#include "dns/cache_ring.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>

namespace postern::dns {

namespace {

constexpr std::size_t kPageBytes = 4096;

}  // namespace

CacheRing::CacheRing(std::size_t capacity_bytes)
    : capacity_(capacity_bytes / kPageBytes * kPageBytes) {
  if (capacity_ == 0) return;
  void* memory = mmap(nullptr, capacity_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  // Every stripe begins to fill at its start: huge pages would make all of them resident at once.
  madvise(memory, capacity_, MADV_NOHUGEPAGE);
  memory_ = static_cast<std::uint8_t*>(memory);
}

CacheRing::~CacheRing() {
  if (memory_ != nullptr) munmap(memory_, capacity_);
}

std::size_t CacheRing::append(std::size_t size) {
  assert(size % kUnit == 0);
  const std::size_t room_end = wrapped_ ? head_ : capacity_;
  if (size > room_end - tail_) {
    if (wrapped_ || size > head_) return kNone;
    wrapped_ = true;
    lap_end_ = tail_;
    tail_ = 0;
  }
  const std::size_t offset = tail_;
  tail_ += size;
  touched_ = std::max(touched_, tail_);
  return offset;
}

std::size_t CacheRing::next(std::size_t offset, std::size_t size) const {
  const std::size_t behind = offset + size;
  if (wrapped_ && behind == lap_end_) return tail_ == 0 ? kNone : 0;
  return behind == tail_ ? kNone : behind;
}

void CacheRing::drop_oldest(std::size_t size) {
  assert(!empty());
  head_ += size;
  if (wrapped_ && head_ == lap_end_) {
    head_ = 0;
    wrapped_ = false;
  }
  if (empty()) head_ = tail_ = 0;
}

std::size_t CacheRing::renew_oldest(std::size_t size) {
  const std::size_t from = head_;
  drop_oldest(size);
  // What was just given up is enough: it borders on the gap, or the next lap begins in front of it.
  const std::size_t to = append(size);
  assert(to != kNone);
  if (to != from) std::memmove(memory_ + to, memory_ + from, size);
  return to;
}

std::size_t CacheRing::touched() const {
  return (touched_ + kPageBytes - 1) / kPageBytes * kPageBytes;
}

void CacheRing::clear() {
  if (touched_ != 0) madvise(memory_, touched_, MADV_DONTNEED);
  head_ = tail_ = lap_end_ = touched_ = 0;
  wrapped_ = false;
}

}  // namespace postern::dns
