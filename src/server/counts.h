// The numbers of one worker, or of all of them together: plain copies, made on the worker's thread
// and added up on the main thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/counts.h"
#include "nameserver/forwarder.h"
#include "nameserver/resolver.h"
#include "nameserver/tcp_connection.h"
#include "nameserver/udp_service.h"

namespace postern::server {

struct WorkerCounts {
  nameserver::ResolverCounts resolver;
  nameserver::ForwarderCounts forwarder;
  nameserver::UdpServiceCounts udp;
  nameserver::TcpServiceCounts tcp;
  std::uint64_t pending = 0;      ///< queries that wait for upstream, now
  std::uint64_t outstanding = 0;  ///< fetches under way, now
  std::uint64_t tcp_clients = 0;  ///< connections, now
  std::vector<nameserver::UpstreamStatus> upstreams;
  gateway::GatewayCounts gateway;
};

void add(nameserver::UdpServiceCounts* sum, const nameserver::UdpServiceCounts& more);
void add(nameserver::TcpServiceCounts* sum, const nameserver::TcpServiceCounts& more);
/// Backends with the same text become one, healthy when every worker holds it to be.
void add(gateway::GatewayCounts* sum, const gateway::GatewayCounts& more);
/// Upstreams with the same text become one: counts are added, a round-trip time is the least.
void add(WorkerCounts* sum, const WorkerCounts& more);

}  // namespace postern::server
