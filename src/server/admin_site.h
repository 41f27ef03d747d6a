// What is at the admin address: /metrics, /healthz and /readyz for everybody who reaches it; the
// API below /api/v1/ and the status page at / for those whom admin_access() lets in. Main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "net/timer.h"
#include "server/admin.h"
#include "server/api.h"
#include "server/api_host.h"
#include "server/background.h"
#include "server/drift.h"
#include "server/follow.h"
#include "server/traffic_history.h"

namespace postern::server {

class AdminSite {
 public:
  static constexpr std::uint64_t kTickMs = 1000;
  static constexpr unsigned kDriftTicks = 15;  ///< so often files are compared with what is served
  static constexpr std::uint64_t kDeniedLogMs = 60'000;
  static constexpr std::size_t kCachedAnswersMax = 100;
  static constexpr std::size_t kReloadProblemsMax = 50;  ///< kept of one reload

  /// `host` outlives it.
  AdminSite(net::Loop& loop, ApiHost& host, Wording wording);

  /// From now on traffic is recorded.
  void start() { tick_.start_every(kTickMs); }
  void answer(const AdminRequest& request, AdminServer::Respond respond);

  /// A reload that all who asked for one until now have asked for.
  void reload_begins();
  void reload_ended(bool good, const std::string& detail, std::vector<ConfigProblem> problems);
  void deliver(const FollowBatch& batch) { hub_.deliver(batch); }

  std::size_t followers() const { return hub_.subscribers(); }
  std::uint64_t follow_dropped() const { return hub_.dropped(); }
  std::uint64_t denied() const { return denied_; }  ///< requests without a right to be answered
  const Drift& drift() const { return drift_; }     ///< as it was found last

 private:
  void tick();
  bool answer_open(const AdminRequest& request, AdminServer::Respond& respond);
  std::optional<AdminReply> denial(const AdminRequest& request);
  void answer_get(const AdminRequest& request, const AdminServer::Respond& respond);
  void answer_post(const AdminRequest& request, AdminServer::Respond respond);
  void show_traffic(const AdminServer::Respond& respond);
  AdminReply explain(const AdminRequest& request) const;
  AdminReply show_cache(const AdminRequest& request);
  AdminReply flush_cache(const AdminRequest& request);
  AdminReply follow(const AdminRequest& request);
  AdminReply status();
  void look_for_drift();

  net::Loop& loop_;
  ApiHost& host_;
  Wording wording_;
  FollowHub hub_;
  TrafficHistory history_;
  ReloadRecord reload_;
  std::vector<AdminServer::Respond> reload_waiting_, reload_asked_;  // of the next, of this one
  Drift drift_;
  std::vector<std::string> drift_lines_;
  std::vector<AdminServer::Respond> status_waiting_;  // for the next look at the files
  Background drift_look_;
  std::uint64_t denied_ = 0;
  LogLimit denied_log_{kDeniedLogMs};
  bool gathering_ = false;
  unsigned ticks_ = 0;
  net::Timer tick_;
};

}  // namespace postern::server
