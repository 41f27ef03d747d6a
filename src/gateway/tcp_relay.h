// Plain TCP listeners ([[gateway.listener]] tcp = 5432): each connection is joined to one to a
// backend, bytes go both ways with back-pressure, an end or a reset of one side becomes one of the
// other once that has got what was said before. The PROXY protocol (version 2) tells backends the
// client's address, and is believed, and then required, from trusted_proxies. One worker; loop
// thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "gateway/counts.h"
#include "gateway/host_resolver.h"
#include "gateway/site.h"
#include "net/loop.h"
#include "net/socket.h"

namespace postern::gateway {

enum class RelayEnd : std::uint8_t {
  kDone,           ///< both sides have ended
  kClientReset,    ///< or another error of its socket
  kBackendReset,   ///< the same
  kIdle,           ///< no bytes for `idle`
  kNoBackend,      ///< none could be reached: the client got a reset
  kNoProxyHeader,  ///< a trusted proxy sent something else, or nothing in time
  kStopped,        ///< the worker ended
};
std::string_view relay_end_text(RelayEnd end);

/// One connection, for the access log.
struct RelayRecord {
  Endpoint client;  ///< the true one, when a trusted proxy said so
  std::string_view listener;
  std::string_view backend;                   ///< "" when none was reached
  std::uint64_t bytes_in = 0, bytes_out = 0;  ///< from the client, from the backend
  std::uint64_t duration_ms = 0;
  RelayEnd end = RelayEnd::kDone;
  std::string_view unreached;  ///< of kNoBackend: the last one that was tried, and why
};

struct RelaySettings {
  std::uint32_t connect_ms = 5000;  ///< per backend, all its addresses together
  std::uint32_t header_ms = 5000;   ///< for a PROXY header to come
  /// For what a side said before it was reset to reach the other one; without progress.
  std::uint32_t last_bytes_ms = 30'000;
};

struct RelayCounts {
  std::uint64_t connections = 0;  ///< now
  std::uint64_t accepted = 0;
  std::uint64_t failed = 0;  ///< kNoBackend, kNoProxyHeader
  std::uint64_t idle_timeouts = 0;
  std::uint64_t aborted_by_client = 0, aborted_by_backend = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;  ///< of connections under way as well
  std::vector<BackendCounts> backends;
};

class TcpRelay {
 public:
  using Ended = std::function<void(const RelayRecord&)>;
  using NoFile = std::function<void(const std::string& backend)>;

  /// `loop` and `resolver` outlive the relay. `ended` is called once for each connection, `no_file`
  /// when no file descriptor was left for one to a backend; neither may destroy the relay.
  /// REQUIRES: SIGPIPE is ignored or blocked.
  TcpRelay(net::Loop& loop, HostResolver& resolver, Ended ended, NoFile no_file,
           const RelaySettings& settings = {});
  /// Cuts what is under way.
  ~TcpRelay();
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;

  /// The TCP listeners of this site, backends by name of listener. Connections under way go on.
  void configure(const Site& site);
  /// An accepted connection of this listener. REQUIRES: it was in the site of configure().
  void accept(net::Fd fd, const Endpoint& peer, const Listener& listener);
  /// No new connections; those under way go on until they end.
  void drain();
  /// Ends those under way.
  void cut();

  std::size_t connections() const;
  RelayCounts counts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::gateway
