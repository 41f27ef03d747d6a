#include "server/server.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "net/mailbox.h"
#include "server/admin.h"
#include "server/background.h"
#include "server/client_log.h"
#include "server/listen.h"
#include "server/metrics.h"
#include "server/report.h"
#include "server/signals.h"
#include "server/snapshot.h"
#include "server/system.h"
#include "server/watch.h"
#include "server/worker.h"

namespace postern::server {
namespace {

constexpr std::uint64_t kRetireMs = 5000;
constexpr std::uint64_t kStopReportMs = 5000;
constexpr std::uint64_t kDayMs = 86'400'000;

// Certificate and key are two files, written one after the other; a pair is read when both are.
constexpr WatchSettings kCertificateWatch{.look_again_ms = 5000, .settle_ms = 500};
// By content, for file systems on which nothing else shows (the same time and size).
constexpr std::uint64_t kCertificateLookMs = 60'000;

using Snapshots = std::vector<std::shared_ptr<const Snapshot>>;

bool same_settings(const dns::CacheSettings& a, const dns::CacheSettings& b) {
  return a.size_bytes == b.size_bytes && a.min_ttl_s == b.min_ttl_s && a.max_ttl_s == b.max_ttl_s &&
         a.negative_ttl_s == b.negative_ttl_s && a.serve_stale_s == b.serve_stale_s &&
         a.prefetch == b.prefetch;
}

void mask_signals(int how, std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  pthread_sigmask(how, &set, nullptr);
}

class Server {
 public:
  Server(const RunOptions& options, std::shared_ptr<const Snapshot> snapshot)
      : config_file_(options.config_file),
        abandon_(options.abandon),
        snapshot_(std::move(snapshot)),
        mailbox_(loop_),
        background_(loop_),
        zone_watcher_(loop_, [this] { want_zones(); }),
        certificate_watcher_(
            loop_, [this] { want_certificates(); }, kCertificateWatch),
        certificate_look_(loop_, [this] { look_at_certificates(); }),
        retire_(loop_, [this] { drop_retired(); }),
        stop_report_(loop_, [this] { report_stopping(); }) {}

  Result<void> open();
  void serve();

 private:
  const Config& config() const { return snapshot_->config; }
  WorkerPlan plan() const { return {snapshot_, cache_, worker_count_}; }

  void set_admin(std::unique_ptr<AdminServer> admin);
  Result<void> open_admin(const std::optional<Endpoint>& endpoint);
  bool changes_user() const;
  Result<void> open_sockets_of_start(std::vector<Sockets>* sockets);
  Result<void> become_configured_user() const;
  void log_start() const;

  void want_reload();
  void want_zones();
  void want_certificates();
  void look_at_certificates();
  void begin_next();
  void finish_reload(SnapshotResult result);
  void finish_zones(ZoneRefresh refresh);
  void finish_certificates(CertificateRefresh refresh);
  Result<void> take_over(std::shared_ptr<const Snapshot> next);
  void warn_of_unchangeable(const Config& next) const;
  void publish(std::vector<ListenChange> changes = {});
  void watch_files();
  void drop_retired();

  void stop();
  void report_stopping();
  void worker_ended();
  void gather_counts(std::function<void(const WorkerCounts&)> take);
  void answer_admin(const std::string& path, AdminServer::Respond respond);
  void answer_metrics(AdminServer::Respond respond);
  ServerState state() const;

  std::string config_file_;
  std::function<void()> abandon_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<dns::Cache> cache_;
  unsigned worker_count_ = 1;
  ListenPlan listening_;
  std::vector<ZoneRejection> zone_rejections_;
  std::vector<CertificateRejection> certificate_rejections_;
  Snapshots retired_;
  ClientLog client_log_;

