// Work that takes long, off the loop: one piece at a time on a thread of its own, its result handed
// back to the loop. Loop thread only.
#pragma once

#include <functional>
#include <thread>

#include "net/mailbox.h"

namespace postern::server {

class Background {
 public:
  /// What to do on the loop when the work is done.
  using Finish = std::function<void()>;
  using Work = std::function<Finish()>;

  explicit Background(net::Loop& loop) : mailbox_(loop) {}
  /// Waits for the work under way; its result is dropped.
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  bool busy() const { return thread_.joinable(); }
  /// REQUIRES: !busy()
  void run(Work work);

 private:
  net::Mailbox mailbox_;
  std::thread thread_;
  bool closing_ = false;
};

}  // namespace postern::server
