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

}  // namespace
}  // namespace postern::test
