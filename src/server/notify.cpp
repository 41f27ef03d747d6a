#include "server/notify.h"

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>
#include <system_error>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/log.h"

namespace postern::server {
namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? std::string() : std::string(value);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

// Nothing when it is no name of a Unix socket.
net::Fd connected_to(const std::string& target) {
  sockaddr_un address{};
  if (target.size() < 2 || target.size() >= sizeof address.sun_path ||
      (target[0] != '/' && target[0] != '@')) {
    errno = EINVAL;
    return {};
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, target.data(), target.size());
  if (target[0] == '@') address.sun_path[0] = '\0';
  net::Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + target.size());
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return {};
  return fd;
}

}  // namespace

Notifier::Notifier(const std::string& target) {
  if (target.empty()) return;
  fd_ = connected_to(target);
  if (fd_) return;
  log_warning("notify", "cannot tell the service manager at NOTIFY_SOCKET={}: {}", target,
              std::generic_category().message(errno));
}

Notifier Notifier::from_environment() { return Notifier(variable("NOTIFY_SOCKET")); }

bool Notifier::send(const std::string& lines) const {
  if (!fd_) return false;
  return ::send(fd_.get(), lines.data(), lines.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(lines.size());
}

std::uint64_t watchdog_us_from_environment() {
  const std::string process = variable("WATCHDOG_PID");
  if (!process.empty() && number(process) != static_cast<std::uint64_t>(::getpid())) return 0;
  return number(variable("WATCHDOG_USEC"));
}

std::string reloading_lines() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return fmt::format("RELOADING=1\nMONOTONIC_USEC={}",
                     static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
                         static_cast<std::uint64_t>(now.tv_nsec) / 1000);
}

}  // namespace postern::server
