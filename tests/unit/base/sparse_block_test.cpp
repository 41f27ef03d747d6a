#include "base/sparse_block.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include <doctest/doctest.h>

namespace postern {
namespace {

constexpr std::size_t kBytes = 12U << 10;

/// How many of its pages the kernel holds.
std::size_t resident_pages(SparseBlock& block) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> there(block.size() / page);
  REQUIRE(mincore(block.data(), block.size(), there.data()) == 0);
  return static_cast<std::size_t>(
      std::count_if(there.begin(), there.end(), [](unsigned char c) { return (c & 1) != 0; }));
}

/// One word in `step` is not zero.
std::vector<std::uint8_t> sparse_bytes(std::size_t size, unsigned step, std::mt19937* random) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t at = 0; at < size; ++at) {
    if (at / 8 % step == 0) bytes[at] = static_cast<std::uint8_t>((*random)());
  }
  return bytes;
}

bool holds(SparseBlock& block, const std::vector<std::uint8_t>& bytes) {
  return std::equal(bytes.begin(), bytes.end(), block.data());
}

TEST_CASE("what was in a block is there again, at the same place") {
  std::mt19937 random(1);
  for (const std::size_t used :
       {0UL, 1UL, 7UL, 8UL, 9UL, 511UL, 512UL, 513UL, 4096UL, 9177UL, kBytes - 1, kBytes}) {
    for (const unsigned step : {1U, 2U, 9U, 70U}) {
      CAPTURE(used);
      CAPTURE(step);
      SparseBlock block(kBytes);
      REQUIRE(block.data() != nullptr);
      std::uint8_t* const at = block.data();
      const std::vector<std::uint8_t> bytes = sparse_bytes(used, step, &random);
      if (used != 0) std::memcpy(at, bytes.data(), used);
      for (int round = 0; round < 3; ++round) {
        block.pack(used);
        CHECK(block.is_packed());
        block.unpack();
        CHECK_FALSE(block.is_packed());
        CHECK(block.data() == at);
        CHECK(holds(block, bytes));
      }
    }
  }
}

TEST_CASE("pages of a packed block belong to the kernel") {
  std::mt19937 random(2);
  SparseBlock block(kBytes);
  const std::vector<std::uint8_t> bytes = sparse_bytes(kBytes, 1, &random);
  std::memcpy(block.data(), bytes.data(), kBytes);
  CHECK(resident_pages(block) == block.size() / static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  block.pack(kBytes);
  CHECK(resident_pages(block) == 0);
  block.pack(kBytes);  // once more is nothing
  block.unpack();
  CHECK(holds(block, bytes));
  block.unpack();
  CHECK(holds(block, bytes));
}

TEST_CASE("blocks of several sizes come and go, packed or not, and never share a byte") {
  std::mt19937 random(3);
  struct Held {
    std::optional<SparseBlock> block;
    std::vector<std::uint8_t> bytes;
  };
  std::vector<Held> all(300);  // several slabs, and more than stay warm
  constexpr std::array<std::size_t, 3> kSizes{4U << 10, 8U << 10, kBytes};
  for (int step = 0; step < 6'000; ++step) {
    Held& held = all[random() % all.size()];
    if (!held.block) {
      held.block.emplace(kSizes[random() % kSizes.size()]);
      held.bytes = sparse_bytes(held.block->size() - random() % 100,
                                1 + static_cast<unsigned>(random() % 5), &random);
      std::memcpy(held.block->data(), held.bytes.data(), held.bytes.size());
    } else if (random() % 3 == 0) {
      held.block.reset();
    } else if (random() % 2 == 0) {
      held.block->pack(held.bytes.size());
    } else {
      held.block->unpack();
      CHECK(holds(*held.block, held.bytes));
    }
  }
  for (Held& held : all) {
    if (!held.block) continue;
    held.block->unpack();
    CHECK(holds(*held.block, held.bytes));
  }
}

TEST_CASE("a block outlives its thread") {
  std::optional<SparseBlock> block;
  std::thread([&block] {
    block.emplace(kBytes);
    std::memset(block->data(), 7, kBytes);
    block->pack(kBytes);
  }).join();
  block->unpack();
  CHECK(std::all_of(block->data(), block->data() + kBytes, [](std::uint8_t b) { return b == 7; }));
}

TEST_CASE("a block knows its own memory") {
  SparseBlock block(5'000);
  CHECK(block.size() >= 5'000);
  CHECK(block.contains(block.data()));
  CHECK(block.contains(block.data() + block.size() - 1));
  CHECK_FALSE(block.contains(block.data() + block.size()));
  CHECK_FALSE(block.contains(nullptr));
  CHECK(block.bytes_behind(block.data() + 100) == block.size() - 100);
}

}  // namespace
}  // namespace postern
