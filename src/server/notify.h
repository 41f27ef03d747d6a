// The protocol of sd_notify(3): what a service tells the service manager that started it, as
// datagrams to the socket in NOTIFY_SOCKET. Without one, nothing happens. Main thread.
#pragma once

#include <cstdint>
#include <string>

#include "net/socket.h"

namespace postern::server {

class Notifier {
 public:
  /// `target` is the path of a socket, or "@name" for an abstract one; empty: nobody listens.
  explicit Notifier(const std::string& target);
  /// To NOTIFY_SOCKET.
  static Notifier from_environment();

  bool active() const { return static_cast<bool>(fd_); }
  /// Lines "NAME=VALUE". Never waits; a message that the manager has no room for is lost.
  bool send(const std::string& lines) const;

 private:
  net::Fd fd_;  // connected
};

/// Microseconds between two signs of life that the manager waits for; 0: it does not.
std::uint64_t watchdog_us_from_environment();

/// "RELOADING=1" with the time on the manager's clock, which tells this reload from an older one.
std::string reloading_lines();

}  // namespace postern::server
