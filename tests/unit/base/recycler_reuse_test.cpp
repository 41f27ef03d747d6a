// What is given out again, and how much waits: of a build in which recycling is on.
#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

#include <malloc.h>

#include <doctest/doctest.h>

#include "base/recycler.h"

namespace postern {
namespace {

/// How many of `count` blocks come again after all of them were given back, in a fresh thread.
std::size_t comes_again(std::size_t size, std::size_t count) {
  std::size_t again = 0;
  std::thread([&] {
    std::vector<void*> blocks(count);
    for (void*& block : blocks) block = take_memory(size);
    const std::set<void*> first(blocks.begin(), blocks.end());
    for (void* const block : blocks) give_memory(block);
    // malloc() would give its own again just so: what it has left is taken out of the way.
    std::vector<void*> others(4 * count);
    for (void*& other : others) other = std::malloc(size);
    for (void*& block : blocks) {
      block = take_memory(size);
      again += first.count(block);
    }
    for (void* const block : blocks) give_memory(block);
    for (void* const other : others) {
      again -= first.count(other);
      std::free(other);
    }
  }).join();
  return again;
}

}  // namespace

TEST_CASE("what was freed is given out again by the same thread") {
  for (const std::size_t size : {0U, 24U, 25U, 200U, 1016U, 1032U}) {
    INFO("size: ", size);
    CHECK(comes_again(size, 128) == 128);
  }
  CHECK(comes_again(17000, 16) == 16);  // a record of TLS to write
  CHECK(comes_again(66000, 4) == 4);    // room to read several
}

TEST_CASE("the last block that came back goes out first") {
  void* const first = take_memory(100);
  void* const second = take_memory(100);
  give_memory(first);
  give_memory(second);
  CHECK(take_memory(100) == second);
  CHECK(take_memory(100) == first);
  give_memory(first);
  give_memory(second);
}

TEST_CASE("what waits in a thread is bounded") {
  // Everything that the allocator calls in use behind 1,000 blocks of each size that came back.
  std::size_t waits = 0;
  std::thread([&] {
    const std::size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (std::size_t size = 0; size < 80000; size += size < 1100 ? 16 : 1000) {
      std::vector<void*> blocks(1000);
      for (void*& block : blocks) block = take_memory(size);
      for (void* const block : blocks) give_memory(block);
    }
    waits = mallinfo2().uordblks + mallinfo2().hblkhd - before;
  }).join();
  CHECK(waits > (1U << 20));
  CHECK(waits <= (5U << 20));
}

TEST_CASE("a block of another size is not given out") {
  void* const small = take_memory(100);
  give_memory(small);
  void* const other = take_memory(400);
  CHECK(other != small);
  CHECK(malloc_usable_size(other) >= 400);
  give_memory(other);
}

}  // namespace postern
