// What the service manager learns of the running program: when it serves, reloads, ends, and as
// long as it wants to know, that every worker still takes its turn. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "net/timer.h"
#include "server/notify.h"

namespace postern::server {

class ServiceManager {
 public:
  using Alive = std::function<void()>;
  /// Calls `alive` on the loop once every worker has answered; never when one does not.
  using AskWorkers = std::function<void(Alive alive)>;

  ServiceManager(net::Loop& loop, AskWorkers ask_workers);
  /// For tests: told as `notifier`, asked every `watchdog_us`.
  ServiceManager(net::Loop& loop, AskWorkers ask_workers, Notifier notifier,
                 std::uint64_t watchdog_us);

  /// At start and after each reload, whatever came of it. `status` is for `systemctl status`.
  void ready(std::string_view status);
  void reloading();
  void stopping(std::string_view status);
  /// The line for people alone.
  void status(std::string_view text) const;

 private:
  void ask();

  Notifier notifier_;
  std::uint64_t watchdog_ms_;
  AskWorkers ask_workers_;
  net::Timer timer_;
  bool waiting_ = false;  // for an answer
};

}  // namespace postern::server
