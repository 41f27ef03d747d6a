// Memory for a structure of a library that is large, and nearly all zeros while its connection is
// idle: pack() keeps what is not zero and gives the pages back to the kernel, unpack() puts
// everything where it was. Made, used and destroyed on one thread, or on another one after that
// thread has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace postern {

class SparseBlock {
 public:
  /// Pages of its own for `bytes`; not zeroed. At least 4 KiB; blocks of few different sizes.
  explicit SparseBlock(std::size_t bytes);
  ~SparseBlock();
  SparseBlock(const SparseBlock&) = delete;
  SparseBlock& operator=(const SparseBlock&) = delete;

  /// nullptr: out of memory.
  std::uint8_t* data() { return data_; }
  std::size_t size() const { return size_; }
  bool contains(const void* memory) const {
    const auto* const at = static_cast<const std::uint8_t*>(memory);
    return data_ != nullptr && at >= data_ && at < data_ + size_;
  }
  /// REQUIRES: contains(memory)
  std::size_t bytes_behind(const void* memory) const {
    return static_cast<std::size_t>(data_ + size_ - static_cast<const std::uint8_t*>(memory));
  }

  /// REQUIRES: nobody touches the block until unpack(); only its first `used` bytes matter. 8 KiB
  /// take some 3 us, and as much to unpack.
  void pack(std::size_t used);
  void unpack();
  bool is_packed() const { return packed_ != nullptr; }

 private:
  class Pages;

  std::shared_ptr<Pages> pages_;
  std::size_t size_;
  std::uint8_t* data_;
  // For each word that matters a bit that says whether it is not zero, then those words.
  std::unique_ptr<std::uint64_t[]> packed_;
  std::size_t words_ = 0;   // that matter
  std::size_t filled_ = 0;  // words in packed_
};

}  // namespace postern
