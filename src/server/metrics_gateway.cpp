#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "server/metrics.h"
#include "server/metrics_page.h"

namespace postern::server {
namespace {

using gateway::BackendCounts;
using gateway::GatewayCounts;

constexpr std::array<std::string_view, 6> kClasses{"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

void add_connections(MetricsPage* page, const GatewayCounts& counts) {
  page->add(metric("postern_gateway_connections"), counts.connections);
  page->add(metric("postern_gateway_connections_accepted_total"), counts.accepted);
  page->add(metric("postern_gateway_tls_handshakes_total"),
            {{"full", counts.handshakes_full},
             {"resumed", counts.handshakes_resumed},
             {"unknown_name", counts.unknown_sni},
             {"failed", counts.handshakes_failed - counts.unknown_sni}});
  page->add(metric("postern_gateway_ech_outer_sni_total"), counts.ech_outer_sni);
}

void add_requests(MetricsPage* page, const GatewayCounts& counts) {
  page->add(metric("postern_gateway_received_requests_total"),
            {{"http/1.1", counts.requests_h1}, {"h2", counts.requests_h2}});
  page->add(metric("postern_gateway_requests_in_flight"), counts.in_flight);
  page->add(metric("postern_gateway_requests_memory_bytes"), counts.memory);
  MetricSeries requests(metric("postern_gateway_requests_total"));
  for (const gateway::RequestSeries& one : counts.requests) {
    for (std::size_t i = 0; i < kClasses.size(); ++i) {
      if (one.by_class[i] == 0) continue;
      requests.add({one.listener, one.route, one.backend, kClasses[i]}, one.by_class[i]);
    }
  }
  page->add(requests);
  MetricSeries duration(metric("postern_gateway_request_duration_seconds"));
  MetricSeries first_byte(metric("postern_gateway_first_byte_seconds"));
  for (const gateway::RouteTimes& one : counts.routes) {
    duration.add_times({one.route}, one.duration);
    first_byte.add_times({one.route}, one.first_byte);
  }
  page->add(duration);
  page->add(first_byte);
}

void add_routes(MetricsPage* page, const ServerState& state) {
  const auto& routes = state.snapshot->site().routes;
  const std::vector<std::string> names = gateway::route_names(routes);
  MetricSeries info(metric("postern_gateway_route_info"));
  for (std::size_t i = 0; i < routes.size(); ++i) info.add({names[i], routes[i].source}, 1.0);
  page->add(info);
}

void add_outcomes(MetricsPage* page, const GatewayCounts& counts) {
  page->add(metric("postern_gateway_request_body_bytes_total"), counts.bytes_received);
  page->add(metric("postern_gateway_response_body_bytes_total"), counts.bytes_sent);
  page->add(metric("postern_gateway_requests_refused_total"),
            {{"malformed", counts.malformed},
             {"head_too_large", counts.head_too_large},
             {"body_too_large", counts.body_too_large},
             {"head_too_slow", counts.header_timeouts}});
  page->add(metric("postern_gateway_aborted_total"),
            {{"client", counts.aborted_by_client}, {"backend", counts.aborted_by_backend}});
  page->add(metric("postern_gateway_idle_timeouts_total"), counts.idle_timeouts);
  page->add(metric("postern_gateway_upgrades_total"), counts.upgrades);
  page->add(metric("postern_gateway_alt_svc_cleared_total"), counts.alt_svc_cleared);
  page->add(metric("postern_gateway_client_ip_invalid_total"), counts.client_ip_invalid);
  MetricSeries closed(metric("postern_gateway_h2_closed_total"));
  for (std::size_t i = 1; i < counts.h2_abuse.size(); ++i) {  // 0 is Abuse::kNone
    closed.add({http::h2::abuse_name(static_cast<http::h2::Abuse>(i))}, counts.h2_abuse[i]);
  }
  page->add(closed);
  page->add(metric("postern_gateway_quic_datagrams_total"), {{"refused", counts.quic_refused},
                                                             {"ignored", counts.quic_ignored},
                                                             {"limited", counts.quic_limited}});
}

void add_tcp(MetricsPage* page, const GatewayCounts& counts) {
  page->add(metric("postern_gateway_tcp_connections"), counts.tcp_connections);
  page->add(metric("postern_gateway_tcp_accepted_total"), counts.tcp_accepted);
  page->add(metric("postern_gateway_tcp_failed_total"), counts.tcp_failed);
  page->add(metric("postern_gateway_tcp_bytes_total"),
            {{"in", counts.tcp_bytes_in}, {"out", counts.tcp_bytes_out}});
}

void add_by_backend(MetricsPage* page, const MetricInfo& info,
                    const std::vector<BackendCounts>& backends,
                    std::uint64_t BackendCounts::*value) {
  MetricSeries series(info);
  for (const BackendCounts& one : backends) series.add({one.backend}, one.*value);
  page->add(series);
}

void add_backends(MetricsPage* page, const std::vector<BackendCounts>& backends) {
  MetricSeries healthy(metric("postern_gateway_backend_healthy"));
  for (const BackendCounts& one : backends) healthy.add({one.backend}, one.healthy() ? 1.0 : 0.0);
  page->add(healthy);
  add_by_backend(page, metric("postern_gateway_backend_requests_total"), backends,
                 &BackendCounts::requests);
  add_by_backend(page, metric("postern_gateway_backend_failures_total"), backends,
                 &BackendCounts::failures);
  add_by_backend(page, metric("postern_gateway_backend_retries_total"), backends,
                 &BackendCounts::retries);
  add_by_backend(page, metric("postern_gateway_backend_connects_total"), backends,
                 &BackendCounts::connects);
  add_by_backend(page, metric("postern_gateway_backend_reused_total"), backends,
                 &BackendCounts::reused);
  add_by_backend(page, metric("postern_gateway_backend_connections"), backends,
                 &BackendCounts::connections);
  add_by_backend(page, metric("postern_gateway_backend_idle_connections"), backends,
                 &BackendCounts::idle);
  add_by_backend(page, metric("postern_gateway_backend_addresses_left_out"), backends,
                 &BackendCounts::left_out);
}

}  // namespace

void add_gateway(MetricsPage* page, const WorkerCounts& counts, const ServerState& state) {
  add_connections(page, counts.gateway);
  add_requests(page, counts.gateway);
  add_routes(page, state);
  add_outcomes(page, counts.gateway);
  add_tcp(page, counts.gateway);
  add_backends(page, counts.gateway.backends);
}

void add_certificates(MetricsPage* page, const ServerState& state) {
  const auto& settings = state.snapshot->config.certificates;
  MetricSeries not_after(metric("postern_tls_certificate_not_after_seconds"));
  MetricSeries rejected(metric("postern_tls_certificate_rejected"));
  const auto& refused = *state.certificates_rejected;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const auto& identity = state.snapshot->gateway->certificates[i].identity;
    not_after.add({settings[i].name}, static_cast<double>(identity->not_after_s()));
    const bool bad = std::any_of(refused.begin(), refused.end(),
                                 [&](const CertificateRejection& r) { return r.index == i; });
    rejected.add({settings[i].name}, bad ? 1.0 : 0.0);
  }
  page->add(not_after);
  page->add(rejected);
  page->add(metric("postern_tls_certificate_reloads_total"),
            {{"taken", state.certificate_reloads}, {"refused", state.certificates_refused}});
}

}  // namespace postern::server
