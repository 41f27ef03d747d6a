#include "server/metrics.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "server/metrics_page.h"

namespace postern::server {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using Page = MetricsPage;

constexpr std::array<std::string_view, 4> kTransports{"udp", "tcp", "tls", "https"};
constexpr std::array<std::string_view, 9> kSources{
    "none", "override", "zone", "cache", "stale", "upstream", "special", "refused", "error"};

void add_queries(Page* page, const nameserver::ResolverCounts& counts) {
  page->counters("queries_total", "Queries, by the transport they came by", "transport",
                 kTransports, counts.by_transport);
  page->counters("replies_total", "Replies, by where the answer came from", "source", kSources,
                 counts.by_source);
  std::array<std::string, 17> rcodes;
  for (std::size_t i = 0; i < 16; ++i) rcodes[i] = dns::rcode_text(static_cast<dns::Rcode>(i));
  rcodes[16] = "other";
  page->counters("replies_by_rcode_total", "Replies, by response code", "rcode", rcodes,
                 counts.by_rcode);
  page->counters("https_answers_edited_total",
                 "Replies to questions for HTTPS or SVCB that differ from the public DNS, by why",
                 "why", nameserver::kSvcbWhy, counts.svcb_changed);
  page->counter("queries_dropped_total", "Queries that get no answer because of what they are",
                counts.dropped);
  page->counter("limited_dropped_total", "Queries over qps_per_client that got no reply",
                counts.limited_dropped);
  page->counter("limited_truncated_total", "Queries over qps_per_client that were told to use TCP",
                counts.limited_truncated);
  page->counter("queries_forwarded_total", "Queries that had to wait for an upstream",
                counts.forwarded);
  page->counter("refreshes_total", "Fetches begun in the background", counts.refreshed);
  page->counter("pending_refused_total", "Queries refused because dns.limits.outstanding was hit",
                counts.pending_refused);
  page->counter("oversize_refused_total",
                "Queries over 4096 bytes refused because they would have had to wait",
                counts.oversize_refused);
  page->counter("hops_refused_total",
                "Queries ended because a chain of names went upstream too often",
                counts.hops_refused);
}

void add_forwarder(Page* page, const nameserver::ForwarderCounts& counts) {
  page->counter("fetches_total", "Questions sent upstream, equal ones once", counts.asked);
  page->counter("fetches_joined_total", "Questions that joined one under way", counts.joined);
  page->counter("fetches_failed_total", "Fetches that brought no answer", counts.failed);
  page->counter("upstream_timeouts_total", "Queries to upstreams without an answer in time",
                counts.timeouts);
  page->counter("upstream_retries_total", "Queries to upstreams that were not the first",
                counts.retries);
  page->counter("upstream_tcp_total", "Queries to upstreams by TCP", counts.tcp);
  page->counter("upstream_mismatched_total", "Packets from upstreams that answered no question",
                counts.exchanges.mismatched);
  page->counter("upstream_sockets_failed_total",
                "Sockets to upstreams that this machine could not open",
                counts.exchanges.sockets_failed);
  page->counter("upstream_queries_refused_total",
                "Queries not sent: too many were under way to that upstream",
                counts.exchanges.queries_refused);
  page->counter("upstream_connections_full_total",
                "Queries that shared a busy TCP connection: no upstream gets more connections",
                counts.exchanges.connections_full);
  page->counter("upstream_send_dropped_total",
                "Queries to upstreams lost because a socket's buffer was full",
                counts.exchanges.send_dropped);
  page->counter("fetches_refused_total", "Fetches refused because dns.limits.outstanding was hit",
                counts.refused_full);
  page->counter("fetches_joins_refused_total",
                "Questions refused because too many waited for the same answer",
                counts.joins_refused);
  page->counter("fetches_attempts_full_total",
                "Times that a fetch had sent as many queries as it may", counts.attempts_full);
  page->counter("fetches_lingering_full_total",
                "Fetches that did not wait for late answers because too many did",
                counts.lingering_full);
  page->counter("svcb_edited_total", "HTTPS and SVCB records edited", counts.accept.svcb_edited);
  page->counter("svcb_withheld_total", "HTTPS and SVCB records of which nothing useful was left",
                counts.accept.svcb_withheld);
  page->counter("svcb_malformed_total", "HTTPS and SVCB records removed as malformed",
                counts.accept.svcb_malformed);
  page->counter("rebind_removed_total", "Private addresses taken out of public answers",
                counts.accept.rebind_removed);
  page->counter("out_of_bailiwick_total", "Records dropped that did not belong to the answer",
                counts.accept.out_of_bailiwick);
}

void add_upstreams(Page* page, const std::vector<nameserver::UpstreamStatus>& upstreams) {
  auto& queries =
      page->family("upstream_queries_total", "Queries sent, by upstream", MetricType::Counter);
  for (const auto& u : upstreams)
    Page::add(&queries, "upstream", u.text, static_cast<double>(u.queries));
  auto& failures =
      page->family("upstream_failures_total", "Failures, by upstream", MetricType::Counter);
  for (const auto& u : upstreams)
    Page::add(&failures, "upstream", u.text, static_cast<double>(u.failures));
  auto& rtt = page->family("upstream_rtt_seconds", "Smoothed round-trip time", MetricType::Gauge);
  for (const auto& u : upstreams) Page::add(&rtt, "upstream", u.text, u.rtt_us / 1e6);
  auto& up =
      page->family("upstream_up", "0 while the upstream rests after failures", MetricType::Gauge);
  for (const auto& u : upstreams) Page::add(&up, "upstream", u.text, u.resting ? 0 : 1);
}

void add_transports(Page* page, const WorkerCounts& counts) {
  page->counter("udp_truncated_in_total", "Datagrams longer than any query", counts.udp.truncated);
  page->counter("udp_source_port0_total", "Datagrams from port 0, where no reply can go",
                counts.udp.source_port0);
  page->counter("udp_send_dropped_total", "Replies lost because a socket's buffer was full",
                counts.udp.send_dropped);
  page->counter("udp_send_errors_total", "Replies that the system refused to send",
                counts.udp.send_errors);
  page->counter("tcp_accepted_total", "TCP connections served", counts.tcp.accepted);
  page->counter("tcp_refused_total", "TCP connections refused: dns.limits.tcp_clients",
                counts.tcp.refused_total);
  page->counter("tcp_refused_address_total",
                "TCP connections refused: one address has its quarter of dns.limits.tcp_clients",
                counts.tcp.refused_address);
  page->counter("tcp_exhausted_total", "Rests from accepting: no file descriptors or memory left",
                counts.tcp.exhausted);
  page->counter(
      "tcp_held_back_total",
      "Times a TCP client had to wait: too many queries under way, or it takes no replies",
      counts.tcp.held_back);
  page->counter("tcp_closed_for_room_total", "Idle TCP connections closed for new ones",
                counts.tcp.closed_for_room);
  page->counter("tcp_closed_idle_total", "TCP connections closed as idle", counts.tcp.closed_idle);
  page->counter("tcp_closed_stalled_total", "TCP connections whose client took nothing",
                counts.tcp.closed_stalled);
  page->counter("tcp_closed_malformed_total", "TCP connections closed for bad framing",
                counts.tcp.closed_malformed);
  page->gauge("tcp_clients", "TCP connections now", counts.tcp_clients);
  page->gauge("pending_queries", "Queries that wait for upstreams now", counts.pending);
  page->gauge("outstanding_fetches", "Fetches under way now", counts.outstanding);
}

void add_cache(Page* page, const dns::CacheStats& cache) {
  page->gauge("cache_entries", "Answers in the cache", cache.entries);
  page->gauge("cache_bytes", "Memory of the cache, its tables included", cache.bytes);
  page->counter("cache_hits_total", "Answers found fresh", cache.hits);
  page->counter("cache_stale_hits_total", "Answers found stale", cache.stale_hits);
  page->counter("cache_misses_total", "Answers not found", cache.misses);
  page->counter("cache_insertions_total", "Answers stored", cache.insertions);
  page->counter("cache_evictions_total", "Answers that went for room", cache.evictions);
}

void add_zones(Page* page, const ServerState& state) {
  const Snapshot& snapshot = *state.snapshot;
  const auto each = [&](std::string_view name, std::string_view help, auto value) {
    MetricFamily& family = page->family(name, help, MetricType::Gauge);
    for (std::size_t i = 0; i < snapshot.zones.size(); ++i) {
      Page::add(&family, "zone", snapshot.config.policy.zones[i].name.text(),
                static_cast<double>(value(i)));
    }
  };
  each("zone_records", "Records of a zone",
       [&](std::size_t i) { return snapshot.zones[i].zone->record_count(); });
  each("zone_serial", "Serial of a zone's SOA",
       [&](std::size_t i) { return snapshot.zones[i].zone->serial(); });
  each("zone_rejected", "1 while the zone's file has an error and the zone as it was is served",
       [&](std::size_t i) {
         return std::any_of(state.rejected->begin(), state.rejected->end(),
                            [&](const ZoneRejection& r) { return r.index == i; });
       });
}

void add_server(Page* page, const ServerState& state) {
  Page::add(&page->family("build_info", "The version that runs", MetricType::Gauge), "version",
            POSTERN_VERSION, 1);
  page->gauge("start_time_seconds", "When it started, seconds since 1970", state.started_s);
  page->gauge("workers", "Event loops", state.workers);
  page->gauge("overrides", "Overrides in the configuration",
              state.snapshot->config.policy.overrides.size());
  page->counter("reloads_total", "Configurations taken over by SIGHUP", state.reloads);
  page->counter("reloads_refused_total", "Configurations refused by SIGHUP", state.reloads_refused);
  page->gauge("config_good", "0 while the last configuration read was refused",
              state.last_reload_good ? 1 : 0);
  page->counter("zone_reloads_total", "Edited zones taken over", state.zone_reloads);
  page->counter("zone_edits_refused_total", "Edited zones refused", state.zone_edits_refused);
  page->counter("admin_refused_total", "Connections to server.admin refused: too many at a time",
                state.admin_refused);
}

}  // namespace

std::string metrics_text(const WorkerCounts& counts, const ServerState& state) {
  Page page;
  add_server(&page, state);
  add_queries(&page, counts.resolver);
  add_transports(&page, counts);
  add_forwarder(&page, counts.forwarder);
  add_upstreams(&page, counts.upstreams);
  add_cache(&page, state.cache);
  add_zones(&page, state);
  add_gateway(&page, counts.gateway);
  add_certificates(&page, state);
  return page.text();
}

}  // namespace postern::server
