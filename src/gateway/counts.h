// The gateway's numbers in one worker: plain counters, copied to whoever asks.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gateway/request_counts.h"
#include "http/h2.h"

namespace postern::gateway {

/// Of one backend of one route, or of a TCP listener, by its text ("http://10.0.0.1:80").
struct BackendCounts {
  /// It takes connections and answers, as far as any worker knows, its health check too.
  bool healthy() const {
    return !probe_fails && failed_ms <= connected_ms && unanswered_ms <= answered_ms;
  }

  std::string backend;
  bool probe_fails = false;
  std::uint64_t connected_ms = 0, failed_ms = 0;  ///< the last time, of a clock that workers share
  std::uint64_t answered_ms = 0, unanswered_ms = 0;  ///< the same; the latter of several in a row
  std::uint64_t requests = 0;                        ///< for TCP: connections
  std::uint64_t failures = 0;                        ///< connect, read, time-out
  std::uint64_t retries = 0;                         ///< sent again
  std::uint64_t connects = 0;
  std::uint64_t reused = 0;
  std::uint64_t connections = 0;  ///< now
  std::uint64_t idle = 0;         ///< kept, now
  std::uint64_t left_out = 0;     ///< addresses of its name, now, in the worker that has most
};

struct GatewayCounts {
  std::uint64_t connections = 0;  ///< of clients, now
  std::uint64_t accepted = 0;
  std::uint64_t exhausted = 0;            ///< rests from accepting: no descriptors or memory left
  std::uint64_t connections_refused = 0;  ///< [gateway.limits] connections was reached
  std::uint64_t no_file = 0;              ///< for a connection to a backend: requests, TCP clients
  std::uint64_t memory_short = 0;         ///< requests refused or given up for want of memory
  std::uint64_t waiting_full = 0;         ///< requests: too many wait for a connection already
  std::uint64_t handshakes_full = 0, handshakes_resumed = 0;
  std::uint64_t handshakes_failed = 0, unknown_sni = 0;
  std::uint64_t ech_outer_sni = 0;  ///< a leaked HTTPS record: the client tried ECH
  std::uint64_t requests_h1 = 0, requests_h2 = 0;
  std::array<std::uint64_t, 6> by_class{};           ///< responses 1xx (101) to 5xx by first digit
  std::uint64_t bytes_received = 0, bytes_sent = 0;  ///< bodies
  std::uint64_t malformed = 0;                       ///< 400 by the parser
  std::uint64_t head_too_large = 0;                  ///< 414, 431
  std::uint64_t too_many_fields = 0;                 ///< of these
  std::uint64_t response_heads = 0;                  ///< 502: larger than a limit of ours
  std::uint64_t response_fields = 0;                 ///< 502: of more fields than that
  std::uint64_t streams_refused = 0;                 ///< HTTP/2: REFUSED_STREAM
  std::uint64_t body_too_large = 0;                  ///< 413
  std::uint64_t header_timeouts = 0;                 ///< handshake or head took too long
  std::uint64_t idle_timeouts = 0;                   ///< connections and exchanges
  std::uint64_t aborted_by_client = 0, aborted_by_backend = 0;
  std::array<std::uint64_t, http::h2::kAbuseKinds> h2_abuse{};
  std::uint64_t quic_refused = 0, quic_ignored = 0, quic_limited = 0;
  std::uint64_t tcp_connections = 0, tcp_accepted = 0, tcp_failed = 0;  ///< plain TCP listeners
  std::uint64_t tcp_bytes_in = 0, tcp_bytes_out = 0;
  std::uint64_t upgrades = 0;           ///< WebSocket and the like
  std::uint64_t alt_svc_cleared = 0;    ///< responses whose backend offered HTTP/3, which went
  std::uint64_t client_ip_invalid = 0;  ///< client_ip_header of a trusted proxy is no address
  std::uint64_t in_flight = 0;          ///< requests, now
  std::uint64_t memory = 0;             ///< that they hold, bytes
  std::vector<BackendCounts> backends;
  std::vector<RequestSeries> requests;
  std::vector<RouteTimes> routes;
};

}  // namespace postern::gateway
