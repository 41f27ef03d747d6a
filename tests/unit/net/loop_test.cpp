#include "net/loop.h"

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <sys/eventfd.h>

#include <doctest/doctest.h>

#include "base/clock.h"
#include "net/mailbox.h"
#include "net/poll.h"
#include "net/socket.h"
#include "net/timer.h"

using postern::monotonic_us;
using postern::net::Deferred;
using postern::net::Fd;
using postern::net::kReadable;
using postern::net::Loop;
using postern::net::Mailbox;
using postern::net::Poll;
using postern::net::Timer;

TEST_CASE("a loop with nothing to wait for returns at once") {
  Loop loop;
  loop.run();
}

TEST_CASE("a loop that was stopped before it ran can still be destroyed with closing handles") {
  Loop loop;
  {
    Timer timer(loop, [] {});
  }
  loop.stop();
}

TEST_CASE("a timer fires once, not before it is due") {
  Loop loop;
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  const auto begin = loop.now_ms();
  timer.start_once(20);
  CHECK(timer.active());
  loop.run();
  CHECK(fired == 1);
  CHECK(loop.now_ms() >= begin + 20);
  CHECK_FALSE(timer.active());
}

TEST_CASE("the clock in microseconds is read anew in each turn") {
  Loop loop;
  loop.run_once(false);
  const auto before = monotonic_us();
  const auto first = loop.now_us();
  CHECK(first >= before);
  CHECK(first <= monotonic_us());
  while (monotonic_us() < first + 2'000) continue;
  CHECK(loop.now_us() == first);
  loop.run_once(false);
  CHECK(loop.now_us() >= first + 2'000);
}

TEST_CASE("the clock in microseconds is read anew after eight events") {
  struct Event {
    Loop& loop;
    std::vector<std::uint64_t>& seen_us;
    Fd fd;
    Poll poll = {};
  };
  Loop loop;
  std::vector<std::uint64_t> seen_us;
  std::vector<std::unique_ptr<Event>> events;
  for (int i = 0; i < 20; ++i) {
    Fd ready(eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    events.emplace_back(new Event{loop, seen_us, std::move(ready)});
    Event& event = *events.back();
    event.poll.open(loop, event.fd.get(), &event, [](void* owner, int, int) {
      Event& told = *static_cast<Event*>(owner);
      told.seen_us.push_back(told.loop.now_us());
      told.poll.watch(0);
      while (monotonic_us() < told.seen_us.back() + 2) continue;  // so that a new look differs
    });
    event.poll.watch(kReadable);
  }
  loop.run_once(true);
  REQUIRE(seen_us.size() == events.size());
  for (std::size_t i = 1; i < seen_us.size(); ++i) {
    CHECK((seen_us[i] == seen_us[i - 1]) == (i % 8 != 0));
  }
}

TEST_CASE("starting a timer again replaces its deadline") {
  Loop loop;
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.start_once(10);
  timer.start_once(30);
  const auto begin = loop.now_ms();
  loop.run();
  CHECK(fired == 1);
  CHECK(loop.now_ms() >= begin + 30);
}

TEST_CASE("a repeating timer goes on until it is stopped from its own callback") {
  Loop loop;
  int fired = 0;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(loop, [&] {
    if (++fired == 3) timer->stop();
  });
  timer->start_every(1);
  loop.run();
  CHECK(fired == 3);
}

TEST_CASE("a timer may be destroyed by its own callback, which keeps what it captured") {
  Loop loop;
  const auto captured = std::make_shared<int>(7);
  int seen = 0;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(loop, [&timer, &seen, captured] {
    timer.reset();
    seen = *captured;
  });
  timer->start_every(1);
  loop.run();
  CHECK(seen == 7);
}

TEST_CASE("a timer that was destroyed does not fire") {
  Loop loop;
  int fired = 0;
  auto timer = std::make_unique<Timer>(loop, [&] { ++fired; });
  timer->start_once(1);
  timer.reset();
  loop.run();
  CHECK(fired == 0);
}

TEST_CASE("deferred work runs once however often it was scheduled, before the loop waits again") {
  Loop loop;
  int runs = 0;
  bool done_before_next_timer = false;
  Deferred deferred(loop, [&] { ++runs; });
  Timer second(loop, [&] { done_before_next_timer = runs == 1; });
  Timer first(loop, [&] {
    deferred.schedule();
    deferred.schedule();
  });
  first.start_once(1);
  second.start_once(20);
  loop.run();
  CHECK(runs == 1);
  CHECK(done_before_next_timer);
}

TEST_CASE("deferred work may schedule other work, itself, and destroy other deferred work") {
  Loop loop;
  int runs = 0;
  int victim_runs = 0;
  auto victim = std::make_unique<Deferred>(loop, [&] { ++victim_runs; });
  Deferred deferred(loop, [&] {
    victim.reset();
    if (++runs < 3) deferred.schedule();
  });
  Timer timer(loop, [&] {
    deferred.schedule();
    victim->schedule();
  });
  timer.start_once(1);
  loop.run();
  CHECK(runs == 3);
  CHECK(victim_runs == 0);
}

TEST_CASE("messages from other threads run on the loop's thread, in order for each sender") {
  Loop loop;
  std::vector<int> seen;
  std::vector<std::thread::id> threads;
  Mailbox mailbox(loop);
  Timer keep_alive(loop, [] {});
  keep_alive.start_once(10'000);
  std::thread sender([&] {
    for (int i = 0; i < 100; ++i) {
      mailbox.post([&, i] {
        seen.push_back(i);
        threads.push_back(std::this_thread::get_id());
        if (i == 99) loop.stop();
      });
    }
  });
  loop.run();
  sender.join();
  REQUIRE(seen.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(seen[static_cast<std::size_t>(i)] == i);
  for (const auto& thread : threads) CHECK(thread == std::this_thread::get_id());
}

TEST_CASE("a mailbox runs what is still waiting when it is destroyed") {
  Loop loop;
  int ran = 0;
  {
    Mailbox mailbox(loop);
    mailbox.post([&] { ++ran; });
    mailbox.post([&] { ++ran; });
  }
  CHECK(ran == 2);
}

TEST_CASE("a mailbox alone does not keep the loop running") {
  Loop loop;
  Mailbox mailbox(loop);
  loop.run();
}
