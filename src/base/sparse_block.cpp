#include "base/sparse_block.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#define POSTERN_LEAK_ROOT(at, bytes) __lsan_register_root_region(at, bytes)
#define POSTERN_NO_LEAK_ROOT(at, bytes) __lsan_unregister_root_region(at, bytes)
#endif
#endif
#ifndef POSTERN_LEAK_ROOT
#define POSTERN_LEAK_ROOT(at, bytes) static_cast<void>(0)
#define POSTERN_NO_LEAK_ROOT(at, bytes) static_cast<void>(0)
#endif

namespace postern {
namespace {

constexpr std::size_t kBlocksPerSlab = 64;
// Free blocks that keep their pages, for the next connections.
constexpr std::size_t kWarmBlocks = 64;
constexpr std::size_t kWordBytes = sizeof(std::uint64_t);
constexpr std::size_t kWordBits = 64;

std::size_t whole_pages(std::size_t bytes) {
  static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

std::size_t words_of_bits(std::size_t bits) { return (bits + kWordBits - 1) / kWordBits; }

std::uint64_t word_at(const std::uint8_t* from) {
  std::uint64_t word = 0;
  std::memcpy(&word, from, kWordBytes);
  return word;
}

}  // namespace

/// The blocks of one size that a thread has made.
class SparseBlock::Pages {
 public:
  explicit Pages(std::size_t bytes) : bytes_(bytes) {}
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  /// Those of this thread; REQUIRES: bytes are whole pages
  static std::shared_ptr<Pages> of(std::size_t bytes);

  std::uint8_t* take();
  void give(std::uint8_t* block, bool is_empty);
  void drop(std::uint8_t* block) const { madvise(block, bytes_, MADV_DONTNEED); }

 private:
  bool add_slab();

  std::size_t bytes_;
  std::vector<std::uint8_t*> slabs_;
  std::vector<std::uint8_t*> cold_, warm_;  // that are free: without pages, and with
};

SparseBlock::Pages::~Pages() {
  for (std::uint8_t* slab : slabs_) {
    POSTERN_NO_LEAK_ROOT(slab, kBlocksPerSlab * bytes_);
    munmap(slab, kBlocksPerSlab * bytes_);
  }
}

std::shared_ptr<SparseBlock::Pages> SparseBlock::Pages::of(std::size_t bytes) {
  thread_local std::vector<std::shared_ptr<Pages>> all;
  for (const auto& pages : all) {
    if (pages->bytes_ == bytes) return pages;
  }
  return all.emplace_back(std::make_shared<Pages>(bytes));
}

std::uint8_t* SparseBlock::Pages::take() {
  if (warm_.empty() && cold_.empty() && !add_slab()) return nullptr;
  std::vector<std::uint8_t*>& blocks = warm_.empty() ? cold_ : warm_;
  std::uint8_t* const block = blocks.back();
  blocks.pop_back();
  return block;
}

void SparseBlock::Pages::give(std::uint8_t* block, bool is_empty) {
  if (!is_empty && warm_.size() < kWarmBlocks) {
    warm_.push_back(block);
    return;
  }
  if (!is_empty) drop(block);
  cold_.push_back(block);
}

bool SparseBlock::Pages::add_slab() {
  const std::size_t size = kBlocksPerSlab * bytes_;
  void* const made =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (made == MAP_FAILED) return false;
  madvise(made, size, MADV_NOHUGEPAGE);  // a huge page is there as a whole or not at all
  POSTERN_LEAK_ROOT(made, size);
  auto* const slab = static_cast<std::uint8_t*>(made);
  slabs_.push_back(slab);
  for (std::size_t i = kBlocksPerSlab; i > 0; --i) cold_.push_back(slab + (i - 1) * bytes_);
  return true;
}

SparseBlock::SparseBlock(std::size_t bytes)
    : pages_(Pages::of(whole_pages(bytes))), size_(whole_pages(bytes)), data_(pages_->take()) {}

SparseBlock::~SparseBlock() {
  if (is_packed()) explicit_bzero(packed_.get(), filled_ * kWordBytes);
  if (data_ != nullptr) pages_->give(data_, is_packed());
}

void SparseBlock::pack(std::size_t used) {
  if (data_ == nullptr || is_packed()) return;
  words_ = std::min(size_, used + kWordBytes - 1) / kWordBytes;
  filled_ = words_of_bits(words_);
  for (std::size_t i = 0; i < words_; ++i) filled_ += word_at(data_ + i * kWordBytes) != 0 ? 1 : 0;
  packed_ = std::make_unique<std::uint64_t[]>(filled_);
  std::uint64_t* next = packed_.get() + words_of_bits(words_);
  for (std::size_t i = 0; i < words_; ++i) {
    const std::uint64_t word = word_at(data_ + i * kWordBytes);
    if (word == 0) continue;
    packed_[i / kWordBits] |= std::uint64_t{1} << (i % kWordBits);
    *next++ = word;
  }
  pages_->drop(data_);
}

// What is copied may be keys.
void SparseBlock::unpack() {
  if (!is_packed()) return;
  const std::uint64_t* next = packed_.get() + words_of_bits(words_);
  for (std::size_t i = 0; i < words_; ++i) {
    if ((packed_[i / kWordBits] >> (i % kWordBits) & 1) == 0) continue;
    std::memcpy(data_ + i * kWordBytes, next, kWordBytes);
    ++next;
  }
  explicit_bzero(packed_.get(), filled_ * kWordBytes);
  packed_.reset();
}

}  // namespace postern
