// Where questions go that this server does not answer itself: [[dns.forward]].
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/histogram.h"
#include "dns/name.h"

namespace postern::nameserver {

inline constexpr std::size_t kUpstreamsMax = 8;  ///< of a forward: more than a fetch would ask

enum class UpstreamScheme : std::uint8_t { kUdp, kTcp };  // tls and https come with a later version
enum class UpstreamPolicy : std::uint8_t { kFastest, kSequential, kRoundRobin };

/// udp://192.0.2.1:53, tcp://[2001:db8::1]:53
struct UpstreamSettings {
  UpstreamScheme scheme = UpstreamScheme::kUdp;
  Endpoint endpoint;
  std::string text;  ///< as configured, for logs and EDE
};

/// [[dns.forward]]
struct ForwardSettings {
  dns::Name name;
  std::vector<UpstreamSettings> upstreams;  ///< kUpstreamsMax at most
  UpstreamPolicy policy = UpstreamPolicy::kFastest;
  std::uint32_t timeout_ms = 2000;  ///< for a client's query, all attempts together
  std::string source;               ///< "FILE:LINE"
};

/// Of the sockets to one upstream, or to all of them.
struct ExchangeCounts {
  std::uint64_t mismatched = 0;  ///< packets that answered no question of ours
  std::uint64_t sockets_opened = 0;
  std::uint64_t sockets_failed = 0;   ///< this machine could not open one
  std::uint64_t queries_refused = 0;  ///< too many under way: UDP port or TCP connections are full
  std::uint64_t connections_full =
      0;                           ///< a further TCP connection was wanted, all places are taken
  std::uint64_t send_dropped = 0;  ///< UDP queries that the socket's buffer had no room for

  ExchangeCounts& operator+=(const ExchangeCounts& more);
};

/// One upstream as the status page shows it.
struct UpstreamStatus {
  std::string text;
  std::uint32_t rtt_us = 0;  ///< smoothed; 0: not measured yet
  bool resting = false;      ///< failed several times in a row
  std::uint32_t rest_left_ms = 0;
  bool mixed_case = true;  ///< 0x20 in use
  bool edns = true;
  std::uint64_t queries = 0, answers = 0, failures = 0;
  DnsHistogram round_trips;  ///< of its own transport: not of TCP in place of UDP
};

}  // namespace postern::nameserver
