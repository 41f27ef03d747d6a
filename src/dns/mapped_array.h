// A growing array in pages of its own: grows by moving pages instead of copying (no second copy at
// the peak), and its memory goes back to the system at once. For millions of plain elements.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include <sys/mman.h>

namespace postern::dns {

template <class T>
class MappedArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  MappedArray() = default;
  ~MappedArray() { release(); }
  MappedArray(const MappedArray&) = delete;
  MappedArray& operator=(const MappedArray&) = delete;
  MappedArray(MappedArray&& other) noexcept { swap(other); }
  MappedArray& operator=(MappedArray&& other) noexcept {
    if (this != &other) {
      release();
      swap(other);
    }
    return *this;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t mapped_bytes() const { return mapped_bytes_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](std::size_t i) {
    assert(i < size_);
    return data_[i];
  }
  const T& operator[](std::size_t i) const {
    assert(i < size_);
    return data_[i];
  }

  void push_back(const T& value) {
    const T copy = value;
    reserve(size_ + 1);
    data_[size_++] = copy;
  }

  /// `values` may stand in this array.
  void append(const T* values, std::size_t count) {
    const bool inside = values >= data_ && values < data_ + size_;
    const std::size_t at = inside ? static_cast<std::size_t>(values - data_) : 0;
    reserve(size_ + count);
    if (count != 0) std::memcpy(data_ + size_, inside ? data_ + at : values, count * sizeof(T));
    size_ += count;
  }

  /// New elements are zero when they were never used before.
  void resize(std::size_t count) {
    reserve(count);
    size_ = count;
  }

  void reserve(std::size_t count) {
    if (count * sizeof(T) <= mapped_bytes_) return;
    remap(std::max(count * sizeof(T), mapped_bytes_ + mapped_bytes_ / 2));
  }

  /// Gives unused pages back.
  void shrink_to_fit() {
    if (size_ != 0) remap(size_ * sizeof(T));
  }

  void release() {
    if (data_ != nullptr) munmap(data_, mapped_bytes_);
    data_ = nullptr;
    size_ = mapped_bytes_ = 0;
  }

 private:
  static constexpr std::size_t kPageBytes = 4096;

  void swap(MappedArray& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
  }

  void remap(std::size_t bytes) {
    bytes = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
    if (bytes == mapped_bytes_) return;
    void* pages = data_ == nullptr ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                   : mremap(data_, mapped_bytes_, bytes, MREMAP_MAYMOVE);
    if (pages == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<T*>(pages);
    mapped_bytes_ = bytes;
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_bytes_ = 0;
};

}  // namespace postern::dns
