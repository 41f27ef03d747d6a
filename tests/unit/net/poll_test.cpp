// Descriptors as the loop watches them, with socket pairs and files of the kernel.
#include "net/poll.h"

#include <array>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "net/loop.h"
#include "net/mailbox.h"
#include "net/socket.h"
#include "net/timer.h"

namespace postern::net {
namespace {

struct Pair {
  explicit Pair(int type = SOCK_STREAM) {
    std::array<int, 2> ends{};
    REQUIRE(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    ours = Fd(ends[0]);
    theirs = Fd(ends[1]);
  }
  void say() const { REQUIRE(write(theirs.get(), "x", 1) == 1); }
  void hear() const {
    char c = 0;
    REQUIRE(read(ours.get(), &c, 1) == 1);
  }
  Fd ours, theirs;
};

/// Who says nothing of what is drained is told the same by both.
Trigger each_trigger() {
  Trigger trigger = Trigger::kLevel;
  SUBCASE("level") {}
  SUBCASE("edge") { trigger = Trigger::kEdge; }
  return trigger;
}

/// Notes what it is told, then does what a test wants.
struct Watcher {
  Watcher(Loop& loop, int fd, Trigger trigger) {
    const auto tell = [](void* self, int status, int events) {
      static_cast<Watcher*>(self)->told(status, events);
    };
    poll.open(loop, fd, this, tell, trigger);
  }
  void told(int status, int events) {
    ++times;
    last_status = status;
    last_events = events;
    const std::function<void()> next = then;  // it may destroy the watcher
    if (next) next();
  }
  int times = 0, last_status = 0, last_events = 0;
  std::function<void()> then;
  Poll poll;
};

TEST_CASE("what is ready is told as long as it is, and only what is watched") {
  const Trigger trigger = each_trigger();
  Loop loop;
  const Pair pair;
  Watcher watcher(loop, pair.ours.get(), trigger);
  watcher.poll.watch(kReadable);
  loop.run_once(false);
  CHECK(watcher.times == 0);
  pair.say();
  loop.run_once(false);
  loop.run_once(false);
  CHECK(watcher.times == 2);
  CHECK(watcher.last_events == kReadable);
  watcher.poll.watch(kReadable | kWritable);
  loop.run_once(false);
  CHECK(watcher.last_events == (kReadable | kWritable));
  watcher.poll.watch(kWritable);
  loop.run_once(false);
  CHECK(watcher.last_events == kWritable);
  watcher.poll.watch(0);
  const int before = watcher.times;
  loop.run_once(false);
  CHECK(watcher.times == before);
  watcher.poll.watch(kReadable);
  watcher.poll.watch(0);
  watcher.poll.watch(kReadable);  // what counts is what it comes to
  loop.run_once(false);
  CHECK(watcher.times == before + 1);
}

TEST_CASE("a watcher that another one destroys in the same turn hears nothing") {
  const Trigger trigger = each_trigger();
  Loop loop;
  const std::vector<Pair> pairs(40);
  std::vector<std::unique_ptr<Watcher>> watchers;
  int told = 0;
  for (const Pair& pair : pairs) {
    pair.say();
    watchers.push_back(std::make_unique<Watcher>(loop, pair.ours.get(), trigger));
    watchers.back()->poll.watch(kReadable);
    watchers.back()->then = [&] {
      ++told;
      watchers.clear();
    };
  }
  loop.run_once(false);
  CHECK(told == 1);
  loop.run_once(false);
  CHECK(told == 1);
}

TEST_CASE("what is no more watched is not told, though it was ready when the turn began") {
  const Trigger trigger = each_trigger();
  Loop loop;
  const Pair one, two;
  Watcher first(loop, one.ours.get(), trigger), second(loop, two.ours.get(), trigger);
  first.poll.watch(kReadable);
  second.poll.watch(kReadable);
  first.then = [&] { second.poll.watch(0); };
  second.then = [&] { first.poll.watch(0); };
  one.say();
  two.say();
  loop.run_once(false);
  CHECK(first.times + second.times == 1);
}

TEST_CASE("a descriptor closed and opened again under the same number is another one") {
  const Trigger trigger = each_trigger();
  Loop loop;
  for (int round = 0; round < 50; ++round) {
    std::optional<Pair> pair(std::in_place);
    std::optional<Watcher> watcher(std::in_place, loop, pair->ours.get(), trigger);
    watcher->poll.watch(kReadable);
    loop.run_once(false);
    if (round % 2 == 0) pair->say();
    watcher.reset();
    pair.reset();
    pair.emplace();
    watcher.emplace(loop, pair->ours.get(), trigger);
    watcher->poll.watch(kReadable);
    loop.run_once(false);
    CHECK(watcher->times == 0);
    pair->say();
    loop.run_once(false);
    CHECK(watcher->times == 1);
  }
}

/// A connection over TCP whose other end resets it.
Pair reset_pair() {
  const Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(bind(listener.get(), generic, size) == 0);
  REQUIRE(listen(listener.get(), 1) == 0);
  REQUIRE(getsockname(listener.get(), generic, &size) == 0);
  Pair pair;
  pair.ours = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(connect(pair.ours.get(), generic, size) == 0);
  const Fd theirs(accept(listener.get(), nullptr, nullptr));
  const linger at_once{1, 0};
  REQUIRE(setsockopt(theirs.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
  return pair;
}

TEST_CASE("a reset is told once, whatever was watched, and ends the watching") {
  const Trigger trigger = each_trigger();
  for (const int watched : {kReadable, kWritable, kReadable | kWritable, kErrorsOnly}) {
    CAPTURE(watched);
    Loop loop;
    const Pair pair = reset_pair();
    Watcher watcher(loop, pair.ours.get(), trigger);
    watcher.poll.watch(watched);
    loop.run_once(false);
    loop.run_once(false);
    CHECK(watcher.times == 1);
    CHECK(watcher.last_status < 0);
  }
}

TEST_CASE("an end is told to who reads or writes") {
  const Trigger trigger = each_trigger();
  Loop loop;
  const Pair pair;
  Watcher watcher(loop, pair.ours.get(), trigger);
  watcher.poll.watch(kReadable);
  shutdown(pair.theirs.get(), SHUT_RDWR);
  loop.run_once(false);
  CHECK(watcher.last_status == 0);
  CHECK(watcher.last_events == kReadable);
}

TEST_CASE("a descriptor that cannot be watched is a broken one") {
  const Trigger trigger = each_trigger();
  Loop loop;
  const Fd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));  // epoll takes no regular files
  Watcher watcher(loop, file.get(), trigger);
  watcher.poll.watch(kReadable);
  loop.run_once(false);
  CHECK(watcher.times == 1);
  CHECK(watcher.last_status < 0);
  loop.run_once(false);
  CHECK(watcher.times == 1);
  std::optional<Watcher> gone(std::in_place, loop, file.get(), trigger);
  gone->poll.watch(kReadable);
  gone->then = [&] { gone.reset(); };
  loop.run_once(false);
  CHECK_FALSE(gone);
}

TEST_CASE("who insists on watching what cannot be watched is told so now and then") {
  const Trigger trigger = each_trigger();
  Loop loop;
  const Pair pair;
  pair.say();
  const Fd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  Watcher stubborn(loop, file.get(), trigger), other(loop, pair.ours.get(), trigger);
  stubborn.poll.watch(kReadable);
  stubborn.then = [&] { stubborn.poll.watch(kReadable); };
  other.poll.watch(kReadable);
  for (int turn = 1; turn <= 5; ++turn) {
    loop.run_once(false);
    CHECK(stubborn.times == turn);
    CHECK(other.times == turn);
  }
  pair.hear();
  other.poll.drained(kReadable);
  const auto begin = loop.now_ms();
  loop.run_once(true);  // there is nothing else to wait for
  loop.run_once(true);
  CHECK(stubborn.times == 7);
  CHECK(loop.now_ms() >= begin + 100);
  std::optional<Watcher> gone(std::in_place, loop, file.get(), trigger);
  gone->poll.watch(kReadable);
  gone->then = [&] { gone->poll.watch(kWritable); };
  loop.run_once(false);
  gone.reset();  // while it waits to be tried again
  loop.run_once(false);
  CHECK(stubborn.times == 9);
}

TEST_CASE("timers and mailboxes get their turns while a socket is always ready") {
  const Trigger trigger = each_trigger();
  Loop loop;
  const Pair pair;
  pair.say();
  Watcher busy(loop, pair.ours.get(), trigger);
  busy.poll.watch(kReadable);
  bool expired = false, came = false;
  Timer timer(loop, [&] { expired = true; });
  std::optional<Mailbox> mailbox;
  std::thread sender;
  busy.then = [&] {
    if (busy.times == 3) {  // a handle of libuv's that is made in the middle of it
      mailbox.emplace(loop);
      timer.start_once(1);
      sender = std::thread([&] { mailbox->post([&] { came = true; }); });
    }
    if (expired && came) loop.stop();
  };
  loop.run();
  CHECK(expired);
  CHECK(came);
  sender.join();
}

TEST_CASE("a loop ends when nothing is watched any more, and waits as long as something is") {
  const Trigger trigger = each_trigger();
  Loop loop;
  const Pair pair;
  Watcher watcher(loop, pair.ours.get(), trigger);
  loop.run();  // nothing yet
  watcher.poll.watch(kReadable);
  watcher.then = [&] {
    pair.hear();
    watcher.poll.watch(0);
  };
  std::thread later([&] { pair.say(); });
  loop.run();
  later.join();
  CHECK(watcher.times == 1);
  Timer timer(loop, [] {});
  timer.start_once(5);
  loop.run();
  CHECK_FALSE(timer.active());
}

TEST_CASE("what is deferred does not wait for hundreds of slow events") {
  const Trigger trigger = each_trigger();
  Loop loop;
  const std::vector<Pair> pairs(200);
  std::vector<std::unique_ptr<Watcher>> watchers;
  int told = 0, told_before = -1;
  Deferred work(loop, [&] {
    if (told_before < 0) told_before = told;
  });
  for (const Pair& pair : pairs) {
    pair.say();
    watchers.push_back(std::make_unique<Watcher>(loop, pair.ours.get(), trigger));
    watchers.back()->poll.watch(kReadable);
    watchers.back()->then = [&] {
      if (++told == 1) work.schedule();
      usleep(200);
    };
  }
  loop.run_once(false);
  CHECK(told == 200);
  CHECK(told_before >= 1);
  CHECK(told_before <= 64);
}

TEST_CASE("edge: what is drained is told again when more has come") {
  Loop loop;
  const Pair pair;
  Watcher watcher(loop, pair.ours.get(), Trigger::kEdge);
  watcher.poll.watch(kReadable);
  for (int round = 1; round <= 3; ++round) {
    pair.say();
    watcher.then = [&] {
      pair.hear();
      watcher.poll.drained(kReadable);
    };
    loop.run_once(false);
    loop.run_once(false);
    CHECK(watcher.times == round);
  }
  pair.say();
  pair.say();
  watcher.then = [&] { pair.hear(); };  // one of two, and says nothing
  loop.run_once(false);
  loop.run_once(false);
  CHECK(watcher.times == 5);
}

TEST_CASE("edge: what comes while nothing is watched is told when it is watched again") {
  Loop loop;
  const Pair pair;
  Watcher watcher(loop, pair.ours.get(), Trigger::kEdge);
  watcher.poll.watch(kReadable);
  loop.run_once(false);
  watcher.poll.watch(0);
  pair.say();
  loop.run_once(false);
  loop.run_once(false);
  CHECK(watcher.times == 0);
  watcher.poll.watch(kReadable);
  loop.run_once(true);  // does not wait for what the kernel will not say again
  CHECK(watcher.times == 1);
  CHECK(watcher.last_events == kReadable);
}

TEST_CASE("edge: an end stays told, whatever was drained before") {
  Loop loop;
  const Pair pair;
  Watcher watcher(loop, pair.ours.get(), Trigger::kEdge);
  watcher.poll.watch(kReadable);
  pair.say();
  shutdown(pair.theirs.get(), SHUT_WR);
  watcher.then = [&] {
    if (watcher.times == 1) pair.hear();
    watcher.poll.drained(kReadable);  // as a short read seems to say
  };
  loop.run_once(false);
  loop.run_once(false);
  CHECK(watcher.times == 2);
  char c = 0;
  CHECK(read(pair.ours.get(), &c, 1) == 0);
  watcher.poll.watch(kReadable | kWritable);
  watcher.poll.drained(kWritable);  // the other direction is its own
  loop.run_once(false);
  CHECK(watcher.last_events == kReadable);
}

TEST_CASE("edge: room to write is told when the peer has read") {
  Loop loop;
  const Pair pair;
  Watcher watcher(loop, pair.ours.get(), Trigger::kEdge);
  watcher.poll.watch(kWritable);
  loop.run_once(false);
  CHECK(watcher.last_events == kWritable);
  const std::vector<char> block(64U << 10);
  while (write(pair.ours.get(), block.data(), block.size()) > 0) {
  }
  watcher.poll.drained(kWritable);
  const int before = watcher.times;
  loop.run_once(false);
  CHECK(watcher.times == before);
  std::vector<char> room(64U << 10);
  while (read(pair.theirs.get(), room.data(), room.size()) > 0) {
  }
  loop.run_once(false);
  CHECK(watcher.times == before + 1);
}

TEST_CASE("edge: watchers that go while they wait to be told again are told nothing") {
  Loop loop;
  const std::vector<Pair> pairs(8);
  std::vector<std::unique_ptr<Watcher>> watchers;
  int told = 0;
  for (const Pair& pair : pairs) {
    pair.say();
    watchers.push_back(std::make_unique<Watcher>(loop, pair.ours.get(), Trigger::kEdge));
    watchers.back()->poll.watch(kReadable);
  }
  loop.run_once(false);
  for (const auto& watcher : watchers) {
    watcher->then = [&] {
      ++told;
      watchers.clear();
    };
  }
  loop.run_once(false);  // told again: the first one destroys all
  CHECK(told == 1);
  loop.run_once(false);
  CHECK(told == 1);
}

}  // namespace
}  // namespace postern::net
