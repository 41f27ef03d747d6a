#include "http/h2_queue.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>

namespace postern::http::h2 {

void ByteQueue::append(Bytes bytes) {
  if (bytes.empty()) return;
  if (keeps_ && begin_ + size_ + bytes.size() > kKeptBytes) forget();
  if (capacity_ - begin_ - size_ < bytes.size()) make_room(bytes.size());
  std::memcpy(data_.get() + begin_ + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void ByteQueue::take(MutableBytes out) {
  assert(out.size() <= size_);
  if (out.empty()) return;
  std::memcpy(out.data(), data_.get() + begin_, out.size());
  begin_ += out.size();
  size_ -= out.size();
  if (keeps_) return;
  whole_ = false;
  if (size_ == 0) clear();
}

void ByteQueue::forget() {
  keeps_ = false;
  if (begin_ == 0) return;
  whole_ = false;
  if (size_ == 0) clear();
}

std::optional<Bytes> ByteQueue::all() const {
  if (!whole_) return std::nullopt;
  return Bytes(data_.get(), begin_ + size_);
}

void ByteQueue::clear() {
  whole_ = whole_ && begin_ + size_ == 0;
  data_.reset();
  capacity_ = begin_ = size_ = 0;
}

// What was taken makes room again once it is at least as much as what is left, so that a byte is
// moved about once.
void ByteQueue::make_room(std::size_t bytes) {
  const std::size_t from = keeps_ ? 0 : begin_;
  const std::size_t held = begin_ + size_ - from;
  const std::size_t needed = held + bytes;
  if (needed <= capacity_ && from >= held) {
    if (held != 0) std::memcpy(data_.get(), data_.get() + from, held);
    begin_ -= from;
    return;
  }
  const std::size_t capacity = held == 0 ? bytes : std::max(needed, 2 * capacity_);
  decltype(data_) larger(static_cast<std::uint8_t*>(take_memory(capacity)));
  if (larger == nullptr) throw std::bad_alloc();
  if (held != 0) std::memcpy(larger.get(), data_.get() + from, held);
  data_ = std::move(larger);
  capacity_ = capacity;
  begin_ -= from;
}

}  // namespace postern::http::h2
