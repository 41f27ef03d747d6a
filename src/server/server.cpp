#include "server/server.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "server/report.h"
#include "server/server_core.h"
#include "server/system.h"

namespace postern::server {
namespace {

constexpr std::uint64_t kStopReportMs = 5000;
constexpr std::chrono::milliseconds kLogFlush{1000};  // for the last lines, at the end
// By content, for file systems on which nothing else shows (the same time and size).
constexpr std::uint64_t kCertificateLookMs = 60'000;

void mask_signals(int how, std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  pthread_sigmask(how, &set, nullptr);
}

// Lines from here on do not wait for their reader.
struct LogThread {
  LogThread() { start_log_writer(); }
  ~LogThread() { stop_log_writer(kLogFlush); }
};

}  // namespace

QueryTapSettings tap_settings(const Config& config) {
  return {config.server.log.queries, config.query_log, config.dnstap};
}

// --- start

void Server::set_admin(std::unique_ptr<AdminServer> admin) {
  if (admin_ != nullptr) admin_refused_before_ += admin_->refused();
  admin_ = std::move(admin);
}

bool Server::has_admin_at(const std::optional<Endpoint>& endpoint) const {
  return endpoint ? admin_ != nullptr && admin_->local() == *endpoint : admin_ == nullptr;
}

Result<std::unique_ptr<AdminServer>> Server::open_admin(const std::optional<Endpoint>& endpoint) {
  if (!endpoint || has_admin_at(endpoint)) return nullptr;
  auto handler = [this](const AdminRequest& request, AdminServer::Respond respond) {
    site_.answer(request, std::move(respond));
  };
  // Our own listener on this port would be in the way of the check.
  const bool own_port = admin_ != nullptr && admin_->local().port == endpoint->port;
  if (auto free = own_port ? Result<void>() : check_is_free_tcp(*endpoint); !free) {
    return fail(Code::kIo, fmt::format("server.admin: {}; choose another address, or \"\" for off",
                                       free.error().detail));
  }
  auto admin = AdminServer::open(loop_, *endpoint, std::move(handler));
  if (!admin) return fail(Code::kIo, fmt::format("server.admin: {}", admin.error().detail));
  return admin;
}

bool Server::changes_user() const {
  const std::string& user = config().server.user;
  return is_root() && !user.empty() && user != "root";
}

Result<void> Server::open_sockets_of_start(std::vector<Sockets>* sockets) {
  std::optional<SocketsOf> owner;
  if (changes_user()) owner.emplace(config().server.user);
  auto opened = open_added({}, listening_, worker_count_, passed_);
  if (!opened) return tl::unexpected(opened.error());
  for (ListenChange& own : *opened) sockets->push_back(std::move(own.added));
  auto admin = open_admin(config().server.admin);
  if (!admin) return tl::unexpected(admin.error());
  set_admin(std::move(*admin));
  return {};
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
  tap_ = std::make_unique<QueryTap>(worker_count_);
  if (auto taps = tap_->configure(tap_settings(config())); !taps) return taps;
  for (Sockets& own : sockets) {
    auto note = [this](ClientNote one) {
      mailbox_.post([this, one = std::move(one)] { client_log_.write(one, loop_.now_ms()); });
    };
    workers_.push_back(std::make_unique<Worker>(plan(), std::move(own), std::move(note),
                                                tap_->ring(workers_.size())));
    if (auto opened = workers_.back()->open(); !opened) return opened;
  }
  return {};
}

std::string Server::serving_text() const { return fmt::format("serving {}", config_file_); }

void Server::log_start() const {
  log_listening(listening_);
  log_passed(passed_, listening_);
  if (admin_ != nullptr) {
    log_info("listening", "{} admin: / /api/v1/ /metrics /healthz /readyz",
             admin_->local().to_string());
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
    worker->start([this] { mailbox_.post([this] { worker_done(); }); },
                  [this](std::uint64_t cut) { mailbox_.post([this, cut] { worker_ended(cut); }); });
  }
  watch_files();
  expiry_warned_ms_ = loop_.now_ms();  // the configuration's warnings say so now
  certificate_look_.start_every(kCertificateLookMs);
  manager_.ready(serving_text());
  site_.start();
  loop_.run();
  for (const auto& worker : workers_) worker->join();
  set_admin(nullptr);  // those who follow are told to the workers
}
// --- end

void Server::stop() {
  if (stopping_) {
    log_warning("stopped", "at once, on the second signal");
    abandon_();
    stop_log_writer(kLogFlush);
    std::_Exit(0);
  }
  stopping_ = true;
  const DrainLimits limits;
  log_info("stopping", "finishing what is under way, {} s at most; a second signal ends it at once",
           (config().listeners.empty() ? limits.dns_ms : limits.gateway_ms) / 1000);
  manager_.stopping("finishing what is under way");
  for (const auto& worker : workers_) worker->drain(limits);
  stop_report_.start_every(kStopReportMs);
}

void Server::report_stopping() {
  gather_counts([this](const WorkerCounts& counts) {
    if (workers_done_ == workers_.size()) return;
    log_info("stopping", "waiting for {}, {}, {}",
             counted(counts.gateway.connections, "HTTP connection"),
             counted(counts.gateway.tcp_connections, "relayed TCP connection"),
             counted(counts.pending, "DNS query"));
  });
}

// They end together: until then all of them serve DNS and tell their numbers.
void Server::worker_done() {
  if (++workers_done_ != workers_.size()) return;
  stop_report_.stop();
  for (const auto& worker : workers_) worker->end();
}

void Server::worker_ended(std::uint64_t cut) {
  cut_ += cut;
  if (--workers_running_ != 0) return;
  // Once the handlers are gone, a signal would end the process as if it had failed.
  mask_signals(SIG_BLOCK, {SIGHUP, SIGTERM, SIGINT});
  if (cut_ == 0) {
    log_info("stopped", "all workers have ended");
  } else {
    log_warning("stopped", "{} cut off: time was up", counted(cut_, "connection"));
  }
  loop_.stop();
}

// --- admin

ServerState Server::state() const {
  ServerState state = counted_;
  state.snapshot = snapshot_.get();
  state.rejected = &refusals_.zones;
  state.certificates_rejected = &refusals_.certificates;
  state.cache = cache_->stats();
  state.workers = worker_count_;
  state.admin_denied = site_.denied();
  state.drift = site_.drift();
  state.followers = site_.followers();
  state.follow_dropped = site_.follow_dropped();
  state.log = log_counts();
  state.queries = tap_->counts();
  state.admin_refused = admin_refused_before_ + (admin_ == nullptr ? 0 : admin_->refused());
  return state;
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

void Server::gather_tops(std::function<void(const WorkerTops&)> take) {
  auto sum = std::make_shared<WorkerTops>();
  auto missing = std::make_shared<std::size_t>(workers_.size());
  for (const auto& worker : workers_) {
    worker->collect_tops([this, sum, missing, take](const WorkerTops& tops) {
      mailbox_.post([sum, missing, take, tops] {
        add(sum.get(), tops);
        if (--*missing == 0) take(*sum);
      });
    });
  }
}

void Server::follow(const std::shared_ptr<const FollowFilters>& filters) {
  for (const auto& worker : workers_) {
    worker->follow(filters, [this](FollowBatch batch) {
      mailbox_.post([this, batch = std::move(batch)] { site_.deliver(batch); });
    });
  }
}

int run(const RunOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  // Until the signals are events of the loop, SIGHUP waits: by itself it would end the process.
  mask_signals(SIG_BLOCK, {SIGHUP});
  const LogThread log_thread;
  SnapshotResult read = load_snapshot(options.config_file, nullptr);
  configure_log(read.log);
  tell_problems(read);
  if (read.snapshot == nullptr) {
    tell_failure(fmt::format("{} in the configuration; nothing is served",
                             counted(read.error_count, "error")));
    return 1;
  }
  Server server(options, PassedSockets::take(), std::move(read.snapshot));
  if (auto opened = server.open(); !opened) {
    tell_failure(opened.error().detail);
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
