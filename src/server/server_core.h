// The Server of server.cpp: what its parts share. Not for others.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/loop.h"
#include "net/mailbox.h"
#include "net/timer.h"
#include "server/admin.h"
#include "server/admin_site.h"
#include "server/background.h"
#include "server/change.h"
#include "server/client_log.h"
#include "server/listen.h"
#include "server/metrics.h"
#include "server/passed_sockets.h"
#include "server/server.h"
#include "server/service_manager.h"
#include "server/signals.h"
#include "server/snapshot.h"
#include "server/watch.h"
#include "server/worker.h"

namespace postern::server {

// A file written in place again and again is not read in between: half of it may be valid.
inline constexpr WatchSettings kConfigWatch{.settle_ms = 300, .settle_max_ms = 30'000};
// Certificate and key are two files, written one after the other; a pair is read when both are.
inline constexpr WatchSettings kCertificateWatch{.look_again_ms = 5000, .settle_ms = 500};

using Snapshots = std::vector<std::shared_ptr<const Snapshot>>;

QueryTapSettings tap_settings(const Config& config);

class Server final : public ApiHost {
 public:
  Server(const RunOptions& options, PassedSockets passed, std::shared_ptr<const Snapshot> snapshot)
      : config_file_(options.config_file),
        passed_(std::move(passed)),
        abandon_(options.abandon),
        snapshot_(std::move(snapshot)),
        site_(loop_, *this, options.wording),
        mailbox_(loop_),
        background_(loop_),
        config_watcher_(
            loop_, [this] { want_change(); }, kConfigWatch),
        zone_watcher_(loop_, [this] { want_zones(); }),
        certificate_watcher_(
            loop_, [this] { want_certificates(); }, kCertificateWatch),
        certificate_look_(loop_, [this] { look_at_certificates(); }),
        rest_look_(loop_, [this] { begin_next(); }),
        retire_(loop_, [this] { drop_retired(); }),
        stop_report_(loop_, [this] { report_stopping(); }),
        manager_(loop_, [this](ServiceManager::Alive alive) {
          gather_counts([alive = std::move(alive)](const WorkerCounts&) { alive(); });
        }) {}

  Result<void> open();
  void serve();

  // ApiHost
  ServerState state() const override;
  std::shared_ptr<const Snapshot> served() const override { return snapshot_; }
  const ListenPlan& listening() const override { return listening_; }
  bool stopping() const override { return stopping_; }
  void gather_counts(std::function<void(const WorkerCounts&)> take) override;
  void gather_tops(std::function<void(const WorkerTops&)> take) override;
  void want_reload() override;
  void follow(const std::shared_ptr<const FollowFilters>& filters) override;
  const ClientLog& client_log() const override { return client_log_; }
  dns::Cache& cache() override { return *cache_; }
  std::uint32_t now_s() const override { return static_cast<std::uint32_t>(loop_.now_ms() / 1000); }

 private:
  const Config& config() const { return snapshot_->config; }
  WorkerPlan plan() const { return {snapshot_, cache_, worker_count_, shared_.get()}; }

  void set_admin(std::unique_ptr<AdminServer> admin);
  bool has_admin_at(const std::optional<Endpoint>& endpoint) const;
  /// nullptr: off, or there is one already.
  Result<std::unique_ptr<AdminServer>> open_admin(const std::optional<Endpoint>& endpoint);
  bool changes_user() const;
  Result<void> open_sockets_of_start(std::vector<Sockets>* sockets);
  Result<void> become_configured_user() const;
  void log_start() const;
  std::string serving_text() const;

  void want_change();
  void want_zones();
  void want_certificates();
  void look_at_certificates();
  void begin_next();
  void begin_reload();
  void begin_zones();
  void begin_certificates();
  void finish_reload(SnapshotResult result);
  void refuse_reload(const std::string& reason, SnapshotResult result);
  std::string with_held(const std::string& reason) const;
  void finish_zones(ZoneRefresh refresh);
  void finish_certificates(CertificateRefresh refresh);
  Result<void> check_given_up(const ListenPlan& plan, const std::optional<Endpoint>& admin) const;
  Result<void> take_over(std::shared_ptr<const Snapshot> next);
  void warn_of_unchangeable(const Config& next) const;
  void publish(std::vector<ListenChange> changes = {});
  void when_taken_over(std::function<void()> say);
  void watch_files();
  void drop_retired();

  void stop();
  void report_stopping();
  void worker_done();
  void worker_ended(std::uint64_t cut);

  std::string config_file_;
  PassedSockets passed_;
  std::function<void()> abandon_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<dns::Cache> cache_;
  unsigned worker_count_ = 1;
  ListenPlan listening_;
  Snapshots retired_;
  ClientLog client_log_;
  std::unique_ptr<QueryTap> tap_;

  net::Loop loop_;
  AdminSite site_;
  net::Mailbox mailbox_;
  Background background_;
  Watcher config_watcher_, zone_watcher_, certificate_watcher_;
  net::Timer certificate_look_, rest_look_;
  net::Timer retire_, stop_report_;
  ServiceManager manager_;
  std::vector<std::unique_ptr<Signal>> signals_;
  std::unique_ptr<AdminServer> admin_;
  std::uint64_t admin_refused_before_ = 0;  // of admin listeners that are gone
  const std::unique_ptr<gateway::SharedByWorkers> shared_ =
      std::make_unique<gateway::SharedByWorkers>();
  std::vector<std::unique_ptr<Worker>> workers_;
  Refusals refusals_;
  bool reload_wanted_ = false, change_wanted_ = false, zones_wanted_ = false,
       certificates_wanted_ = false, certificates_put_off_ = false, taking_over_ = false,
       stopping_ = false;
  std::uint64_t expiry_warned_ms_ = 0;
  std::size_t workers_running_ = 0, workers_done_ = 0;
  std::uint64_t cut_ = 0;  // connections, at the end
  ServerState counted_;    // only the numbers that are counted here
};

}  // namespace postern::server
