#include "gateway/memory_budget.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace postern::gateway {
namespace {

struct Body final : public HeldBytes {
  Body(MemoryBudget& budget, std::string name, std::vector<std::string>& given_up)
      : HeldBytes(budget), name_(std::move(name)), given_up_(given_up) {}
  void give_up_held() override { given_up_.push_back(name_); }

  std::string name_;
  std::vector<std::string>& given_up_;
};

using Names = std::vector<std::string>;

struct Worker {
  explicit Worker(std::atomic<std::size_t>& all) : budget(all) { budget.set_max(100'000); }
  std::unique_ptr<Body> body(const std::string& name, std::size_t bytes) {
    auto made = std::make_unique<Body>(budget, name, given_up);
    made->hold(bytes);
    return made;
  }
  MemoryBudget budget;
  Names given_up;
};

}  // namespace

TEST_CASE("what is held counts until it is let go or gone") {
  std::atomic<std::size_t> all{0};
  Worker worker(all);
  worker.budget.take(10'000);
  auto one = worker.body("one", 50'000);
  auto two = worker.body("two", 30'000);
  CHECK(worker.budget.used() == 90'000);
  CHECK_FALSE(worker.budget.is_short());
  two->hold(45'000);
  CHECK(worker.budget.used() == 105'000);
  CHECK(worker.budget.is_short());
  two->hold(0);
  two->hold(0);
  CHECK(worker.budget.used() == 60'000);
  one.reset();
  worker.budget.give_back(10'000);
  CHECK(worker.budget.used() == 0);
}

TEST_CASE("who takes nothing for longest goes first, and only as many as have to") {
  std::atomic<std::size_t> all{0};
  Worker worker(all);
  worker.budget.sweep(1'000);
  auto a = worker.body("a", 40'000);
  auto b = worker.body("b", 40'000);
  worker.budget.sweep(2'000);
  auto c = worker.body("c", 40'000);
  auto d = worker.body("d", 40'000);
  CHECK(worker.budget.sweep(2'999) == 0);  // nobody has had the time yet
  CHECK(worker.budget.sweep(3'000) == 2);
  CHECK(worker.given_up == Names{"a", "b"});
  CHECK(worker.budget.used() == 80'000);
  CHECK(worker.budget.sweep(60'000) == 0);  // it is enough
  auto e = worker.body("e", 40'000);
  CHECK(worker.budget.sweep(60'001) == 1);
  CHECK(worker.given_up == Names{"a", "b", "c"});
}

TEST_CASE("who takes some of it goes to the end of the line; a few bytes are nothing") {
  std::atomic<std::size_t> all{0};
  Worker worker(all);
  worker.budget.sweep(1'000);
  auto drips = worker.body("drips", 60'000);
  auto reads = worker.body("reads", 60'000);
  worker.budget.sweep(2'500);
  drips->hold(60'000 - MemoryBudget::kTakenBytes + 1);
  reads->hold(60'000 - MemoryBudget::kTakenBytes);
  CHECK(worker.budget.sweep(3'000) == 1);
  CHECK(worker.given_up == Names{"drips"});
  reads->hold(110'000);  // it was given more, which is no news of its receiver
  CHECK(worker.budget.sweep(4'499) == 0);
  CHECK(worker.budget.sweep(4'500) == 1);
  CHECK(worker.given_up == Names{"drips", "reads"});
}

TEST_CASE("a body goes from any place in the line") {
  std::atomic<std::size_t> all{0};
  for (std::size_t gone = 0; gone < 3; ++gone) {
    Worker worker(all);
    std::vector<std::unique_ptr<Body>> bodies;
    for (const char* name : {"a", "b", "c"}) bodies.push_back(worker.body(name, 60'000));
    bodies.erase(bodies.begin() + static_cast<std::ptrdiff_t>(gone));
    worker.budget.set_max(0);
    CHECK(worker.budget.sweep(2'000) == 2);
    Names left{"a", "b", "c"};
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(gone));
    CHECK(worker.given_up == left);
    CHECK(worker.budget.used() == 0);
  }
}

TEST_CASE("what other workers hold counts, as they have told") {
  std::atomic<std::size_t> all{0};
  {
    Worker one(all);
    Worker two(all);
    auto mine = one.body("mine", 70'000);
    auto theirs = two.body("theirs", 70'000);
    CHECK_FALSE(one.budget.is_short());
    two.budget.sweep(100);
    one.budget.sweep(100);
    CHECK(one.budget.is_short());
    CHECK(one.budget.sweep(2'000) == 1);
    CHECK(one.given_up == Names{"mine"});
    // Told after it was given up: the other one keeps its own.
    one.budget.sweep(2'001);
    CHECK(two.budget.sweep(2'100) == 0);
    CHECK(all == 70'000);
  }
  CHECK(all == 0);
}

}  // namespace postern::gateway
