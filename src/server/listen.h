// The sockets that the workers serve: one of each kind for every worker and address (SO_REUSEPORT),
// opened on the main thread while it may still bind low ports. All or nothing.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "gateway/site.h"
#include "net/socket.h"
#include "server/passed_sockets.h"

namespace postern::server {

/// For one worker.
struct Sockets {
  std::vector<net::Fd> udp;
  std::vector<net::Fd> tcp;
  std::vector<net::Fd> gateway;  ///< TCP
  std::vector<net::Fd> quic;     ///< UDP
};

/// An address, and what in the configuration asks for it: `gateway.listener "internal"`.
struct ListenPlace {
  Endpoint endpoint;
  std::string key;
};

/// All that one configuration listens on.
struct ListenPlan {
  std::vector<ListenPlace> dns;      ///< UDP and TCP on each
  std::vector<ListenPlace> gateway;  ///< TCP
  std::vector<ListenPlace> quic;     ///< UDP
};

ListenPlan listen_plan(const std::vector<Endpoint>& dns, const gateway::Site& site);

/// How the sockets of one worker change on reload.
struct ListenChange {
  Sockets added;
  std::vector<Endpoint> dns_removed, gateway_removed, quic_removed;
};

/// Opens what `next` has and `now` has not; one element for each worker. The error says which
/// address, what asks for it, and who may have it. A socket that was passed for an address is used,
/// shared by the workers, in place of one of our own. SO_REUSEPORT alone would share an address
/// with another server of the same user, so each port that `now` does not use has to be free.
Result<std::vector<ListenChange>> open_added(const ListenPlan& now, const ListenPlan& next,
                                             unsigned workers, const PassedSockets& passed = {});

/// Says which passed sockets are used, and warns of those that are not: their clients wait in vain.
void log_passed(const PassedSockets& passed, const ListenPlan& plan);

/// Error when another process listens there by TCP already. REQUIRES: none of our own sockets is
/// bound to it.
Result<void> check_is_free_tcp(const Endpoint& endpoint);

/// Nobody has it, neither by TCP nor by UDP.
bool is_free(const Endpoint& endpoint);

}  // namespace postern::server
