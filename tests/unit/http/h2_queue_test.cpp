#include "http/h2_queue.h"

#include <doctest/doctest.h>

#include <deque>
#include <random>
#include <vector>

namespace postern::test {
namespace {

using http::h2::ByteQueue;

TEST_CASE("bytes leave in the order in which they came, in whatever pieces") {
  std::mt19937 random(7);
  ByteQueue queue;
  std::deque<std::uint8_t> model;
  for (int round = 0; round < 20'000; ++round) {
    if (random() % 2 == 0) {
      std::vector<std::uint8_t> in(random() % 100);
      for (std::uint8_t& byte : in) byte = static_cast<std::uint8_t>(random());
      queue.append(in);
      model.insert(model.end(), in.begin(), in.end());
    } else {
      std::vector<std::uint8_t> out(random() % (queue.size() + 1));
      queue.take(out);
      REQUIRE(std::equal(out.begin(), out.end(), model.begin()));
      model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(out.size()));
    }
    REQUIRE(queue.size() == model.size());
    REQUIRE(queue.empty() == model.empty());
  }
  queue.clear();
  CHECK(queue.empty());
}

TEST_CASE("what was taken can be had again until it is forgotten, or too much") {
  std::mt19937 random(8);
  for (int round = 0; round < 500; ++round) {
    ByteQueue queue;
    std::vector<std::uint8_t> came;
    std::size_t taken = 0;
    bool keeps = true;
    bool whole = true;
    queue.keep();
    for (int step = 0; step < 60; ++step) {
      std::vector<std::uint8_t> bytes(random() % 1000);
      for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
      if (random() % 2 == 0) {
        queue.append(bytes);
        came.insert(came.end(), bytes.begin(), bytes.end());
        keeps = keeps && came.size() <= ByteQueue::kKeptBytes;
      } else {
        bytes.resize(std::min(bytes.size(), queue.size()));
        queue.take(bytes);
        REQUIRE(std::equal(bytes.begin(), bytes.end(),
                           came.begin() + static_cast<std::ptrdiff_t>(taken)));
        taken += bytes.size();
      }
      if (random() % 50 == 0) {
        queue.forget();
        keeps = false;
      }
      whole = whole && (keeps || taken == 0);
      const auto all = queue.all();
      REQUIRE(all.has_value() == whole);
      if (all) REQUIRE(std::equal(all->begin(), all->end(), came.begin(), came.end()));
      REQUIRE(queue.size() == came.size() - taken);
    }
  }
}

}  // namespace
}  // namespace postern::test
