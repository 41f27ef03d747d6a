#include "server/server.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <optional>
#include <system_error>
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
#include "server/listen.h"
#include "server/metrics.h"
#include "server/signals.h"
#include "server/snapshot.h"
#include "server/system.h"
#include "server/watch.h"
#include "server/worker.h"

namespace postern::server {
namespace {

constexpr std::uint64_t kDrainMs = 5000;
constexpr std::uint64_t kRetireMs = 5000;
constexpr std::size_t kProblemsLogged = 20;

using Snapshots = std::vector<std::shared_ptr<const Snapshot>>;

bool same_settings(const dns::CacheSettings& a, const dns::CacheSettings& b) {
  return a.size_bytes == b.size_bytes && a.min_ttl_s == b.min_ttl_s && a.max_ttl_s == b.max_ttl_s &&
         a.negative_ttl_s == b.negative_ttl_s && a.serve_stale_s == b.serve_stale_s &&
         a.prefetch == b.prefetch;
}

std::vector<Endpoint> without(const std::vector<Endpoint>& all,
                              const std::vector<Endpoint>& taken) {
  std::vector<Endpoint> rest;
  for (const Endpoint& endpoint : all) {
    if (std::find(taken.begin(), taken.end(), endpoint) == taken.end()) rest.push_back(endpoint);
  }
  return rest;
}

void print_problems(const std::vector<ConfigProblem>& problems) {
  for (const ConfigProblem& problem : problems) fmt::print(stderr, "{}\n", problem.to_string());
}

void log_problems(std::string_view event, const std::vector<ConfigProblem>& problems) {
  std::size_t logged = 0;
  for (const ConfigProblem& problem : problems) {
    if (++logged > kProblemsLogged) {
      log_error(event, "and {} more", problems.size() - kProblemsLogged);
      return;
    }
    if (problem.warning) {
      log_warning(event, "{}", problem.to_string());
    } else {
      log_error(event, "{}", problem.to_string());
    }
  }
}

void log_served(const Snapshot& snapshot) {
  const Config& config = snapshot.config;
  for (std::size_t i = 0; i < snapshot.zones.size(); ++i) {
    const LoadedZone& zone = snapshot.zones[i];
    log_info("zone", "{} serial {}, {} from {}", config.policy.zones[i].name.text(),
             zone.zone->serial(), counted(zone.zone->record_count(), "record"),
             config.policy.zones[i].file);
  }
  log_info("overrides", "{}, {}", counted(config.policy.overrides.size(), "override"),
           counted(config.policy.views.size(), "view"));
  for (const nameserver::ForwardSettings& forward : config.forwards) {
    std::string upstreams;
    for (const auto& upstream : forward.upstreams) upstreams += " " + upstream.text;
    log_info("forward", "{} to{} ({})", forward.name.text(), upstreams, forward.source);
  }
}

// Until the signals are events of the loop, SIGHUP waits: by itself it would end the process.
void hold_back_reloads(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
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
        watcher_(loop_, [this] { want_zones(); }),
        retire_(loop_, [this] { drop_retired(); }) {}

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
  void warn_of_unreadable() const;
  void log_start() const;

  void want_reload();
  void want_zones();
  void begin_next();
  void finish_reload(SnapshotResult result);
  void finish_zones(ZoneRefresh refresh);
  Result<std::vector<ListenChange>> listen_changes(const Config& next) const;
  Result<void> take_over(std::shared_ptr<const Snapshot> next);
  void warn_of_unchangeable(const Config& next) const;
  void publish();
  void watch_files();
  void drop_retired();

  void stop();
  void worker_ended();
  void answer_admin(const std::string& path, AdminServer::Respond respond);
  void answer_metrics(AdminServer::Respond respond);
  ServerState state() const;

  std::string config_file_;
  std::function<void()> abandon_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<dns::Cache> cache_;
  unsigned worker_count_ = 1;
  std::vector<ZoneRejection> rejections_;
  Snapshots retired_;

  net::Loop loop_;
  net::Mailbox mailbox_;
  Background background_;
  Watcher watcher_;
  net::Timer retire_;
  std::vector<std::unique_ptr<Signal>> signals_;
  std::unique_ptr<AdminServer> admin_;
  std::uint64_t admin_refused_before_ = 0;  // of admin listeners that are gone
  std::vector<std::unique_ptr<Worker>> workers_;
  bool reload_wanted_ = false, zones_wanted_ = false, stopping_ = false;
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
  for (const Endpoint& endpoint : config().listen) {
    if (auto free = check_is_free(endpoint); !free) {
      return fail(Code::kIo, fmt::format("dns.listen: {}", free.error().detail));
    }
  }
  auto opened = open_sockets(config().listen, worker_count_);
  if (!opened) return fail(Code::kIo, fmt::format("dns.listen: {}", opened.error().detail));
  *sockets = std::move(*opened);
  return open_admin(config().server.admin);
}

// What only root can read is served now and would be an error at the next reload.
void Server::warn_of_unreadable() const {
  std::vector<std::string> files = config().files;
  for (const LoadedZone& zone : snapshot_->zones) {
    files.insert(files.end(), zone.files.begin(), zone.files.end());
  }
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  for (const std::string& file : files) {
    if (::access(file.c_str(), R_OK) == 0) continue;
    log_warning(
        "unreadable",
        "user '{}' cannot read {} ({}), so a reload or an edit of it will be refused; let it "
        "read the file and enter the directories above: chmod o+r or chown {} {}",
        config().server.user, file, std::generic_category().message(errno), config().server.user,
        file);
  }
}

Result<void> Server::become_configured_user() const {
  if (!changes_user()) return {};
  const ServerSettings& settings = config().server;
  auto become = become_user(settings.user);
  if (!become && become.error().code == Code::kNotFound && !settings.user_given) {
    log_warning("user", "{}; running as root until then", become.error().detail);
    return {};
  }
  if (become) warn_of_unreadable();
  return become;
}

Result<void> Server::open() {
  worker_count_ = config().server.workers == 0 ? usable_processors() : config().server.workers;
  raise_open_files();
  std::vector<Sockets> sockets;
  if (auto opened = open_sockets_of_start(&sockets); !opened) return opened;
  if (auto user = become_configured_user(); !user) return user;
  cache_ = std::make_shared<dns::Cache>(config().cache);
  for (Sockets& own : sockets) {
    workers_.push_back(std::make_unique<Worker>(plan(), std::move(own)));
    if (auto opened = workers_.back()->open(); !opened) return opened;
  }
  return {};
}

void Server::log_start() const {
  for (const Endpoint& endpoint : config().listen) {
    log_info("listening", "{} UDP and TCP", endpoint.to_string());
  }
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
  hold_back_reloads(SIG_UNBLOCK);
  for (const auto& worker : workers_) {
    ++workers_running_;
    worker->start([this] { mailbox_.post([this] { worker_ended(); }); });
  }
  watch_files();
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
    background_.run([this, current = snapshot_, rejected = rejections_] {
      auto refresh = std::make_shared<ZoneRefresh>(refresh_zones(*current, rejected));
      return [this, refresh] { finish_zones(std::move(*refresh)); };
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

// The sockets that have to be opened are opened here, before anything changes.
Result<std::vector<ListenChange>> Server::listen_changes(const Config& next) const {
  const std::vector<Endpoint> added = without(next.listen, config().listen);
  const std::vector<Endpoint> removed = without(config().listen, next.listen);
  const auto is_own_port = [&](const Endpoint& endpoint) {
    return std::any_of(config().listen.begin(), config().listen.end(),
                       [&](const Endpoint& own) { return own.port == endpoint.port; });
  };
  for (const Endpoint& endpoint : added) {
    if (is_own_port(endpoint)) continue;
    if (auto free = check_is_free(endpoint); !free) return tl::unexpected(free.error());
  }
  auto sockets = open_sockets(added, worker_count_);
  if (!sockets) return tl::unexpected(sockets.error());
  std::vector<ListenChange> changes;
  for (Sockets& own : *sockets) {
    changes.push_back({std::move(own), removed});
  }
  return changes;
}

void Server::warn_of_unchangeable(const Config& next) const {
  if (next.server.workers != config().server.workers) {
    log_warning("reload", "server.workers takes effect at the next start");
  }
  if (next.server.user != config().server.user) {
    log_warning("reload", "server.user takes effect at the next start");
  }
}

Result<void> Server::take_over(std::shared_ptr<const Snapshot> next) {
  auto changes = listen_changes(next->config);
  if (!changes) return fail(Code::kIo, fmt::format("dns.listen: {}", changes.error().detail));
  if (auto admin = open_admin(next->config.server.admin); !admin) return admin;
  warn_of_unchangeable(next->config);
  configure_log(next->config.server.log);
  if (!same_settings(next->config.cache, config().cache)) {
    cache_ = std::make_shared<dns::Cache>(next->config.cache);
    log_info("cache", "dns.cache was changed: the cache starts empty");
  }
  retired_.push_back(std::exchange(snapshot_, std::move(next)));
  rejections_.clear();
  publish();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->change_listeners(std::move((*changes)[i]));
  }
  return {};
}

void Server::publish() {
  for (const auto& worker : workers_) worker->reload(plan());
  retire_.start_every(kRetireMs);
  watch_files();
}

void Server::finish_zones(ZoneRefresh refresh) {
  const auto forget = [&](std::size_t index) {
    std::erase_if(rejections_, [&](const ZoneRejection& r) { return r.index == index; });
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
    rejections_.push_back(std::move(rejected));
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

void Server::watch_files() {
  std::vector<std::string> files;
  for (const LoadedZone& zone : snapshot_->zones) {
    files.insert(files.end(), zone.files.begin(), zone.files.end());
  }
  for (const ZoneRejection& rejected : rejections_) {
    files.insert(files.end(), rejected.files.begin(), rejected.files.end());
  }
  watcher_.watch(files);
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
  log_info("stopping", "finishing what is under way, {} s at most", kDrainMs / 1000);
  for (const auto& worker : workers_) worker->drain(kDrainMs);
}

void Server::worker_ended() {
  if (--workers_running_ != 0) return;
  log_info("stopped", "all workers have ended");
  loop_.stop();
}

// --- admin

ServerState Server::state() const {
  ServerState state = counted_;
  state.snapshot = snapshot_.get();
  state.rejected = &rejections_;
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

// Every worker is asked for a copy of its numbers; the last one to answer completes the page.
void Server::answer_metrics(AdminServer::Respond respond) {
  struct Gathering {
    WorkerCounts sum;
    std::size_t missing = 0;
    AdminServer::Respond respond;
  };
  if (stopping_) return respond({503, "text/plain; charset=utf-8", "stopping\n"});
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = workers_.size();
  gathering->respond = std::move(respond);
  for (const auto& worker : workers_) {
    worker->collect([this, gathering](WorkerCounts counts) {
      mailbox_.post([this, gathering, counts = std::move(counts)] {
        add(&gathering->sum, counts);
        if (--gathering->missing != 0) return;
        gathering->respond({200, "text/plain; version=0.0.4; charset=utf-8",
                            metrics_text(gathering->sum, state())});
      });
    });
  }
}

}  // namespace

int run(const RunOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  hold_back_reloads(SIG_BLOCK);
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
