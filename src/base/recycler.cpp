#include "base/recycler.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <malloc.h>

namespace postern {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kRecycles = false;
#else
constexpr bool kRecycles = true;
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kRecycles = false;
#else
constexpr bool kRecycles = true;
#endif

// malloc() gives blocks of 16 n + 8 usable bytes, 24 at least.
constexpr std::size_t kStep = 16;
constexpr std::size_t kSmallMax = 1032;
constexpr std::size_t kClasses = kSmallMax / kStep;
constexpr std::size_t kPage = 4U << 10;
constexpr std::uint16_t kSmallKept = 128;

struct LargeClass {
  std::size_t least, most;
  std::uint16_t kept;
};
// OpenSSL's buffers for a record to write, and for reading several at once.
constexpr std::array<LargeClass, 2> kLarge{{{16U << 10, 20U << 10, 16}, {64U << 10, 68U << 10, 4}}};

struct Block {
  Block* next;
};

struct Shelf {
  Block* first = nullptr;
  std::uint16_t count = 0;

  void* take() {
    Block* const block = first;
    if (block == nullptr) return nullptr;
    first = block->next;
    --count;
    return block;
  }
  bool keep(void* memory, std::uint16_t most) {
    if (count == most) return false;
    ++count;
    auto* const block = static_cast<Block*>(memory);
    block->next = first;
    first = block;
    return true;
  }
};

struct Shelves {
  std::array<Shelf, kClasses> small;       // [n]: of 16 n + 24 usable bytes
  std::array<Shelf, kLarge.size()> large;  // [n]: of kLarge[n].most usable bytes
};

// Without a destructor: at the end of a thread others may still free.
thread_local constinit Shelves shelves;

std::size_t class_of_request(std::size_t size) { return size <= 24 ? 0 : (size - 9) / kStep; }

void* take_large(std::size_t size) {
  for (std::size_t i = 0; i < kLarge.size(); ++i) {
    if (size < kLarge[i].least || size > kLarge[i].most) continue;
    void* const kept = shelves.large[i].take();
    return kept != nullptr ? kept : std::malloc(kLarge[i].most);
  }
  return std::malloc(size);
}

bool keep_large(void* memory, std::size_t usable) {
  for (std::size_t i = 0; i < kLarge.size(); ++i) {
    if (usable < kLarge[i].most || usable >= kLarge[i].most + kPage) continue;
    return shelves.large[i].keep(memory, kLarge[i].kept);
  }
  return false;
}

}  // namespace

void* take_memory(std::size_t size) {
  if (!kRecycles) return std::malloc(size);
  if (size <= kSmallMax) {
    const std::size_t at = class_of_request(size);
    void* const kept = at < kClasses ? shelves.small[at].take() : nullptr;
    return kept != nullptr ? kept : std::malloc(size);
  }
  return take_large(size);
}

void give_memory(void* memory) {
  if (!kRecycles || memory == nullptr) {
    std::free(memory);
    return;
  }
  const std::size_t usable = malloc_usable_size(memory);
  bool kept = false;
  if (usable <= kSmallMax) {
    const std::size_t at = (usable - 24) / kStep;
    kept = at < kClasses && shelves.small[at].keep(memory, kSmallKept);
  } else {
    kept = keep_large(memory, usable);
  }
  if (!kept) std::free(memory);
}

void* take_zeroed_memory(std::size_t count, std::size_t size) {
  if (size == 0) size = 1;
  if (count > SIZE_MAX / size) return nullptr;
  if (!kRecycles || count > kSmallMax / size) return std::calloc(count, size);
  void* const memory = take_memory(count * size);
  return memory == nullptr ? nullptr : std::memset(memory, 0, count * size);
}

void* resize_memory(void* memory, std::size_t size) {
  if (memory == nullptr) return take_memory(size);
  return std::realloc(memory, size);
}

}  // namespace postern
