// What GET /metrics says: the sums of the workers' counters in the text format of Prometheus.
#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "dns/cache.h"
#include "server/counts.h"
#include "server/drift.h"
#include "server/snapshot.h"

namespace postern::server {

/// Things that only the main thread knows.
struct ServerState {
  const Snapshot* snapshot = nullptr;
  const std::vector<ZoneRejection>* rejected = nullptr;
  const std::vector<CertificateRejection>* certificates_rejected = nullptr;
  dns::CacheStats cache;
  unsigned workers = 0;
  std::uint64_t started_s = 0;           ///< seconds since 1970
  std::uint64_t last_reload_good_s = 0;  ///< seconds since 1970; 0: there was none
  std::uint64_t reloads = 0, reloads_refused = 0, zone_reloads = 0, zone_edits_refused = 0;
  std::uint64_t certificate_reloads = 0, certificates_refused = 0;
  std::uint64_t admin_refused = 0;  ///< connections
  std::uint64_t admin_denied = 0;   ///< requests
  std::uint64_t followers = 0, follow_dropped = 0;
  Drift drift;
  LogCounts log;
  QueryTapCounts queries;
  bool last_reload_good = true;
};

std::string metrics_text(const WorkerCounts& counts, const ServerState& state);

}  // namespace postern::server
