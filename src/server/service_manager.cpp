#include "server/service_manager.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace postern::server {
namespace {

constexpr std::uint64_t kUsPerMs = 1000;
constexpr std::uint64_t kSignsPerPeriod = 3;  // so that one may come late

// A line break would begin another assignment.
std::string status_line(std::string_view text) { return fmt::format("STATUS={}", one_line(text)); }

}  // namespace

ServiceManager::ServiceManager(net::Loop& loop, AskWorkers ask_workers)
    : ServiceManager(loop, std::move(ask_workers), Notifier::from_environment(),
                     watchdog_us_from_environment()) {}

ServiceManager::ServiceManager(net::Loop& loop, AskWorkers ask_workers, Notifier notifier,
                               std::uint64_t watchdog_us)
    : notifier_(std::move(notifier)),
      watchdog_ms_(watchdog_us / kUsPerMs),
      ask_workers_(std::move(ask_workers)),
      timer_(loop, [this] { ask(); }) {}

void ServiceManager::ready(std::string_view status) {
  notifier_.send(fmt::format("READY=1\n{}", status_line(status)));
  if (watchdog_ms_ == 0 || !notifier_.active() || timer_.active()) return;
  timer_.start_every(std::max<std::uint64_t>(1, watchdog_ms_ / kSignsPerPeriod));
  ask();
}

void ServiceManager::reloading() { notifier_.send(reloading_lines()); }

void ServiceManager::stopping(std::string_view status) {
  timer_.stop();  // the manager has a limit of its own for this
  notifier_.send(fmt::format("STOPPING=1\n{}", status_line(status)));
}

void ServiceManager::status(std::string_view text) const { notifier_.send(status_line(text)); }

void ServiceManager::ask() {
  if (waiting_) return;
  waiting_ = true;
  ask_workers_([this] {
    waiting_ = false;
    notifier_.send("WATCHDOG=1");
  });
}

}  // namespace postern::server
