// A growing block of memory straight from the system: it grows without copying (mremap), addresses
// inside it are offsets, and all of it goes back to the system when it is dropped. Used for zones,
// so that a reload does not leave holes in the heap. Any thread, one at a time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace postern::dns {

class MappedArena {
 public:
  MappedArena() = default;
  ~MappedArena();
  MappedArena(MappedArena&& other) noexcept;
  MappedArena& operator=(MappedArena&& other) noexcept;
  MappedArena(const MappedArena&) = delete;
  MappedArena& operator=(const MappedArena&) = delete;

  /// Appends `bytes` zero bytes, rounded up to a multiple of 4; returns their offset. Pointers
  /// taken earlier are void. Without memory it throws std::bad_alloc, as containers do.
  std::size_t append(std::size_t bytes) {
    const std::size_t offset = used_;
    const std::size_t rounded = (bytes + 3) & ~std::size_t{3};
    if (rounded > mapped_ - used_) grow(rounded);
    used_ += rounded;
    return offset;
  }
  /// Gives back all behind `size`.
  void truncate(std::size_t size) { used_ = size; }
  /// Gives back what was mapped ahead.
  void shrink();

  std::uint8_t* at(std::size_t offset) { return base_ + offset; }
  const std::uint8_t* at(std::size_t offset) const { return base_ + offset; }
  std::size_t size() const { return used_; }

 private:
  void grow(std::size_t bytes);
  void remap(std::size_t bytes);

  std::uint8_t* base_ = nullptr;
  std::size_t used_ = 0;
  std::size_t mapped_ = 0;
};

}  // namespace postern::dns
