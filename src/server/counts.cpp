#include "server/counts.h"

#include <algorithm>
#include <cstddef>

namespace postern::server {
namespace {

template <class Numbers>
void add_numbers(Numbers* sum, const Numbers& more) {
  for (std::size_t i = 0; i < sum->size(); ++i) (*sum)[i] += more[i];
}

void add(nameserver::ResolverCounts* sum, const nameserver::ResolverCounts& more) {
  add_numbers(&sum->by_transport, more.by_transport);
  add_numbers(&sum->by_rcode, more.by_rcode);
  add_numbers(&sum->by_source, more.by_source);
  sum->dropped += more.dropped;
  sum->limited_dropped += more.limited_dropped;
  sum->limited_truncated += more.limited_truncated;
  sum->forwarded += more.forwarded;
  sum->refreshed += more.refreshed;
  sum->pending_refused += more.pending_refused;
  sum->oversize_refused += more.oversize_refused;
  sum->hops_refused += more.hops_refused;
}

void add(nameserver::ForwarderCounts* sum, const nameserver::ForwarderCounts& more) {
  sum->asked += more.asked;
  sum->joined += more.joined;
  sum->answered += more.answered;
  sum->failed += more.failed;
  sum->queries += more.queries;
  sum->tcp += more.tcp;
  sum->timeouts += more.timeouts;
  sum->retries += more.retries;
  sum->exchanges += more.exchanges;
  sum->refused_full += more.refused_full;
  sum->joins_refused += more.joins_refused;
  sum->attempts_full += more.attempts_full;
  sum->lingering_full += more.lingering_full;
  sum->accept.svcb_edited += more.accept.svcb_edited;
  sum->accept.svcb_withheld += more.accept.svcb_withheld;
  sum->accept.svcb_malformed += more.accept.svcb_malformed;
  sum->accept.rebind_removed += more.accept.rebind_removed;
  sum->accept.out_of_bailiwick += more.accept.out_of_bailiwick;
}

void add(nameserver::UpstreamStatus* sum, const nameserver::UpstreamStatus& more) {
  if (more.rtt_us != 0)
    sum->rtt_us = sum->rtt_us == 0 ? more.rtt_us : std::min(sum->rtt_us, more.rtt_us);
  sum->resting = sum->resting || more.resting;
  sum->rest_left_ms = std::max(sum->rest_left_ms, more.rest_left_ms);
  sum->queries += more.queries;
  sum->answers += more.answers;
  sum->failures += more.failures;
}

}  // namespace

void add(nameserver::UdpServiceCounts* sum, const nameserver::UdpServiceCounts& more) {
  sum->received += more.received;
  sum->replied += more.replied;
  sum->dropped += more.dropped;
  sum->truncated += more.truncated;
  sum->source_port0 += more.source_port0;
  sum->send_dropped += more.send_dropped;
  sum->send_errors += more.send_errors;
}

void add(nameserver::TcpServiceCounts* sum, const nameserver::TcpServiceCounts& more) {
  sum->accepted += more.accepted;
  sum->refused_total += more.refused_total;
  sum->refused_address += more.refused_address;
  sum->closed_for_room += more.closed_for_room;
  sum->closed_idle += more.closed_idle;
  sum->closed_stalled += more.closed_stalled;
  sum->closed_malformed += more.closed_malformed;
  sum->held_back += more.held_back;
  sum->exhausted += more.exhausted;
  sum->received += more.received;
  sum->replied += more.replied;
  sum->dropped += more.dropped;
}

void add(WorkerCounts* sum, const WorkerCounts& more) {
  add(&sum->resolver, more.resolver);
  add(&sum->forwarder, more.forwarder);
  add(&sum->udp, more.udp);
  add(&sum->tcp, more.tcp);
  sum->pending += more.pending;
  sum->outstanding += more.outstanding;
  sum->tcp_clients += more.tcp_clients;
  for (const nameserver::UpstreamStatus& status : more.upstreams) {
    const auto known =
        std::find_if(sum->upstreams.begin(), sum->upstreams.end(),
                     [&](const nameserver::UpstreamStatus& u) { return u.text == status.text; });
    if (known == sum->upstreams.end()) {
      sum->upstreams.push_back(status);
    } else {
      add(&*known, status);
    }
  }
}

}  // namespace postern::server
