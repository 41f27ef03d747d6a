// HTTP/2 (RFC 9113) without I/O: bytes in, events out; nghttp2 inside, both sides. What the two
// sides have in common. Belongs to a connection, loop thread only.
//
// A body that arrives is handed over at once and has to be taken; the window it used is given back
// only by consumed(), so what can pile up is bounded by the stream's window, which doubles while a
// large body is passed on as it comes, up to a quarter of the connection's. A body that leaves is
// kept in the stream until the peer's window and collect() take it; unsent() says how much that is,
// and drained() when it is none: who sends pauses its own source in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace postern::http::h2 {

struct Settings {
  std::uint32_t streams_max = 128;                ///< SETTINGS_MAX_CONCURRENT_STREAMS that we send
  std::uint32_t stream_window_bytes = 64U << 10;  ///< at first
  std::uint32_t stream_window_bytes_max = 256U << 10;  ///< 1 Gbit/s over 2 ms
  std::uint32_t connection_window_bytes = 1U << 20;
  std::size_t header_bytes_max = 64U << 10;  ///< of one head, uncompressed → 431, stream only
  std::size_t fields_max = 100;
  bool connect_protocol = true;  ///< server: SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441)
};

/// Why a connection was given up, for metrics and the log.
enum class Abuse : std::uint8_t {
  kNone,
  kProtocol,      ///< violates RFC 9113 (nghttp2 says so)
  kRapidReset,    ///< streams opened and reset by the peer (CVE-2023-44487)
  kMadeYouReset,  ///< streams that the peer made us reset (CVE-2025-8671)
  kContinuation,  ///< CONTINUATION without end (CVE-2024-27316)
  kSettings,      ///< SETTINGS flood (CVE-2019-9515)
  kPing,          ///< PING flood (CVE-2019-9512)
  kEmptyFrames,   ///< empty DATA, HEADERS or PRIORITY and WINDOW_UPDATE floods (CVE-2019-9518)
  kHeaderBomb,    ///< heads beyond the limits again and again (HPACK bombs)
  kStalled,       ///< takes nothing of many responses (zero windows: CVE-2019-9511, -9517)
  kOutput,        ///< makes us queue control frames and does not read them (CVE-2019-9517)
};
constexpr std::size_t kAbuseKinds = 11;
std::string_view abuse_name(Abuse abuse);  ///< "rapid_reset"

}  // namespace postern::http::h2
