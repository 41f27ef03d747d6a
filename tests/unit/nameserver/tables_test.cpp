// The containers of the forwarder: table, ring, wheel, pool.
#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "nameserver/deadlines.h"
#include "nameserver/flat_table.h"
#include "nameserver/pool.h"

using postern::nameserver::Deadline;
using postern::nameserver::Deadlines;
using postern::nameserver::DeadlineWheel;
using postern::nameserver::FlatTable;
using postern::nameserver::Pool;

TEST_CASE("a flat table finds what is in it and nothing else, through thousands of changes") {
  FlatTable<const int> table;
  std::map<int, std::uint64_t> inside;
  std::vector<int> values(500);
  std::uint64_t state = 1;
  for (int step = 0; step < 20'000; ++step) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto i = static_cast<int>((state >> 33) % values.size());
    const int* value = &values[static_cast<std::size_t>(i)];
    if (const auto it = inside.find(i); it != inside.end()) {
      table.erase(it->second, value);
      inside.erase(it);
    } else {
      const std::uint64_t hash = (state >> 40) % 37;  // many equal hashes
      table.insert(hash, value);
      inside.emplace(i, hash);
    }
    REQUIRE(table.size() == inside.size());
  }
  for (int i = 0; i < 500; ++i) {
    const int* value = &values[static_cast<std::size_t>(i)];
    const auto it = inside.find(i);
    for (std::uint64_t hash = 0; hash < 37; ++hash) {
      const int* found = table.find(hash, [&](const int& v) { return &v == value; });
      CHECK((found != nullptr) == (it != inside.end() && it->second == hash));
    }
  }
}

TEST_CASE("deadlines come when they are due, however far away, and not when cleared") {
  DeadlineWheel wheel(1000);
  std::vector<Deadline> items(6);
  const std::vector<std::uint64_t> due{1000, 1003, 1100, 1100, 50'000, 900};
  for (std::size_t i = 0; i < due.size(); ++i) wheel.set(items[i], due[i]);
  items[3].clear();
  std::map<std::size_t, std::uint64_t> came;
  for (std::uint64_t now = 1000; now < 60'000; now += 7) {
    wheel.expire(
        now, [&](Deadline& item) { came[static_cast<std::size_t>(&item - items.data())] = now; });
  }
  REQUIRE(came.size() == 5);
  CHECK(came.count(3) == 0);
  for (const auto& [i, now] : came) {
    const std::uint64_t from = std::max<std::uint64_t>(due[i], 1000);
    CHECK(now >= from);
    CHECK(now < from + 7);
  }
  CHECK(wheel.next_due_ms() == DeadlineWheel::kNever);
}

TEST_CASE("a deadline that is set again while others expire comes at its new time") {
  DeadlineWheel wheel(0);
  std::vector<Deadline> items(3);
  for (Deadline& item : items) wheel.set(item, 10);
  std::vector<Deadline*> came;
  wheel.expire(10, [&](Deadline& item) {
    came.push_back(&item);
    items[1].clear();
    wheel.set(items[2], 30);
  });
  CHECK(came == std::vector<Deadline*>{&items[0]});
  CHECK(wheel.next_due_ms() <= 30);
  wheel.expire(29, [&](Deadline& item) { came.push_back(&item); });
  CHECK(came.size() == 1);
  wheel.expire(30, [&](Deadline& item) { came.push_back(&item); });
  CHECK(came == std::vector<Deadline*>{&items[0], &items[2]});
}

TEST_CASE("a long sleep loses no deadline") {
  DeadlineWheel wheel(0);
  std::vector<Deadline> items(2000);
  for (std::size_t i = 0; i < items.size(); ++i) wheel.set(items[i], i * 5);
  int came = 0;
  wheel.expire(1'000'000, [&](Deadline&) { ++came; });
  CHECK(came == 2000);
}

TEST_CASE("on a loop the earliest deadline comes first, within a slot of its time") {
  postern::net::Loop loop;
  std::vector<Deadline*> came;
  Deadlines deadlines(loop, [&](Deadline& item) { came.push_back(&item); });
  Deadline late, soon;
  const std::uint64_t begin = loop.now_ms();
  deadlines.set(late, begin + 40);
  deadlines.set(soon, begin + 10);
  while (came.size() < 2 && loop.now_ms() < begin + 1000) loop.run_once(true);
  CHECK(came == std::vector<Deadline*>{&soon, &late});
  CHECK(loop.now_ms() >= begin + 40);
}

TEST_CASE("a pool gives back what was released before it makes anything new") {
  Pool<std::unique_ptr<int>> pool;
  auto& first = pool.acquire();
  first = std::make_unique<int>(7);
  pool.release(first);
  CHECK(pool.in_use() == 0);
  auto& again = pool.acquire();
  CHECK(&again == &first);
  CHECK(&pool.acquire() != &first);
  CHECK(pool.in_use() == 2);
}
