#include "server/metrics.h"

#include <algorithm>
#include <numeric>

#include "server/metrics_page.h"
#include "server/process_stats.h"

namespace postern::server {
namespace {

void add_process(MetricsPage* page, const ServerState& state) {
  const ProcessStats stats = process_stats();
  page->add(metric("process_cpu_seconds_total"), stats.cpu_s);
  page->add(metric("process_resident_memory_bytes"), stats.resident_bytes);
  page->add(metric("process_open_fds"), stats.open_fds);
  page->add(metric("process_max_fds"), stats.max_fds);
  page->add(metric("process_start_time_seconds"), state.started_s);
}

void add_server(MetricsPage* page, const ServerState& state) {
  page->add(metric("postern_build_info"), {{POSTERN_VERSION, 1}});
  page->add(metric("postern_workers"), std::uint64_t{state.workers});
  page->add(metric("postern_admin_denied_total"), state.admin_denied);
  page->add(metric("postern_live_log_followers"), std::uint64_t{state.followers});
  page->add(metric("postern_live_log_dropped_total"), state.follow_dropped);
  page->add(metric("postern_config_reloads_total"),
            {{"taken", state.reloads}, {"refused", state.reloads_refused}});
  page->add(metric("postern_config_last_reload_successful"), state.last_reload_good ? 1.0 : 0.0);
  page->add(metric("postern_config_last_reload_success_timestamp_seconds"),
            std::max(state.started_s, state.last_reload_good_s));
  page->add(metric("postern_drift"), {{"config", std::uint64_t{state.drift.config}},
                                      {"zone", state.drift.zones.size()},
                                      {"certificate", state.drift.certificates.size()}});
}

// Keys of the configuration as they are written there; underscores only: built in.
void add_limits(MetricsPage* page, const WorkerCounts& counts, const ServerState& state) {
  const nameserver::ResolverCounts& resolver = counts.resolver;
  const nameserver::ForwarderCounts& forwarder = counts.forwarder;
  const gateway::GatewayCounts& gateway = counts.gateway;
  const auto& abuse = gateway.h2_abuse;
  page->add(
      metric("postern_limit_hits_total"),
      {{"dns.limits.qps_per_client", resolver.limited_dropped + resolver.limited_truncated},
       {"dns.limits.outstanding", resolver.pending_refused + forwarder.refused_full},
       {"dns.limits.tcp_clients", counts.tcp.refused_total},
       {"dns_tcp_clients_of_address", counts.tcp.refused_address},
       {"dns_tcp_queries_under_way", counts.tcp.held_back},
       {"dns_waiting_query_bytes", resolver.oversize_refused},
       {"dns_chain_hops", resolver.hops_refused},
       {"dns_fetch_joins", forwarder.joins_refused},
       {"dns_fetch_attempts", forwarder.attempts_full},
       {"dns_fetches_lingering", forwarder.lingering_full},
       {"dns_upstream_queries", forwarder.exchanges.queries_refused},
       {"dns_upstream_connections", forwarder.exchanges.connections_full},
       {"gateway.limits.connections", gateway.connections_refused},
       {"gateway.limits.header_bytes",
        gateway.head_too_large - gateway.too_many_fields + gateway.response_heads},
       {"gateway.limits.headers", gateway.too_many_fields + gateway.response_fields},
       {"gateway.limits.streams", gateway.streams_refused},
       {"gateway.limits.header_timeout", gateway.header_timeouts},
       {"gateway.route.limits.body", gateway.body_too_large},
       {"gateway_h2_abuse", std::accumulate(abuse.begin() + 1, abuse.end(), std::uint64_t{0})},
       {"gateway_memory", gateway.memory_short},
       {"gateway_backend_waiting", gateway.waiting_full},
       {"gateway_quic_replies", gateway.quic_limited},
       {"file_descriptors", counts.tcp.exhausted + gateway.exhausted + gateway.no_file},
       {"admin_connections", state.admin_refused}});
}

}  // namespace

std::string metrics_text(const WorkerCounts& counts, const ServerState& state) {
  MetricsPage page;
  add_process(&page, state);
  add_server(&page, state);
  add_limits(&page, counts, state);
  add_dns(&page, counts, state);
  add_gateway(&page, counts, state);
  add_certificates(&page, state);
  add_logs(&page, state);
  return page.text();
}

}  // namespace postern::server
