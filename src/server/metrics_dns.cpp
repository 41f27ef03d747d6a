#include <algorithm>
#include <string>
#include <utility>

#include "server/metrics.h"
#include "server/metrics_page.h"

namespace postern::server {
namespace {

using nameserver::UpstreamStatus;

// Of the 5508 combinations of a view only those that occurred.
void add_queries(MetricsPage* page, const nameserver::ResolverCounts& counts) {
  MetricSeries queries(metric("postern_dns_queries_total"));
  for (const nameserver::ViewQueries& one : counts.queries.views()) {
    for (std::size_t cell = 0; cell < one.cells.size(); ++cell) {
      if (one.cells[cell] == 0) continue;
      const auto labels = nameserver::ViewQueries::labels(cell);
      queries.add({labels.transport, one.view, labels.type, labels.rcode, labels.source},
                  one.cells[cell]);
    }
  }
  page->add(queries);
  MetricSeries times(metric("postern_dns_answer_duration_seconds"));
  for (std::size_t i = 0; i < counts.answer_time.size(); ++i) {
    times.add_times({nameserver::kSourceLabels[i]}, counts.answer_time[i]);
  }
  page->add(times);
  page->add(metric("postern_dns_rate_limited_total"),
            {{"dropped", counts.limited_dropped}, {"truncated", counts.limited_truncated}});
  page->add(metric("postern_dns_forwarded_total"), counts.forwarded);
  MetricSeries changed(metric("postern_dns_https_answers_edited_total"));
  for (std::size_t i = 0; i < counts.svcb_changed.size(); ++i) {
    changed.add({nameserver::kSvcbWhy[i]}, counts.svcb_changed[i]);
  }
  page->add(changed);
}

void add_fetches(MetricsPage* page, const WorkerCounts& counts) {
  const nameserver::ForwarderCounts& forwarder = counts.forwarder;
  page->add(metric("postern_dns_edits_total"),
            {{"https_edited", forwarder.accept.svcb_edited},
             {"https_withheld", forwarder.accept.svcb_withheld},
             {"https_malformed", forwarder.accept.svcb_malformed},
             {"private_address_removed", forwarder.accept.rebind_removed},
             {"out_of_bailiwick", forwarder.accept.out_of_bailiwick}});
  page->add(metric("postern_dns_fetches_total"), forwarder.asked);
  page->add(metric("postern_dns_fetches_joined_total"), forwarder.joined);
  page->add(metric("postern_dns_fetches_failed_total"), forwarder.failed);
  page->add(metric("postern_dns_fetches_in_flight"), counts.outstanding);
  page->add(metric("postern_dns_refreshes_total"), counts.resolver.refreshed);
}

template <class Value>
void add_by_upstream(MetricsPage* page, const MetricInfo& info,
                     const std::vector<UpstreamStatus>& upstreams, Value value) {
  MetricSeries series(info);
  for (const UpstreamStatus& one : upstreams) series.add({one.text}, value(one));
  page->add(series);
}

void add_upstreams(MetricsPage* page, const std::vector<UpstreamStatus>& upstreams) {
  add_by_upstream(page, metric("postern_dns_upstream_queries_total"), upstreams,
                  [](const UpstreamStatus& one) { return one.queries; });
  add_by_upstream(page, metric("postern_dns_upstream_answers_total"), upstreams,
                  [](const UpstreamStatus& one) { return one.answers; });
  add_by_upstream(page, metric("postern_dns_upstream_failures_total"), upstreams,
                  [](const UpstreamStatus& one) { return one.failures; });
  MetricSeries times(metric("postern_dns_upstream_rtt_seconds"));
  for (const UpstreamStatus& one : upstreams) times.add_times({one.text}, one.round_trips);
  page->add(times);
  add_by_upstream(page, metric("postern_dns_upstream_smoothed_rtt_seconds"), upstreams,
                  [](const UpstreamStatus& one) { return one.rtt_us / 1e6; });
  add_by_upstream(page, metric("postern_dns_upstream_up"), upstreams,
                  [](const UpstreamStatus& one) { return one.resting ? 0.0 : 1.0; });
}

void add_all_upstreams(MetricsPage* page, const nameserver::ForwarderCounts& counts) {
  page->add(metric("postern_dns_upstream_timeouts_total"), counts.timeouts);
  page->add(metric("postern_dns_upstream_retries_total"), counts.retries);
  page->add(metric("postern_dns_upstream_tcp_queries_total"), counts.tcp);
  page->add(metric("postern_dns_upstream_mismatched_total"), counts.exchanges.mismatched);
  page->add(metric("postern_dns_upstream_socket_errors_total"), counts.exchanges.sockets_failed);
  page->add(metric("postern_dns_upstream_send_dropped_total"), counts.exchanges.send_dropped);
}

void add_cache(MetricsPage* page, const ServerState& state) {
  const dns::CacheStats& cache = state.cache;
  page->add(metric("postern_dns_cache_requests_total"),
            {{"hit", cache.hits}, {"stale", cache.stale_hits}, {"miss", cache.misses}});
  page->add(metric("postern_dns_cache_entries"), cache.entries);
  page->add(metric("postern_dns_cache_size_bytes"), cache.bytes);
  page->add(metric("postern_dns_cache_max_bytes"), state.snapshot->config.cache.size_bytes);
  page->add(metric("postern_dns_cache_insertions_total"), cache.insertions);
  page->add(metric("postern_dns_cache_evictions_total"), cache.evictions);
}

// A zone may be there twice, for two views; then with two files.
template <class Value>
void add_by_zone(MetricsPage* page, const MetricInfo& info, const Snapshot& snapshot, Value value) {
  MetricSeries series(info);
  std::vector<std::pair<std::string, std::string>> seen;
  for (std::size_t i = 0; i < snapshot.zones.size(); ++i) {
    const dns::ZoneSettings& settings = snapshot.config.policy.zones[i];
    std::pair<std::string, std::string> key(settings.name.text(), settings.file);
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) continue;
    series.add({key.first, key.second}, std::uint64_t{value(i)});
    seen.push_back(std::move(key));
  }
  page->add(series);
}

void add_zones(MetricsPage* page, const ServerState& state) {
  const Snapshot& snapshot = *state.snapshot;
  add_by_zone(page, metric("postern_dns_zone_records"), snapshot,
              [&](std::size_t i) { return snapshot.zones[i].zone->record_count(); });
  add_by_zone(page, metric("postern_dns_zone_serial"), snapshot,
              [&](std::size_t i) { return snapshot.zones[i].zone->serial(); });
  add_by_zone(page, metric("postern_dns_zone_rejected"), snapshot, [&](std::size_t i) {
    const auto is_it = [&](const ZoneRejection& one) { return one.index == i; };
    return std::any_of(state.rejected->begin(), state.rejected->end(), is_it) ? 1U : 0U;
  });
  page->add(metric("postern_dns_zone_reloads_total"),
            {{"taken", state.zone_reloads}, {"refused", state.zone_edits_refused}});
}

void add_transports(MetricsPage* page, const WorkerCounts& counts) {
  page->add(metric("postern_dns_udp_dropped_total"), {{"too_long", counts.udp.truncated},
                                                      {"source_port_0", counts.udp.source_port0},
                                                      {"buffer_full", counts.udp.send_dropped},
                                                      {"send_error", counts.udp.send_errors}});
  page->add(metric("postern_dns_tcp_connections"), counts.tcp_clients);
  page->add(metric("postern_dns_tcp_accepted_total"), counts.tcp.accepted);
  page->add(metric("postern_dns_tcp_closed_total"), {{"idle", counts.tcp.closed_idle},
                                                     {"stalled", counts.tcp.closed_stalled},
                                                     {"malformed", counts.tcp.closed_malformed},
                                                     {"for_room", counts.tcp.closed_for_room}});
}

}  // namespace

void add_dns(MetricsPage* page, const WorkerCounts& counts, const ServerState& state) {
  add_queries(page, counts.resolver);
  page->add(metric("postern_dns_pending_queries"), counts.pending);
  page->add(metric("postern_dns_overrides"),
            std::uint64_t{state.snapshot->config.policy.overrides.size()});
  add_fetches(page, counts);
  add_upstreams(page, counts.upstreams);
  add_all_upstreams(page, counts.forwarder);
  add_cache(page, state);
  add_zones(page, state);
  add_transports(page, counts);
}

}  // namespace postern::server
