// One event loop: a worker's thread runs one, and everything in net/ belongs to one loop and is
// used on its thread only (Mailbox::post is the exception). A Loop outlives what was made on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "net/handle.h"

struct uv_loop_s;

namespace postern::net {

class Deferred;
class UdpBuffers;

class Loop {
 public:
  Loop();
  /// Runs what is left of closing handles; asserts that nobody forgot one.
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

  // For the other parts of net/.
  uv_loop_s* raw() { return loop_.get(); }
  /// Where streams read to: valid until the next read on this loop.
  MutableBytes scratch() { return scratch_; }
  UdpBuffers& udp_buffers();

 private:
  friend class Deferred;
  void run_deferred();

  std::unique_ptr<uv_loop_s> loop_;
  Handle<uv_prepare_s> prepare_;
  Handle<uv_check_s> check_;
  std::vector<std::uint8_t> scratch_;
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
