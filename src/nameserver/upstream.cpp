#include "nameserver/upstream.h"

namespace postern::nameserver {

ExchangeCounts& ExchangeCounts::operator+=(const ExchangeCounts& more) {
  mismatched += more.mismatched;
  sockets_opened += more.sockets_opened;
  sockets_failed += more.sockets_failed;
  queries_refused += more.queries_refused;
  connections_full += more.connections_full;
  send_dropped += more.send_dropped;
  return *this;
}

Upstream::Upstream(net::Loop& loop, Random& random, const UpstreamSettings& settings)
    : settings_(settings),
      udp_(loop, random, settings.endpoint),
      tcp_(loop, random, settings.endpoint) {}

AttemptEnd Upstream::send(Exchange& exchange, bool by_tcp) {
  const AttemptEnd end = by_tcp ? tcp_.send(exchange) : udp_.send(exchange);
  if (end == AttemptEnd::kWaiting) ++queries_;
  return end;
}

ExchangeCounts Upstream::counts() const {
  ExchangeCounts counts = udp_.counts();
  counts += tcp_.counts();
  return counts;
}

void Upstream::heard(const Exchange& exchange, bool by_tcp, std::uint64_t now_us) {
  heard_us_ = now_us;
  if (by_tcp != tcp_only()) return;
  round_trip.sample(now_us - exchange.sent_us);
  round_trips_.observe(now_us - exchange.sent_us);
}

void Upstream::given_up(const Exchange& exchange, std::uint64_t now_us) {
  if (heard_us_ < exchange.sent_us) failed(exchange, now_us);
}

void Upstream::failed(const Exchange& exchange, std::uint64_t now_us) {
  ++failures_;
  health.failed(exchange.sent_us / 1000, now_us / 1000);
}

Candidate Upstream::candidate(std::uint64_t now_ms) const {
  return {round_trip.score_us(), round_trip.measured(), health.state(now_ms), 0, false};
}

UpstreamStatus Upstream::status(std::uint64_t now_ms) const {
  UpstreamStatus status;
  status.text = settings_.text;
  status.rtt_us = round_trip.smoothed_us();
  status.resting = health.state(now_ms) != HealthState::kGood;
  status.rest_left_ms = static_cast<std::uint32_t>(health.rest_left_ms(now_ms));
  status.mixed_case = keeps_case.holds(now_ms);
  status.edns = edns(now_ms);
  status.queries = queries_;
  status.answers = answers_;
  status.failures = failures_;
  status.round_trips = round_trips_;
  return status;
}

}  // namespace postern::nameserver
