#include "server/counts.h"

#include <algorithm>
#include <cstddef>
#include <unordered_map>

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
  add_numbers(&sum->svcb_changed, more.svcb_changed);
  sum->queries += more.queries;
  add_numbers(&sum->answer_time, more.answer_time);
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
  sum->round_trips += more.round_trips;
}

void add(gateway::BackendCounts* sum, const gateway::BackendCounts& more) {
  sum->probe_fails = sum->probe_fails || more.probe_fails;
  sum->connected_ms = std::max(sum->connected_ms, more.connected_ms);
  sum->failed_ms = std::max(sum->failed_ms, more.failed_ms);
  sum->answered_ms = std::max(sum->answered_ms, more.answered_ms);
  sum->unanswered_ms = std::max(sum->unanswered_ms, more.unanswered_ms);
  sum->requests += more.requests;
  sum->failures += more.failures;
  sum->retries += more.retries;
  sum->connects += more.connects;
  sum->reused += more.reused;
  sum->connections += more.connections;
  sum->idle += more.idle;
  sum->left_out = std::max(sum->left_out, more.left_out);
}

void add(gateway::RouteTimes* sum, const gateway::RouteTimes& more) {
  sum->duration += more.duration;
  sum->first_byte += more.first_byte;
}

// With three names it may be many: found by a hash of them.
void add_requests(std::vector<gateway::RequestSeries>* sum,
                  const std::vector<gateway::RequestSeries>& more) {
  const auto key = [](const gateway::RequestSeries& one) {
    return one.listener + '\n' + one.route + '\n' + one.backend;
  };
  std::unordered_map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < sum->size(); ++i) known.emplace(key((*sum)[i]), i);
  for (const gateway::RequestSeries& one : more) {
    const auto [at, is_new] = known.emplace(key(one), sum->size());
    if (is_new) {
      sum->push_back(one);
    } else {
      add_numbers(&(*sum)[at->second].by_class, one.by_class);
    }
  }
}

// What has the same text becomes one.
template <class T>
void add_by_text(std::vector<T>* sum, const std::vector<T>& more, std::string T::*text) {
  for (const T& one : more) {
    const auto known = std::find_if(sum->begin(), sum->end(),
                                    [&](const T& other) { return other.*text == one.*text; });
    if (known == sum->end()) {
      sum->push_back(one);
    } else {
      add(&*known, one);
    }
  }
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

void add(gateway::GatewayCounts* sum, const gateway::GatewayCounts& more) {
  sum->connections += more.connections;
  sum->accepted += more.accepted;
  sum->exhausted += more.exhausted;
  sum->connections_refused += more.connections_refused;
  sum->no_file += more.no_file;
  sum->memory_short += more.memory_short;
  sum->memory += more.memory;
  sum->waiting_full += more.waiting_full;
  sum->handshakes_full += more.handshakes_full;
  sum->handshakes_resumed += more.handshakes_resumed;
  sum->handshakes_failed += more.handshakes_failed;
  sum->unknown_sni += more.unknown_sni;
  sum->ech_outer_sni += more.ech_outer_sni;
  sum->requests_h1 += more.requests_h1;
  sum->requests_h2 += more.requests_h2;
  add_numbers(&sum->by_class, more.by_class);
  sum->bytes_received += more.bytes_received;
  sum->bytes_sent += more.bytes_sent;
  sum->malformed += more.malformed;
  sum->head_too_large += more.head_too_large;
  sum->too_many_fields += more.too_many_fields;
  sum->response_heads += more.response_heads;
  sum->response_fields += more.response_fields;
  sum->streams_refused += more.streams_refused;
  sum->body_too_large += more.body_too_large;
  sum->header_timeouts += more.header_timeouts;
  sum->idle_timeouts += more.idle_timeouts;
  sum->aborted_by_client += more.aborted_by_client;
  sum->aborted_by_backend += more.aborted_by_backend;
  add_numbers(&sum->h2_abuse, more.h2_abuse);
  sum->quic_refused += more.quic_refused;
  sum->quic_ignored += more.quic_ignored;
  sum->quic_limited += more.quic_limited;
  sum->tcp_connections += more.tcp_connections;
  sum->tcp_accepted += more.tcp_accepted;
  sum->tcp_failed += more.tcp_failed;
  sum->tcp_bytes_in += more.tcp_bytes_in;
  sum->tcp_bytes_out += more.tcp_bytes_out;
  sum->upgrades += more.upgrades;
  sum->alt_svc_cleared += more.alt_svc_cleared;
  sum->client_ip_invalid += more.client_ip_invalid;
  sum->in_flight += more.in_flight;
  add_by_text(&sum->backends, more.backends, &gateway::BackendCounts::backend);
  add_by_text(&sum->routes, more.routes, &gateway::RouteTimes::route);
  add_requests(&sum->requests, more.requests);
}

void add(WorkerCounts* sum, const WorkerCounts& more) {
  add(&sum->resolver, more.resolver);
  add(&sum->forwarder, more.forwarder);
  add(&sum->udp, more.udp);
  add(&sum->tcp, more.tcp);
  sum->pending += more.pending;
  sum->outstanding += more.outstanding;
  sum->tcp_clients += more.tcp_clients;
  add_by_text(&sum->upstreams, more.upstreams, &nameserver::UpstreamStatus::text);
  add(&sum->gateway, more.gateway);
}

}  // namespace postern::server
