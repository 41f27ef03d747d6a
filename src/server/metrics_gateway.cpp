#include <algorithm>
#include <array>
#include <string_view>

#include "server/metrics.h"
#include "server/metrics_page.h"

namespace postern::server {
namespace {

using gateway::BackendCounts;
using gateway::GatewayCounts;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Page = MetricsPage;

constexpr std::array<std::string_view, 6> kClasses{"other", "1xx", "2xx", "3xx", "4xx", "5xx"};
template <std::size_t N>
void add_labelled(Page* page, std::string_view name, std::string_view help, std::string_view label,
                  const std::array<std::string_view, N>& names,
                  const std::array<std::uint64_t, N>& values) {
  page->counters(name, help, label, names, values);
}

void add_connections(Page* page, const GatewayCounts& counts) {
  page->gauge("gateway_connections", "Connections of HTTP clients now", counts.connections);
  page->counter("gateway_connections_accepted_total", "Connections of HTTP clients",
                counts.accepted);
  page->counter("gateway_connections_refused_total",
                "Connections closed at once: gateway.limits.connections",
                counts.connections_refused);
  add_labelled<2>(page, "gateway_handshakes_total", "TLS handshakes done", "kind",
                  {"full", "resumed"}, {counts.handshakes_full, counts.handshakes_resumed});
  page->counter("gateway_handshakes_failed_total", "TLS handshakes that failed",
                counts.handshakes_failed);
  page->counter("gateway_unknown_sni_total",
                "TLS handshakes refused: no certificate for the name that was asked for",
                counts.unknown_sni);
  page->counter("gateway_ech_outer_sni_total",
                "TLS handshakes by a client that had an ECH record: it leaked past an override",
                counts.ech_outer_sni);
  page->counter("gateway_header_timeouts_total",
                "Connections closed because a handshake or request head took too long",
                counts.header_timeouts);
  page->counter("gateway_idle_timeouts_total", "Connections and exchanges ended as idle",
                counts.idle_timeouts);
  MetricFamily& closed =
      page->family("gateway_h2_closed_total", "HTTP/2 connections given up for what the peer did",
                   MetricType::Counter);
  for (std::size_t i = 1; i < counts.h2_abuse.size(); ++i) {  // 0 is Abuse::kNone
    Page::add(&closed, "reason", http::h2::abuse_name(static_cast<http::h2::Abuse>(i)),
              static_cast<double>(counts.h2_abuse[i]));
  }
  add_labelled<3>(page, "gateway_quic_datagrams_total",
                  "Datagrams to a TLS port, by what became of them", "outcome",
                  {"refused", "ignored", "limited"},
                  {counts.quic_refused, counts.quic_ignored, counts.quic_limited});
}

void add_requests(Page* page, const GatewayCounts& counts) {
  add_labelled<2>(page, "gateway_requests_total", "Requests, by protocol", "protocol",
                  {"http/1.1", "h2"}, {counts.requests_h1, counts.requests_h2});
  add_labelled<6>(page, "gateway_responses_total", "Responses, by the class of their status",
                  "class", kClasses, counts.by_class);
  page->counter("gateway_received_bytes_total", "Bytes of request bodies", counts.bytes_received);
  page->counter("gateway_sent_bytes_total", "Bytes of response bodies", counts.bytes_sent);
  add_labelled<3>(page, "gateway_requests_refused_total", "Requests refused by what they are",
                  "reason", {"malformed", "head_too_large", "body_too_large"},
                  {counts.malformed, counts.head_too_large, counts.body_too_large});
  add_labelled<2>(page, "gateway_aborted_total", "Exchanges that were broken off, by whom", "by",
                  {"client", "backend"}, {counts.aborted_by_client, counts.aborted_by_backend});
  page->counter("gateway_upgrades_total", "Connections upgraded: WebSocket and the like",
                counts.upgrades);
  page->counter("gateway_alt_svc_cleared_total",
                "Responses whose backend offered HTTP/3 (Alt-Svc), which was taken out",
                counts.alt_svc_cleared);
}

void add_tcp(Page* page, const GatewayCounts& counts) {
  page->gauge("gateway_tcp_connections", "Connections to TCP listeners now",
              counts.tcp_connections);
  page->counter("gateway_tcp_accepted_total", "Connections to TCP listeners", counts.tcp_accepted);
  page->counter("gateway_tcp_failed_total", "Connections to TCP listeners that found no backend",
                counts.tcp_failed);
  add_labelled<2>(page, "gateway_tcp_bytes_total", "Bytes relayed by TCP listeners", "direction",
                  {"in", "out"}, {counts.tcp_bytes_in, counts.tcp_bytes_out});
}

struct BackendMetric {
  std::string_view name;
  std::string_view help;
  std::uint64_t BackendCounts::*value;
};

void add_backends(Page* page, const std::vector<BackendCounts>& backends, MetricType type,
                  std::initializer_list<BackendMetric> metrics) {
  for (const BackendMetric& metric : metrics) {
    MetricFamily& family = page->family(metric.name, metric.help, type);
    for (const BackendCounts& backend : backends) {
      Page::add(&family, "backend", backend.backend, static_cast<double>(backend.*metric.value));
    }
  }
}

void add_backends(Page* page, const std::vector<BackendCounts>& backends) {
  if (backends.empty()) return;
  MetricFamily& healthy =
      page->family("gateway_backend_healthy", "0 while a backend gets no requests after failures",
                   MetricType::Gauge);
  for (const BackendCounts& backend : backends) {
    Page::add(&healthy, "backend", backend.backend, backend.healthy ? 1 : 0);
  }
  add_backends(page, backends, MetricType::Counter,
               {{"gateway_backend_requests_total", "Requests or TCP connections, by backend",
                 &BackendCounts::requests},
                {"gateway_backend_failures_total",
                 "Failures to connect or to get a response, by backend", &BackendCounts::failures},
                {"gateway_backend_retries_total", "Requests sent again, by backend",
                 &BackendCounts::retries},
                {"gateway_backend_connects_total", "Connections opened, by backend",
                 &BackendCounts::connects},
                {"gateway_backend_reused_total",
                 "Requests over a connection that was kept, by backend", &BackendCounts::reused}});
  add_backends(
      page, backends, MetricType::Gauge,
      {{"gateway_backend_connections", "Connections now, by backend", &BackendCounts::connections},
       {"gateway_backend_idle_connections", "Kept connections without a request now",
        &BackendCounts::idle}});
}

}  // namespace

void add_gateway(Page* page, const GatewayCounts& counts) {
  add_connections(page, counts);
  add_requests(page, counts);
  add_tcp(page, counts);
  add_backends(page, counts.backends);
}

void add_certificates(Page* page, const ServerState& state) {
  page->counter("tls_certificate_reloads_total", "Changed certificates taken over",
                state.certificate_reloads);
  page->counter("tls_certificates_refused_total", "Changed certificates refused",
                state.certificates_refused);
  const auto& settings = state.snapshot->config.certificates;
  if (settings.empty()) return;
  MetricFamily& not_after = page->family(
      "tls_certificate_not_after_seconds",
      "When the certificate that is served expires, seconds since 1970", MetricType::Gauge);
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const auto& identity = state.snapshot->gateway->certificates[i].identity;
    Page::add(&not_after, "name", settings[i].name, static_cast<double>(identity->not_after_s()));
  }
  MetricFamily& rejected =
      page->family("tls_certificate_rejected",
                   "1 while a certificate's files cannot be used and the pair as it was is served",
                   MetricType::Gauge);
  const auto& refused = *state.certificates_rejected;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const bool bad = std::any_of(refused.begin(), refused.end(),
                                 [&](const CertificateRejection& r) { return r.index == i; });
    Page::add(&rejected, "name", settings[i].name, bad ? 1 : 0);
  }
}

}  // namespace postern::server
