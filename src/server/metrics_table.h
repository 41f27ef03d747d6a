// Every metric of GET /metrics: name, type, help and labels. The page takes them from here, and so
// does the reference; there is no other list. A name that is not here does not compile.
//
// Labels have values from the configuration or from fixed lists: nobody outside can make new ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace postern::server {

enum class MetricKind : std::uint8_t { kCounter, kGauge, kHistogram };

struct MetricInfo {
  std::string_view name;
  MetricKind kind = MetricKind::kCounter;
  std::string_view help;
  std::string_view labels;  ///< separated by ",", in the order in which the page gives them
};

inline constexpr auto kMetricsTable = [] {
  constexpr auto kCounter = MetricKind::kCounter;
  constexpr auto kGauge = MetricKind::kGauge;
  constexpr auto kHistogram = MetricKind::kHistogram;
  return std::to_array<MetricInfo>({
      // The process.
      {"process_cpu_seconds_total", kCounter, "CPU time used, of user and system", ""},
      {"process_resident_memory_bytes", kGauge, "Memory in use", ""},
      {"process_open_fds", kGauge, "File descriptors that are open", ""},
      {"process_max_fds", kGauge, "File descriptors that may be open", ""},
      {"process_start_time_seconds", kGauge, "When it started, seconds since 1970", ""},
      // Server.
      {"postern_build_info", kGauge, "1; the label has the version that runs", "version"},
      {"postern_workers", kGauge, "Event loops, each on a thread of its own", ""},
      {"postern_config_reloads_total", kCounter,
       "Configurations read again, by what became of them: taken, refused", "result"},
      {"postern_config_last_reload_successful", kGauge,
       "0 while the configuration read last was refused and the one before goes on being"
       " served",
       ""},
      {"postern_config_last_reload_success_timestamp_seconds", kGauge,
       "When the configuration that is served was taken over, seconds since 1970", ""},
      {"postern_drift", kGauge,
       "Parts whose files hold something else than what is served, by what they are: config (1 for "
       "all of it), zone, certificate",
       "of"},
      {"postern_limit_hits_total", kCounter,
       "Times that a limit was reached, by its key in the configuration or, when it is "
       "built in, by a name",
       "limit"},
      {"postern_admin_denied_total", kCounter,
       "Requests to server.admin without the right to be answered", ""},
      {"postern_live_log_followers", kGauge, "Who follows the live log now", ""},
      {"postern_live_log_dropped_total", kCounter, "Lines of the live log left out for its limits",
       ""},
      {"postern_query_log_lines_total", kCounter, "Lines written to dns.query_log", ""},
      {"postern_query_log_dropped_total", kCounter,
       "Answers that the query log, dnstap or both do not have: the thread that writes was too "
       "slow (ring), the disk said no (write)",
       "reason"},
      {"postern_query_log_rotations_total", kCounter, "Times that dns.query_log was rotated", ""},
      {"postern_dnstap_frames_total", kCounter, "Messages made for dns.dnstap", ""},
      {"postern_dnstap_dropped_total", kCounter,
       "Messages that did not get to dns.dnstap: nobody read the socket, or too slowly (socket), "
       "the disk said no (file)",
       "to"},
      {"postern_dnstap_connected", kGauge, "1 while a reader takes messages at dns.dnstap.socket",
       ""},
      {"postern_log_dropped_lines_total", kCounter,
       "Lines of the log lost because standard error was not read", ""},
      {"postern_log_held_back_lines_total", kCounter,
       "Lines of the log not written because there were too many of their event", ""},
      // DNS.
      {"postern_dns_queries_total", kCounter,
       "Queries that were answered or, with rcode none, got no reply; the view is "
       "default for clients that no view has, and none when a query did not come so far",
       "proto,view,type,rcode,source"},
      {"postern_dns_answer_duration_seconds", kHistogram,
       "Time from query to reply, by where the answer came from; of replies given at "
       "once one in 64 is measured and counted as 64",
       "source"},
      {"postern_dns_rate_limited_total", kCounter,
       "Queries over dns.limits.qps_per_client, which are not in "
       "postern_dns_queries_total: dropped, or told to use TCP (truncated)",
       "action"},
      {"postern_dns_forwarded_total", kCounter, "Queries that had to wait for an upstream", ""},
      {"postern_dns_pending_queries", kGauge, "Queries that wait for upstreams now", ""},
      {"postern_dns_overrides", kGauge, "Overrides in the configuration, published ones included",
       ""},
      {"postern_dns_edits_total", kCounter,
       "Records changed or taken out of what upstreams say, by kind", "kind"},
      {"postern_dns_https_answers_edited_total", kCounter,
       "Replies to questions for HTTPS or SVCB that differ from the public DNS, by why", "why"},
      {"postern_dns_fetches_total", kCounter, "Questions sent upstream, equal ones once", ""},
      {"postern_dns_fetches_joined_total", kCounter, "Questions that joined a fetch under way", ""},
      {"postern_dns_fetches_failed_total", kCounter, "Fetches that brought no answer", ""},
      {"postern_dns_fetches_in_flight", kGauge, "Fetches under way now", ""},
      {"postern_dns_refreshes_total", kCounter,
       "Fetches begun in the background, before an answer in the cache ends or after it "
       "did",
       ""},
      {"postern_dns_upstream_queries_total", kCounter,
       "Queries sent to an upstream, retries included", "upstream"},
      {"postern_dns_upstream_answers_total", kCounter, "Answers of use from an upstream",
       "upstream"},
      {"postern_dns_upstream_failures_total", kCounter,
       "Queries to an upstream that failed: no answer, a refusal, no connection", "upstream"},
      {"postern_dns_upstream_rtt_seconds", kHistogram,
       "Time from a query to an upstream to its answer, by the upstream's own transport",
       "upstream"},
      {"postern_dns_upstream_smoothed_rtt_seconds", kGauge,
       "Smoothed round-trip time, by which the fastest upstream is chosen; 0: not "
       "measured yet",
       "upstream"},
      {"postern_dns_upstream_up", kGauge, "0 while an upstream rests after failures in a row",
       "upstream"},
      {"postern_dns_upstream_timeouts_total", kCounter,
       "Queries to upstreams without an answer in time", ""},
      {"postern_dns_upstream_retries_total", kCounter,
       "Queries to upstreams that were not the first of their fetch", ""},
      {"postern_dns_upstream_tcp_queries_total", kCounter, "Queries to upstreams by TCP", ""},
      {"postern_dns_upstream_mismatched_total", kCounter,
       "Packets from upstreams that answered no question: late, or forged", ""},
      {"postern_dns_upstream_socket_errors_total", kCounter,
       "Sockets to upstreams that this machine could not open", ""},
      {"postern_dns_upstream_send_dropped_total", kCounter,
       "Queries to upstreams lost because a socket's buffer was full", ""},
      {"postern_dns_cache_requests_total", kCounter,
       "Look-ups in the cache, by result: hit, stale, miss", "result"},
      {"postern_dns_cache_entries", kGauge, "Answers in the cache", ""},
      {"postern_dns_cache_size_bytes", kGauge, "Memory of the cache, its tables included", ""},
      {"postern_dns_cache_max_bytes", kGauge, "Memory that the cache may take: dns.cache.size", ""},
      {"postern_dns_cache_insertions_total", kCounter, "Answers stored in the cache", ""},
      {"postern_dns_cache_evictions_total", kCounter, "Answers that left the cache to make room",
       ""},
      {"postern_dns_zone_records", kGauge, "Records of a zone", "zone,file"},
      {"postern_dns_zone_serial", kGauge, "Serial of a zone's SOA", "zone,file"},
      {"postern_dns_zone_rejected", kGauge,
       "1 while a zone's file has an error and the zone as it was goes on being served",
       "zone,file"},
      {"postern_dns_zone_reloads_total", kCounter,
       "Edited zone files, by what became of them: taken, refused", "result"},
      {"postern_dns_udp_dropped_total", kCounter,
       "Datagrams without a reply, by reason: longer than any query, sent from port 0, "
       "the socket's buffer was full, the system refused to send",
       "reason"},
      {"postern_dns_tcp_connections", kGauge, "TCP connections of clients now", ""},
      {"postern_dns_tcp_accepted_total", kCounter, "TCP connections of clients", ""},
      {"postern_dns_tcp_closed_total", kCounter,
       "TCP connections ended by this side, by reason: idle, stalled (the client takes "
       "no replies), malformed, for_room (idle, and a new one came)",
       "reason"},
      // Gateway.
      {"postern_gateway_connections", kGauge, "Connections of HTTP clients now", ""},
      {"postern_gateway_connections_accepted_total", kCounter, "Connections of HTTP clients", ""},
      {"postern_gateway_tls_handshakes_total", kCounter,
       "TLS handshakes, by result: full, resumed, unknown_name (no certificate for the "
       "name), failed",
       "result"},
      {"postern_gateway_ech_outer_sni_total", kCounter,
       "TLS handshakes by a client that had an ECH record: it leaked past an override", ""},
      {"postern_gateway_received_requests_total", kCounter,
       "Requests whose head was read, by protocol", "protocol"},
      {"postern_gateway_requests_in_flight", kGauge, "Requests under way now", ""},
      {"postern_gateway_requests_memory_bytes", kGauge,
       "Memory that requests under way hold now, with bodies that wait for their receiver", ""},
      {"postern_gateway_requests_total", kCounter,
       "Requests that ended, by the class of the response's status (none: there was no "
       "response), route (none: no route) and the backend that was asked last (none: "
       "answered by the gateway)",
       "listener,route,backend,code"},
      {"postern_gateway_request_duration_seconds", kHistogram,
       "Time from the head of a request to the end of its response; upgraded ones "
       "(WebSocket) are left out",
       "route"},
      {"postern_gateway_first_byte_seconds", kHistogram,
       "Time from the head of a request to the head of its response", "route"},
      {"postern_gateway_route_info", kGauge,
       "1; where a route stands in the configuration, as the access log names it", "route,source"},
      {"postern_gateway_request_body_bytes_total", kCounter, "Bytes of request bodies", ""},
      {"postern_gateway_response_body_bytes_total", kCounter, "Bytes of response bodies", ""},
      {"postern_gateway_requests_refused_total", kCounter,
       "Requests refused for what they are, by reason", "reason"},
      {"postern_gateway_aborted_total", kCounter, "Exchanges that were broken off, by whom", "by"},
      {"postern_gateway_idle_timeouts_total", kCounter, "Connections and exchanges ended as idle",
       ""},
      {"postern_gateway_upgrades_total", kCounter, "Connections upgraded: WebSocket and the like",
       ""},
      {"postern_gateway_alt_svc_cleared_total", kCounter,
       "Responses whose backend offered HTTP/3 (Alt-Svc), which was taken out", ""},
      {"postern_gateway_client_ip_invalid_total", kCounter,
       "Requests whose client_ip_header, from a trusted proxy, is not one address; the proxy's own "
       "is used",
       ""},
      {"postern_gateway_h2_closed_total", kCounter,
       "HTTP/2 connections given up for what the client did, by reason", "reason"},
      {"postern_gateway_quic_datagrams_total", kCounter,
       "Datagrams to a TLS port, by outcome: refused (an attempt at QUIC, answered with "
       "a refusal), ignored, limited",
       "outcome"},
      {"postern_gateway_tcp_connections", kGauge, "Connections to TCP listeners now", ""},
      {"postern_gateway_tcp_accepted_total", kCounter, "Connections to TCP listeners", ""},
      {"postern_gateway_tcp_failed_total", kCounter,
       "Connections to TCP listeners without a backend or a valid PROXY header", ""},
      {"postern_gateway_tcp_bytes_total", kCounter,
       "Bytes relayed by TCP listeners, by direction: in is from the client", "direction"},
      {"postern_gateway_backend_healthy", kGauge,
       "0: every address of a backend refuses, fails its health check or did not answer",
       "backend"},
      {"postern_gateway_backend_requests_total", kCounter,
       "Requests, or connections of TCP listeners, sent to a backend", "backend"},
      {"postern_gateway_backend_failures_total", kCounter,
       "Failures to connect to a backend or to get its response", "backend"},
      {"postern_gateway_backend_retries_total", kCounter,
       "Requests that were sent again after a backend failed", "backend"},
      {"postern_gateway_backend_connects_total", kCounter, "Connections opened to a backend",
       "backend"},
      {"postern_gateway_backend_reused_total", kCounter,
       "Requests over a connection to a backend that was kept", "backend"},
      {"postern_gateway_backend_connections", kGauge, "Connections to a backend now", "backend"},
      {"postern_gateway_backend_idle_connections", kGauge,
       "Kept connections to a backend without a request now", "backend"},
      {"postern_gateway_backend_addresses_left_out", kGauge,
       "Addresses of a backend's name that get no requests now", "backend"},
      // TLS.
      {"postern_tls_certificate_not_after_seconds", kGauge,
       "When the certificate that is served expires, seconds since 1970", "name"},
      {"postern_tls_certificate_rejected", kGauge,
       "1 while a certificate's files cannot be used, or wait with a change that was refused, and "
       "the pair as it was goes on being served",
       "name"},
      {"postern_tls_certificate_reloads_total", kCounter,
       "Changed certificates, by what became of them: taken, refused", "result"},
  });
}();

/// The whole table, in the order of the page.
constexpr std::span<const MetricInfo> metrics_table() { return kMetricsTable; }

/// By its name, at compile time.
consteval const MetricInfo& metric(std::string_view name) {
  for (const MetricInfo& info : kMetricsTable) {
    if (info.name == name) return info;
  }
  throw "this metric is not in the table";  // never at run time
}

constexpr std::string_view metric_kind_text(MetricKind kind) {
  constexpr std::array<std::string_view, 3> kTexts{"counter", "gauge", "histogram"};
  return kTexts[static_cast<std::size_t>(kind)];
}

}  // namespace postern::server
