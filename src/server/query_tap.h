// The thread that takes what the workers answered out of their rings and writes the query log,
// dnstap, and, for server.log.queries, the program's log. Serving never waits for it: what does not
// fit is dropped and counted, and a full disk is told in the log.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "nameserver/query_ring.h"
#include "server/rotating_file.h"

namespace postern::server {

/// dns.query_log
struct QueryLogSettings {
  std::string file;  ///< "": off
  LogFormat format = LogFormat::kText;
  std::uint64_t rotate_bytes = 100ULL << 20;
  unsigned keep = 5;

  friend bool operator==(const QueryLogSettings&, const QueryLogSettings&) = default;
};

/// dns.dnstap
struct DnstapSettings {
  std::string socket;  ///< of a reader that listens; "": none
  std::string file;    ///< "": none
  std::string identity;
  bool client = true;  ///< CLIENT_QUERY and CLIENT_RESPONSE
  bool forwarder = false;
  std::uint64_t rotate_bytes = 100ULL << 20;
  unsigned keep = 5;

  bool is_on() const { return (client || forwarder) && !(socket.empty() && file.empty()); }
  friend bool operator==(const DnstapSettings&, const DnstapSettings&) = default;
};

struct QueryTapSettings {
  bool lines = false;  ///< server.log.queries
  QueryLogSettings log;
  DnstapSettings dnstap;

  friend bool operator==(const QueryTapSettings&, const QueryTapSettings&) = default;
};

struct QueryTapCounts {
  std::uint64_t dropped = 0;  ///< answers that did not fit in a ring
  std::uint64_t log_lines = 0, log_lost = 0, log_rotations = 0;
  std::uint64_t frames = 0;       ///< of dnstap, made
  std::uint64_t socket_lost = 0;  ///< nobody read, or too slowly
  std::uint64_t file_lost = 0;
  bool connected = false;
};

class QueryTap {
 public:
  explicit QueryTap(unsigned workers);
  /// Writes what waits. REQUIRES: no worker writes any more.
  ~QueryTap();
  QueryTap(const QueryTap&) = delete;
  QueryTap& operator=(const QueryTap&) = delete;

  nameserver::QueryRing& ring(std::size_t worker) { return *rings_[worker]; }

  /// Main thread, as all below. Files are opened here: when one cannot be, nothing changes. With
  /// the settings as they were, files that were moved away are begun anew.
  Result<void> configure(const QueryTapSettings& settings);
  QueryTapCounts counts() const;

 private:
  struct Sinks;

  static Result<std::shared_ptr<Sinks>> make_sinks(const QueryTapSettings& settings);
  void want(std::uint8_t wanted);
  void run();
  bool drain(Sinks* sinks);

  std::vector<std::unique_ptr<nameserver::QueryRing>> rings_;
  QueryTapSettings settings_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::shared_ptr<Sinks> next_;  // guarded by mutex_, as all below
  bool reopen_ = false;
  bool stopping_ = false;
  QueryTapCounts counts_;
  std::thread thread_;
};

}  // namespace postern::server