  net::Loop loop_;
  net::Mailbox mailbox_;
  Background background_;
  Watcher zone_watcher_, certificate_watcher_;
  net::Timer certificate_look_;
  net::Timer retire_, stop_report_;
  std::vector<std::unique_ptr<Signal>> signals_;
  std::unique_ptr<AdminServer> admin_;
  std::uint64_t admin_refused_before_ = 0;  // of admin listeners that are gone
  std::vector<std::unique_ptr<Worker>> workers_;
  bool reload_wanted_ = false, zones_wanted_ = false, certificates_wanted_ = false,
       stopping_ = false;
  std::uint64_t expiry_warned_ms_ = 0;
  std::size_t workers_running_ = 0;
  ServerState counted_;  // only the numbers that are counted here
};

// --- start

void Server::set_admin(std::unique_ptr<AdminServer> admin) {
  if (admin_ != nullptr) admin_refused_before_ += admin_->refused();
  admin_ = std::move(admin);
}

Result<void> Server::open_admin(const std::optional<Endpoint>& endpoint) {
  if (!endpoint) {
    set_admin(nullptr);
    return {};
  }
  if (admin_ != nullptr && admin_->local() == *endpoint) return {};
  auto handler = [this](const std::string& path, AdminServer::Respond respond) {
    answer_admin(path, std::move(respond));
  };
  // Our own listener on this port would be in the way of the check.
  const bool own_port = admin_ != nullptr && admin_->local().port == endpoint->port;
  if (auto free = own_port ? Result<void>() : check_is_free_tcp(*endpoint); !free) {
    return fail(Code::kIo, fmt::format("server.admin: {}; choose another address, or \"\" for off",
                                       free.error().detail));
  }
  auto admin = AdminServer::open(loop_, *endpoint, std::move(handler));
  if (!admin) return fail(Code::kIo, fmt::format("server.admin: {}", admin.error().detail));
  set_admin(std::move(*admin));
  return {};
}

bool Server::changes_user() const {
  const std::string& user = config().server.user;
  return is_root() && !user.empty() && user != "root";
}

Result<void> Server::open_sockets_of_start(std::vector<Sockets>* sockets) {
  std::optional<SocketsOf> owner;
  if (changes_user()) owner.emplace(config().server.user);
  auto opened = open_added({}, listening_, worker_count_);
  if (!opened) return tl::unexpected(opened.error());
  for (ListenChange& own : *opened) sockets->push_back(std::move(own.added));
  return open_admin(config().server.admin);
}

Result<void> Server::become_configured_user() const {
  if (!changes_user()) return {};
  const ServerSettings& settings = config().server;
  auto become = become_user(settings.user);
  if (!become && become.error().code == Code::kNotFound && !settings.user_given) {
    log_warning("user", "{}; running as root until then", become.error().detail);
    return {};
  }
  if (become) warn_of_unreadable(*snapshot_);
  return become;
}

Result<void> Server::open() {
  worker_count_ = config().server.workers == 0 ? usable_processors() : config().server.workers;
  raise_open_files();
  listening_ = listen_plan(config().listen, snapshot_->site());
  std::vector<Sockets> sockets;
  if (auto opened = open_sockets_of_start(&sockets); !opened) return opened;
  if (auto user = become_configured_user(); !user) return user;
  cache_ = std::make_shared<dns::Cache>(config().cache);
  for (Sockets& own : sockets) {
    workers_.push_back(std::make_unique<Worker>(plan(), std::move(own), [this](ClientNote note) {
      mailbox_.post([this, note = std::move(note)] { client_log_.write(note, loop_.now_ms()); });
    }));
    if (auto opened = workers_.back()->open(); !opened) return opened;
  }
  return {};
}

void Server::log_start() const {
  log_listening(listening_);
  if (admin_ != nullptr) {
    log_info("listening", "{} admin: /metrics /healthz /readyz", admin_->local().to_string());
  }
  log_served(*snapshot_);
  log_info("started", "postern {} serves {} with {}", POSTERN_VERSION, config_file_,
           counted(worker_count_, "worker"));
}

void Server::serve() {
  counted_.started_s = static_cast<std::uint64_t>(std::time(nullptr));
  log_start();
  signals_.push_back(std::make_unique<Signal>(loop_, SIGHUP, [this] { want_reload(); }));
  signals_.push_back(std::make_unique<Signal>(loop_, SIGTERM, [this] { stop(); }));
  signals_.push_back(std::make_unique<Signal>(loop_, SIGINT, [this] { stop(); }));
  mask_signals(SIG_UNBLOCK, {SIGHUP});
  for (const auto& worker : workers_) {
    ++workers_running_;
    worker->start([this] { mailbox_.post([this] { worker_ended(); }); });
  }
  watch_files();
  expiry_warned_ms_ = loop_.now_ms();  // the configuration's warnings say so now
  certificate_look_.start_every(kCertificateLookMs);
  loop_.run();
  for (const auto& worker : workers_) worker->join();
}

// --- reload

void Server::want_reload() {
  reload_wanted_ = true;
  begin_next();
}

void Server::want_zones() {
  zones_wanted_ = true;
  begin_next();
}

void Server::want_certificates() {
  certificates_wanted_ = true;
  begin_next();
}

void Server::look_at_certificates() {
  if (loop_.now_ms() >= expiry_warned_ms_ + kDayMs) {
    expiry_warned_ms_ = loop_.now_ms();
    warn_of_expiry(*snapshot_);
  }
  if (!config().certificates.empty()) want_certificates();
}

void Server::begin_next() {
  if (background_.busy() || stopping_) return;
  if (reload_wanted_) {
    // A zone edit that is waiting goes on waiting: the reload may be refused.
    reload_wanted_ = false;
    log_info("reload", "reading {}", config_file_);
    background_.run([this, file = config_file_, current = snapshot_] {
      auto result = std::make_shared<SnapshotResult>(load_snapshot(file, current.get()));
      return [this, result] { finish_reload(std::move(*result)); };
    });
  } else if (zones_wanted_) {
    zones_wanted_ = false;
    background_.run([this, current = snapshot_, rejected = zone_rejections_] {
      auto refresh = std::make_shared<ZoneRefresh>(refresh_zones(*current, rejected));
      return [this, refresh] { finish_zones(std::move(*refresh)); };
    });
  } else if (certificates_wanted_) {
    certificates_wanted_ = false;
    background_.run([this, current = snapshot_, rejected = certificate_rejections_] {
      auto refresh = std::make_shared<CertificateRefresh>(refresh_certificates(*current, rejected));
      return [this, refresh] { finish_certificates(std::move(*refresh)); };
    });
  }
}

void Server::finish_reload(SnapshotResult result) {
  log_problems(result.snapshot == nullptr ? "config_rejected" : "config", result.problems);
  Result<void> taken = result.snapshot == nullptr
                           ? fail(Code::kInvalid, counted(result.error_count, "error"))
                           : take_over(std::move(result.snapshot));
  counted_.last_reload_good = taken.has_value();
  if (taken) {
    ++counted_.reloads;
    log_served(*snapshot_);
    log_info("reloaded", "{} is served", config_file_);
  } else {
    ++counted_.reloads_refused;
    log_error("reload_refused", "{}; the configuration as it was goes on being served",
              taken.error().detail);
  }
  begin_next();
}

void Server::warn_of_unchangeable(const Config& next) const {
  if (next.server.workers != config().server.workers) {
    log_warning("reload", "server.workers takes effect at the next start");
  }
  if (next.server.user != config().server.user) {
    log_warning("reload", "server.user takes effect at the next start");
  }
}

// The sockets that have to be opened are opened here, before anything changes.
Result<void> Server::take_over(std::shared_ptr<const Snapshot> next) {
  ListenPlan plan = listen_plan(next->config.listen, next->site());
  auto changes = open_added(listening_, plan, worker_count_);
  if (!changes) return tl::unexpected(changes.error());
  if (auto admin = open_admin(next->config.server.admin); !admin) return admin;
  warn_of_unchangeable(next->config);
  configure_log(next->config.server.log);
  if (!same_settings(next->config.cache, config().cache)) {
    cache_ = std::make_shared<dns::Cache>(next->config.cache);
    log_info("cache", "dns.cache was changed: the cache starts empty");
  }
  retired_.push_back(std::exchange(snapshot_, std::move(next)));
  listening_ = std::move(plan);
  zone_rejections_.clear();
  certificate_rejections_.clear();
  publish(std::move(*changes));
  return {};
}

void Server::publish(std::vector<ListenChange> changes) {
  changes.resize(workers_.size());
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->reload(plan(), std::move(changes[i]));
  }
  retire_.start_every(kRetireMs);
  watch_files();
}

void Server::finish_zones(ZoneRefresh refresh) {
  const auto forget = [&](std::size_t index) {
    std::erase_if(zone_rejections_, [&](const ZoneRejection& r) { return r.index == index; });
  };
  for (const std::size_t index : refresh.mended) {
    forget(index);
    log_info("zone_mended", "{} is again what is served", config().policy.zones[index].file);
  }
  for (ZoneRejection& rejected : refresh.rejected) {
    forget(rejected.index);
    ++counted_.zone_edits_refused;
    log_problems("zone_rejected", rejected.problems);
    log_error("zone_rejected", "{}: {}; the zone as it was (serial {}) goes on being served",
              rejected.zone, counted(rejected.error_count, "error"),
              snapshot_->zones[rejected.index].zone->serial());
    zone_rejections_.push_back(std::move(rejected));
  }
  if (refresh.snapshot != nullptr) {
    retired_.push_back(std::exchange(snapshot_, std::move(refresh.snapshot)));
    for (const std::size_t index : refresh.reloaded) {
      forget(index);
      ++counted_.zone_reloads;
      const LoadedZone& zone = snapshot_->zones[index];
      log_info("zone_reloaded", "{} serial {}, {}", config().policy.zones[index].name.text(),
               zone.zone->serial(), counted(zone.zone->record_count(), "record"));
    }
    publish();
  } else {
    watch_files();
  }
  begin_next();
}

void Server::finish_certificates(CertificateRefresh refresh) {
  const auto& settings = config().certificates;
  const auto forget = [&](std::size_t index) {
    std::erase_if(certificate_rejections_,
                  [&](const CertificateRejection& r) { return r.index == index; });
  };
  for (const std::size_t index : refresh.changes.mended) {
    forget(index);
    log_info("certificate_mended", "{}: {} and {} are again what is served", settings[index].name,
             settings[index].cert, settings[index].key);
  }
  for (CertificateRejection& rejected : refresh.changes.rejected) {
    const CertificateSettings& one = settings[rejected.index];
    forget(rejected.index);
    ++counted_.certificates_refused;
    log_error("certificate_rejected",
              "{} ({}, {}): {}; the certificate as it was goes on being served", one.name, one.cert,
              one.key, rejected.reason);
    certificate_rejections_.push_back(std::move(rejected));
  }
  if (refresh.snapshot != nullptr) {
    retired_.push_back(std::exchange(snapshot_, std::move(refresh.snapshot)));
    for (const std::size_t index : refresh.changes.reloaded) {
      forget(index);
      ++counted_.certificate_reloads;
      const auto& identity = snapshot_->gateway->certificates[index].identity;
      log_info("certificate_reloaded", "{} from {} and {}, {}", config().certificates[index].name,
               config().certificates[index].cert, config().certificates[index].key,
               expiry_text(identity->not_after_s(), unix_now_s()));
    }
    publish();
  } else {
    watch_files();
  }
  begin_next();
}

void Server::watch_files() {
  std::vector<std::string> files;
  for (const LoadedZone& zone : snapshot_->zones) {
    files.insert(files.end(), zone.files.begin(), zone.files.end());
  }
  for (const ZoneRejection& rejected : zone_rejections_) {
    files.insert(files.end(), rejected.files.begin(), rejected.files.end());
  }
  zone_watcher_.watch(files);
  std::vector<std::string> pairs;
  for (const CertificateSettings& settings : config().certificates) {
    pairs.push_back(settings.cert);
    pairs.push_back(settings.key);
  }
  certificate_watcher_.watch(pairs);
}

// Large zones are freed here rather than by the worker that happens to be last.
void Server::drop_retired() {
  std::erase_if(retired_, [](const auto& snapshot) { return snapshot.use_count() == 1; });
  if (retired_.empty()) retire_.stop();
}

// --- end

void Server::stop() {
  if (stopping_) {
    log_warning("stopped", "at once, on the second signal");
    abandon_();
    std::_Exit(0);
  }
  stopping_ = true;
  const DrainLimits limits;
  log_info("stopping", "finishing what is under way, {} s at most; a second signal ends it at once",
           (config().listeners.empty() ? limits.dns_ms : limits.gateway_ms) / 1000);
  for (const auto& worker : workers_) worker->drain(limits);
  stop_report_.start_every(kStopReportMs);
}

// Workers that have ended do not answer; then there is no report this time.
void Server::report_stopping() {
  gather_counts([](const WorkerCounts& counts) {
    log_info("stopping", "waiting for {}, {}, {}",
             counted(counts.gateway.connections, "HTTP connection"),
             counted(counts.gateway.tcp_connections, "relayed TCP connection"),
             counted(counts.pending, "DNS query"));
  });
}

void Server::worker_ended() {
  if (--workers_running_ != 0) return;
  // Once the handlers are gone, a signal would end the process as if it had failed.
  mask_signals(SIG_BLOCK, {SIGHUP, SIGTERM, SIGINT});
  log_info("stopped", "all workers have ended");
  loop_.stop();
}

// --- admin

ServerState Server::state() const {
  ServerState state = counted_;
  state.snapshot = snapshot_.get();
  state.rejected = &zone_rejections_;
  state.certificates_rejected = &certificate_rejections_;
  state.cache = cache_->stats();
  state.workers = worker_count_;
  state.admin_refused = admin_refused_before_ + (admin_ == nullptr ? 0 : admin_->refused());
  return state;
}

void Server::answer_admin(const std::string& path, AdminServer::Respond respond) {
  if (path == "/metrics") return answer_metrics(std::move(respond));
  if (path == "/healthz") return respond({200, "text/plain; charset=utf-8", "ok\n"});
  if (path == "/readyz") {
    return respond(stopping_ ? AdminReply{503, "text/plain; charset=utf-8", "stopping\n"}
                             : AdminReply{200, "text/plain; charset=utf-8", "ready\n"});
  }
  respond({404, "text/plain; charset=utf-8", "there are /metrics, /healthz and /readyz\n"});
}

void Server::answer_metrics(AdminServer::Respond respond) {
  if (stopping_) return respond({503, "text/plain; charset=utf-8", "stopping\n"});
  gather_counts([this, respond = std::move(respond)](const WorkerCounts& counts) {
    respond({200, "text/plain; version=0.0.4; charset=utf-8", metrics_text(counts, state())});
  });
}

// Every worker is asked for a copy of its numbers; the last one to answer completes the sum.
void Server::gather_counts(std::function<void(const WorkerCounts&)> take) {
  struct Gathering {
    WorkerCounts sum;
    std::size_t missing = 0;
    std::function<void(const WorkerCounts&)> take;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = workers_.size();
  gathering->take = std::move(take);
  for (const auto& worker : workers_) {
    worker->collect([this, gathering](WorkerCounts counts) {
      mailbox_.post([gathering, counts = std::move(counts)] {
        add(&gathering->sum, counts);
        if (--gathering->missing == 0) gathering->take(gathering->sum);
      });
    });
  }
}

}  // namespace

int run(const RunOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  // Until the signals are events of the loop, SIGHUP waits: by itself it would end the process.
  mask_signals(SIG_BLOCK, {SIGHUP});
  SnapshotResult read = load_snapshot(options.config_file, nullptr);
  print_problems(read.problems);
  if (read.snapshot == nullptr) {
    fmt::print(stderr, "postern: {} in the configuration; nothing is served\n",
               counted(read.error_count, "error"));
    return 1;
  }
  configure_log(read.snapshot->config.server.log);
  Server server(options, std::move(read.snapshot));
  if (auto opened = server.open(); !opened) {
    fmt::print(stderr, "postern: {}\n", opened.error().detail);
    return 1;
  }
  if (!options.greeting.empty()) {
    fmt::print("{}", options.greeting);
    std::fflush(stdout);
  }
  server.serve();
  return 0;
}

}  // namespace postern::server
