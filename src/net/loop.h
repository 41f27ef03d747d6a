// One event loop: a worker's thread runs one, and everything in net/ belongs to one loop and is
// used on its thread only (Mailbox::post is the exception). A Loop outlives what was made on it.
//
// Sockets are watched by an epoll instance of its own: two system calls fewer for each wait than
// libuv's way to a callback, five fewer for each connection. libuv has the timers, mailboxes,
// signals and directories; its own descriptor is watched like a socket.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <sys/epoll.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "net/handle.h"
#include "net/socket.h"

struct uv_loop_s;

namespace postern::net {

class Deferred;
class Poll;
class UdpBuffers;

class Loop {
 public:
  /// As much of a body as is best passed on at a time: in four TLS records it makes 45 segments of
  /// 1448 bytes, which is all that the kernel sends as one (64 KiB with headers).
  static constexpr std::size_t kChunkBytes = 45 * 1448 - 4 * 22;

  Loop();
  /// Runs what is left of libuv's closing handles; asserts that nobody forgot one.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Until stop(), or until nothing is left that could wake it. May be called again.
  void run();
  /// One turn; waits for an event only when `wait`. For tests and tools.
  void run_once(bool wait);
  /// Ends run() after the current turn. From another thread: Mailbox::post.
  void stop();

  /// CLOCK_MONOTONIC as of the start of this turn of the loop: no system call.
  std::uint64_t now_ms() const;
  /// Microseconds of the same clock, as of no more than kEventsPerClock events ago.
  std::uint64_t now_us() {
    if (now_us_ == 0) now_us_ = monotonic_us();
    return now_us_;
  }

  // For the other parts of net/.
  uv_loop_s* timers() { return loop_.get(); }
  /// For handles that wait for something but time.
  uv_loop_s* raw() {
    libuv_waits_ = true;  // it tells the kernel what for only when it runs
    return loop_.get();
  }
  /// Where streams read to: valid until the next read on this loop.
  MutableBytes scratch() { return scratch_; }
  /// Where TLS streams put records that leave together: four full ones. Valid until the next write.
  MutableBytes records();
  UdpBuffers& udp_buffers();

 private:
  friend class Deferred;
  friend class Poll;
  static constexpr std::size_t kEventsMax = 512;  // of one wait
  static constexpr std::size_t kEventsPerClock = 8;

  bool is_alive() const;
  void turn(bool wait);
  int longest_wait_ms(bool wait) const;
  int libuv_timeout_ms() const;
  void run_libuv();
  void tell_sockets(int timeout_ms);
  void tell_again();
  void tell(Poll& poll, std::uint32_t events);
  void tell_level(Poll& poll, std::uint32_t events);
  void tell_edge(Poll& poll);
  void run_deferred();

  // For Poll.
  void count_watched(int more) { watched_ += more; }
  void list_changed(Poll& poll);
  void forget(Poll& poll);
  void apply_changes();
  void apply(Poll& poll);

  std::unique_ptr<uv_loop_s> loop_;
  Handle<uv_prepare_s> alive_;
  Fd epoll_;
  bool libuv_waits_ = true, stopped_ = false;
  int watched_ = 0;             // descriptors of which something is
  std::uint64_t now_us_ = 0;    // 0: to be read
  std::vector<Poll*> changed_;  // what the kernel does not know yet; nullptr: closed since
  std::vector<Poll*> again_;    // what is still ready, without the kernel saying so again
  std::array<epoll_event, kEventsMax> events_{};
  std::size_t next_event_ = 0, event_count_ = 0;  // of those that are being told
  std::vector<std::uint8_t> scratch_, records_;
  std::vector<Deferred*> deferred_, running_;
  std::unique_ptr<UdpBuffers> udp_buffers_;
};

/// Work for the end of the current turn of the loop, after all sockets that were ready have been
/// served and before the loop waits again: for what is cheaper once than many times, and for
/// deleting objects that are still on the call stack. schedule() costs nothing when already
/// scheduled; the destructor cancels.
class Deferred {
 public:
  Deferred(Loop& loop, std::function<void()> work);
  ~Deferred();
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;

  void schedule();

 private:
  friend class Loop;
  void run();

  Loop& loop_;
  std::function<void()> work_;
  bool scheduled_ = false;
  bool* destroyed_ = nullptr;
};

}  // namespace postern::net
