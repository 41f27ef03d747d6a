// One upstream server, shared by all forwards that name it: what is known of it and the sockets to
// it. Lives as long as a configuration or a fetch uses it. Loop thread only.
#pragma once

#include <cstdint>

#include "nameserver/exchange.h"
#include "nameserver/random.h"
#include "nameserver/upstream_choice.h"
#include "nameserver/upstream_health.h"
#include "nameserver/upstream_settings.h"
#include "nameserver/upstream_tcp.h"
#include "nameserver/upstream_udp.h"
#include "net/loop.h"

namespace postern::nameserver {

class Upstream {
 public:
  Upstream(net::Loop& loop, Random& random, const UpstreamSettings& settings);

  const UpstreamSettings& settings() const { return settings_; }
  bool tcp_only() const { return settings_.scheme == UpstreamScheme::kTcp; }

  /// kWaiting, or why it cannot be sent.
  AttemptEnd send(Exchange& exchange, bool by_tcp);

  /// A reply came. A round-trip time is taken unless it was asked by TCP in place of UDP: setting
  /// up a connection is no measure of the next query.
  void heard(const Exchange& exchange, bool by_tcp, std::uint64_t now_us);
  /// An answer of use came.
  void answered() {
    health.answered();
    ++answers_;
  }
  /// It takes longer than expected; its answer is welcome all the same.
  void timed_out() { round_trip.timed_out(); }
  /// Nobody waits for an answer any more. Counted as a failure only when nothing at all was heard
  /// since: names that take their time must not put a living upstream to rest.
  void given_up(const Exchange& exchange, std::uint64_t now_us);
  void failed(const Exchange& exchange, std::uint64_t now_us);

  Candidate candidate(std::uint64_t now_ms) const;
  UpstreamStatus status(std::uint64_t now_ms) const;
  ExchangeCounts counts() const;

  RoundTrip round_trip;
  Health health;
  Assumption keeps_case{3, 3'600'000};         ///< the case of the question comes back (0x20)
  Assumption takes_edns{1, 600'000};           ///< no FORMERR for a query with EDNS
  Assumption takes_edns_silently{3, 600'000};  ///< nor a bare one, which anybody may have sent

  bool edns(std::uint64_t now_ms) const {
    return takes_edns.holds(now_ms) && takes_edns_silently.holds(now_ms);
  }

 private:
  UpstreamSettings settings_;
  UdpPorts udp_;
  TcpConnections tcp_;
  std::uint64_t heard_us_ = 0;
  std::uint64_t queries_ = 0, answers_ = 0, failures_ = 0;
  DnsHistogram round_trips_;
};

}  // namespace postern::nameserver
