#include "gateway/memory_budget.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace postern::gateway {
namespace {

using Names = std::vector<std::string>;

struct Body final : public HeldBytes {
  Body(MemoryBudget& budget, std::string name, Names& given_up)
      : HeldBytes(budget), name_(std::move(name)), given_up_(given_up) {}
  std::uint64_t moved() const override { return passed_on; }
  void give_up_held() override { given_up_.push_back(name_); }

  std::uint64_t passed_on = 0;
  std::string name_;
  Names& given_up_;
};

// Plans 100,000 bytes; 150,000 are the full mark.
struct Worker {
  explicit Worker(std::atomic<std::size_t>& all) : budget(all, [this] { ++full; }) {
    budget.set_max(100'000);
    budget.sweep(1'000);
  }
  std::unique_ptr<Body> body(const std::string& name, std::size_t bytes) {
    auto made = std::make_unique<Body>(budget, name, given_up);
    made->hold(bytes);
    return made;
  }
  /// What is given up when nothing moves from now on: looked at twice.
  std::size_t sweep_twice(std::uint64_t now_ms) {
    return budget.sweep(now_ms) + budget.sweep(now_ms + MemoryBudget::kLookMs);
  }
  int full = 0;
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
  two->hold(45'000);
  CHECK(worker.budget.used() == 105'000);
  two->hold(0);
  two->hold(0);
  CHECK(worker.budget.used() == 60'000);
  one.reset();
  worker.budget.give_back(10'000);
  CHECK(worker.budget.used() == 0);
  CHECK(worker.full == 0);
}

TEST_CASE("beyond the limit only small requests begin, and none beyond the full mark") {
  std::atomic<std::size_t> all{0};
  Worker worker(all);
  CHECK(worker.budget.has_room(60'000));
  auto one = worker.body("one", 90'000);
  CHECK_FALSE(worker.budget.has_room(20'000));
  CHECK(worker.budget.has_room(10'000));
  one->hold(145'000);
  CHECK_FALSE(worker.budget.has_room(10'000));
}

TEST_CASE("on whom nothing moves for longest goes first, and only as many as have to") {
  std::atomic<std::size_t> all{0};
  Worker worker(all);
  auto a = worker.body("a", 35'000);
  auto b = worker.body("b", 35'000);
  worker.budget.sweep(2'000);
  auto c = worker.body("c", 35'000);
  auto d = worker.body("d", 35'000);
  CHECK(worker.budget.sweep(5'999) == 0);   // nobody has had the time yet
  CHECK(worker.budget.sweep(6'000) == 0);   // a first look
  CHECK(worker.budget.sweep(11'000) == 2);  // the second
  CHECK(worker.given_up == Names{"a", "b"});
  CHECK(worker.budget.used() == 70'000);
  CHECK(worker.budget.sweep(60'000) == 0);  // it is enough
  CHECK(worker.full == 0);
}

TEST_CASE("who takes some of it goes to the end of the line, in small steps too") {
  std::atomic<std::size_t> all{0};
  Worker worker(all);
  auto drips = worker.body("drips", 60'000);
  auto reads = worker.body("reads", 60'000);
  for (std::uint64_t now_ms = 1'500; now_ms <= 20'000 && worker.given_up.empty(); now_ms += 500) {
    reads->hold(60'000 - (now_ms - 1'000));  // 1,000 bytes a second
    drips->hold(60'000 - (now_ms - 1'000) / 10);
    worker.budget.sweep(now_ms);
  }
  CHECK(worker.given_up == Names{"drips"});
}

TEST_CASE("more that is given is no news of who takes it") {
  std::atomic<std::size_t> all{0};
  Worker worker(all);
  auto one = worker.body("one", 60'000);
  for (std::uint64_t now_ms = 1'500; now_ms <= 20'000 && worker.given_up.empty(); now_ms += 500) {
    one->hold(60'000 + now_ms * 6);
    worker.budget.sweep(now_ms);
  }
  CHECK(worker.given_up == Names{"one"});
}

TEST_CASE("what the peer's system takes counts, though as much waits as before") {
  std::atomic<std::size_t> all{0};
  Worker worker(all);
  auto reads = worker.body("reads", 80'000);
  auto slow = worker.body("slow", 40'000);
  for (std::uint64_t now_ms = 1'500; now_ms <= 40'000; now_ms += 500) {
    reads->passed_on += 500;  // 5,000 in five seconds: a sixteenth
    slow->passed_on += 100;
    worker.budget.sweep(now_ms);
  }
  CHECK(worker.given_up == Names{"slow"});
}

TEST_CASE("beyond the full mark what is stuck goes at the end of the turn, then the newest") {
  std::atomic<std::size_t> all{0};
  Worker worker(all);
  auto stuck = worker.body("stuck", 40'000);
  auto reads = worker.body("reads", 40'000);
  worker.budget.sweep(6'000);
  reads->passed_on = 100'000;
  worker.budget.sweep(11'000);
  CHECK(worker.given_up.empty());  // there is room
  auto third = worker.body("third", 40'000);
  CHECK(worker.full == 0);
  auto fourth = worker.body("fourth", 40'000);
  CHECK(worker.full == 1);
  CHECK(worker.budget.relieve() == 1);
  CHECK(worker.given_up == Names{"stuck"});
  CHECK(worker.budget.relieve() == 0);
  worker.budget.take(40'000);
  CHECK(worker.full == 2);
  CHECK(worker.budget.relieve() == 1);
  CHECK(worker.given_up == Names{"stuck", "fourth"});
}

TEST_CASE("of what is not stuck the newest go that have not moved yet") {
  std::atomic<std::size_t> all{0};
  Worker worker(all);
  auto first = worker.body("first", 50'000);
  auto second = worker.body("second", 50'000);
  auto reads = worker.body("reads", 40'000);
  reads->hold(30'000);
  reads->hold(60'000);
  CHECK(worker.budget.relieve() == 1);
  CHECK(worker.given_up == Names{"second"});
  worker.budget.take(100'000);
  CHECK(worker.budget.relieve() == 2);
  CHECK(worker.given_up == Names{"second", "first", "reads"});
}

TEST_CASE("what was stuck and moves again is none of those that go") {
  std::atomic<std::size_t> all{0};
  Worker worker(all);
  auto sleeps = worker.body("sleeps", 60'000);
  auto other = worker.body("other", 30'000);
  worker.sweep_twice(6'000);
  sleeps->passed_on = 50'000;
  auto more = worker.body("more", 30'000);
  CHECK(worker.budget.sweep(11'500) == 1);
  CHECK(worker.given_up == Names{"other"});
}

TEST_CASE("a body goes from any place in the line") {
  std::atomic<std::size_t> all{0};
  for (std::size_t gone = 0; gone < 3; ++gone) {
    Worker worker(all);
    std::vector<std::unique_ptr<Body>> bodies;
    for (const char* name : {"a", "b", "c"}) bodies.push_back(worker.body(name, 60'000));
    bodies.erase(bodies.begin() + static_cast<std::ptrdiff_t>(gone));
    worker.budget.set_max(0);
    CHECK(worker.sweep_twice(6'000) == 2);
    Names left{"a", "b", "c"};
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(gone));
    CHECK(worker.given_up == left);
    CHECK(worker.budget.used() == 0);
  }
}

TEST_CASE("workers give up together no more than they have to") {
  std::atomic<std::size_t> all{0};
  {
    Worker one(all);
    Worker two(all);
    auto mine = one.body("mine", 70'000);
    auto theirs = two.body("theirs", 70'000);
    for (std::uint64_t now_ms = 1'500; now_ms <= 20'000; now_ms += 500) {
      one.budget.sweep(now_ms);
      two.budget.sweep(now_ms + 100);
    }
    CHECK(one.given_up.size() + two.given_up.size() == 1);
    CHECK(all == 70'000);
  }
  CHECK(all == 0);
}

TEST_CASE("the others know of much that is new before the next sweep") {
  std::atomic<std::size_t> all{0};
  Worker one(all);
  one.budget.set_max(100U << 20);
  auto large = one.body("large", 3U << 20);
  CHECK(all == 3U << 20);
}

}  // namespace postern::gateway
