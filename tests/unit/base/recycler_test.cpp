#include "base/recycler.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace postern {
namespace {

constexpr std::array<std::size_t, 22> kSizes{0,     1,     8,     24,    25,    40,    41,    56,
                                             1016,  1017,  1032,  1033,  4096,  16383, 16384, 17000,
                                             20480, 20481, 65536, 66000, 69632, 70000};

struct Held {
  std::uint8_t* at;
  std::size_t size;
  std::uint8_t mark;
};

bool is_whole(const Held& held) {
  return std::all_of(held.at, held.at + held.size,
                     [&held](std::uint8_t byte) { return byte == held.mark; });
}

// Blocks that are in use at the same time keep what was written to all of their bytes.
void use_all_sizes(unsigned rounds) {
  std::vector<Held> held;
  for (unsigned round = 0; round < rounds; ++round) {
    for (const std::size_t size : kSizes) {
      const auto mark = static_cast<std::uint8_t>(held.size() + round);
      auto* const at = static_cast<std::uint8_t*>(take_memory(size));
      REQUIRE(at != nullptr);
      std::memset(at, mark, size);
      held.push_back({at, size, mark});
    }
    // Those of the round before go, in another order than they came.
    if (held.size() < 2 * kSizes.size()) continue;
    for (std::size_t i = 0; i < kSizes.size(); ++i) {
      const std::size_t gone = (i * 7 + round) % held.size();
      CHECK(is_whole(held[gone]));
      give_memory(held[gone].at);
      held[gone] = held.back();
      held.pop_back();
    }
  }
  for (const Held& one : held) {
    CHECK(is_whole(one));
    give_memory(one.at);
  }
}

}  // namespace

TEST_CASE("blocks in use never share memory") { use_all_sizes(200); }

TEST_CASE("more blocks than are kept") {
  for (const std::size_t size : kSizes) {
    std::vector<void*> blocks(500);
    for (void*& block : blocks) block = take_memory(size);
    std::vector<void*> sorted = blocks;
    std::sort(sorted.begin(), sorted.end());
    CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
    for (void* block : blocks) give_memory(block);
  }
}

TEST_CASE("memory that is to be zero is, after it was used") {
  for (const std::size_t size : kSizes) {
    void* const used = take_memory(size);
    std::memset(used, 0xFF, size);
    give_memory(used);
    auto* const zeroed = static_cast<std::uint8_t*>(take_zeroed_memory(1, size));
    CHECK(is_whole({zeroed, size, 0}));
    give_memory(zeroed);
  }
  CHECK(take_zeroed_memory(SIZE_MAX / 2, 3) == nullptr);
}

TEST_CASE("a block grows and keeps its content") {
  auto* block = static_cast<std::uint8_t*>(resize_memory(nullptr, 10));
  std::memset(block, 7, 10);
  for (const std::size_t size : {40U, 500U, 20000U, 70000U, 10U}) {
    block = static_cast<std::uint8_t*>(resize_memory(block, size));
    CHECK(is_whole({block, 10, 7}));
  }
  give_memory(block);
  give_memory(nullptr);
}

TEST_CASE("a block may be freed by another thread") {
  std::vector<void*> blocks;
  for (const std::size_t size : kSizes) blocks.push_back(take_memory(size));
  std::thread([&blocks] {
    for (void* block : blocks) give_memory(block);
    use_all_sizes(5);
  }).join();
  use_all_sizes(5);
}

}  // namespace postern
