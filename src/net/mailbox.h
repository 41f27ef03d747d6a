// The only way from one thread to another: messages to a loop's thread, run there in the order of
// post(). The mailbox alone does not keep Loop::run() from returning.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "net/handle.h"
#include "net/loop.h"

namespace postern::net {

class Mailbox {
 public:
  explicit Mailbox(Loop& loop);
  /// Loop thread. Runs what is still waiting. REQUIRES: no post() during or after this.
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Any thread. Never waits for the loop.
  void post(std::function<void()> message);

 private:
  void drain();

  Handle<uv_async_s> handle_;
  std::mutex mutex_;
  std::vector<std::function<void()>> messages_;  // guarded by mutex_
};

}  // namespace postern::net
