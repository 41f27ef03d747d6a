// The sockets that the workers serve: one of each kind for every worker and address (SO_REUSEPORT),
// opened on the main thread while it may still bind low ports. All or nothing.
#pragma once

#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "net/socket.h"

namespace postern::server {

/// For one worker.
struct Sockets {
  std::vector<net::Fd> udp;
  std::vector<net::Fd> tcp;
};

/// One element for each worker. The error says which address, and who may have it.
Result<std::vector<Sockets>> open_sockets(const std::vector<Endpoint>& endpoints, unsigned workers);

/// Error when another process listens there already (by TCP only, or by UDP as well): SO_REUSEPORT
/// alone would share the address with another server of the same user. REQUIRES: none of our own
/// sockets is bound to it.
Result<void> check_is_free(const Endpoint& endpoint);
Result<void> check_is_free_tcp(const Endpoint& endpoint);

}  // namespace postern::server
