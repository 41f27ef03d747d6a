#include "dns/mapped_arena.h"

#include <algorithm>
#include <new>
#include <utility>

#include <sys/mman.h>

namespace postern::dns {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kFirstBytes = 16 * kPageBytes;

std::size_t whole_pages(std::size_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

MappedArena::~MappedArena() {
  if (base_ != nullptr) munmap(base_, mapped_);
}

MappedArena::MappedArena(MappedArena&& other) noexcept { *this = std::move(other); }

MappedArena& MappedArena::operator=(MappedArena&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(used_, other.used_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

void MappedArena::shrink() {
  const std::size_t pages = whole_pages(used_);
  if (pages != 0 && pages < mapped_) remap(pages);
}

// Pages mapped ahead cost nothing until they are written to.
void MappedArena::grow(std::size_t bytes) {
  remap(whole_pages(std::max({mapped_ * 2, used_ + bytes, kFirstBytes})));
}

void MappedArena::remap(std::size_t bytes) {
  void* place = base_ == nullptr ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                 : mremap(base_, mapped_, bytes, MREMAP_MAYMOVE);
  if (place == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<std::uint8_t*>(place);
  mapped_ = bytes;
}

}  // namespace postern::dns
