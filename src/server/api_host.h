// What the admin address asks of the running server. Main thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/client_log.h"
#include "server/follow.h"
#include "server/listen.h"
#include "server/metrics.h"
#include "server/worker.h"

namespace postern::server {

class ApiHost {
 public:
  virtual ~ApiHost() = default;
  virtual ServerState state() const = 0;
  virtual std::shared_ptr<const Snapshot> served() const = 0;
  virtual const ListenPlan& listening() const = 0;
  virtual bool stopping() const = 0;
  /// The numbers of all workers together, soon. When one has ended: never.
  virtual void gather_counts(std::function<void(const WorkerCounts&)> take) = 0;
  virtual void gather_tops(std::function<void(const WorkerTops&)> take) = 0;
  virtual void want_reload() = 0;
  virtual void follow(const std::shared_ptr<const FollowFilters>& filters) = 0;
  virtual const ClientLog& client_log() const = 0;
  virtual dns::Cache& cache() = 0;
  virtual std::uint32_t now_s() const = 0;  ///< the clock of the cache
};

/// How the last reload ended.
struct ReloadRecord {
  std::uint64_t time_s = 0;  ///< since 1970; 0: there was none
  bool good = true;
  std::string detail;  ///< "" when good
  std::vector<ConfigProblem> problems;
};

}  // namespace postern::server
