// Sockets that a service manager bound before this process began and keeps when it ends, as
// sd_listen_fds(3) describes: what arrives between two processes waits in them. Main thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "net/socket.h"

namespace postern::server {

struct PassedSocket {
  net::Fd fd;
  Endpoint local;
  int type = 0;      ///< SOCK_DGRAM, or SOCK_STREAM that listens
  std::string name;  ///< of its unit: "postern-dns.socket"
};

class PassedSockets {
 public:
  /// Takes what LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES speak of and clears these variables. What
  /// cannot be served by this program is closed with a warning. REQUIRES: one thread; once.
  static PassedSockets take();

  PassedSockets() = default;
  explicit PassedSockets(std::vector<PassedSocket> sockets) : sockets_(std::move(sockets)) {}

  const std::vector<PassedSocket>& all() const { return sockets_; }
  bool has(const Endpoint& local, int type) const;
  /// Any on this port, for an explanation; nullptr: none.
  const PassedSocket* on_port(std::uint16_t port, int type) const;
  /// Those that one of several workers serves. Each socket has a worker and each worker a socket:
  /// fewer sockets than workers are shared, more are divided (ReusePort=).
  std::vector<const PassedSocket*> of_worker(const Endpoint& local, int type, unsigned worker,
                                             unsigned workers) const;

 private:
  std::vector<PassedSocket> sockets_;
};

}  // namespace postern::server
