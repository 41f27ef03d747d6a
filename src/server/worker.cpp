#include "server/worker.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <csignal>

#include "base/log.h"

namespace postern::server {
namespace {

constexpr std::uint64_t kTickMs = 1000;
constexpr std::uint64_t kDrainTickMs = 10;
constexpr std::uint64_t kLastAcceptedMs = 5000;  // for those who came while others finished

// A limit of the process, as this worker's share.
template <class T>
T share(T whole, unsigned workers) {
  return std::max<T>(1, (whole + workers - 1) / workers);
}

// The site as a part of what the worker holds anyway.
std::shared_ptr<const gateway::Site> site_of(const WorkerPlan& plan) {
  return plan.snapshot->gateway->site;
}

// Signals are the main thread's.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

void append(std::vector<TopEntry>* sum, const std::vector<TopEntry>& more) {
  sum->insert(sum->end(), more.begin(), more.end());
}

}  // namespace

void add(WorkerTops* sum, const WorkerTops& more) {
  append(&sum->names, more.names);
  append(&sum->clients, more.clients);
  append(&sum->quic_clients, more.quic_clients);
  append(&sum->ech_clients, more.ech_clients);
}

Worker::Worker(const WorkerPlan& plan, Sockets sockets, ClientNotes::Tell note,
               nameserver::QueryRing& queries)
    : plan_(plan),
      sockets_(std::move(sockets)),
      notes_(std::move(note)),
      forwarder_(loop_, *plan.cache, forwarder_settings()),
      resolver_(loop_, *plan.cache, forwarder_, resolver_settings(), plan.snapshot->resolver),
      tcp_(loop_, resolver_, tcp_settings()),
      host_resolver_(loop_, resolver_),
      gateway_(loop_, host_resolver_, site_of(plan), *plan.shared),
      drop_soon_(loop_, [this] { drop_retired(); }),
      tick_(loop_, [this] { drop_retired(); }),
      mailbox_(loop_) {
  resolver_.tell_notes(notes_);
  resolver_.record_to(queries);
  forwarder_.record_to(queries);
  gateway_.tell_notes(notes_);
  tick_.start_every(kTickMs);
}

Worker::~Worker() = default;

nameserver::ResolverSettings Worker::resolver_settings() const {
  const Config& config = plan_.snapshot->config;
  nameserver::ResolverSettings settings;
  settings.qps_per_client = config.limits.qps_per_client;
  settings.pending_max = share(config.limits.outstanding, plan_.workers);
  return settings;
}

nameserver::Forwarder::Settings Worker::forwarder_settings() const {
  const Config& config = plan_.snapshot->config;
  return {config.forwards, share(config.limits.outstanding, plan_.workers)};
}

nameserver::TcpServiceSettings Worker::tcp_settings() const {
  const Config& config = plan_.snapshot->config;
  nameserver::TcpServiceSettings settings;
  settings.clients_max = share(config.limits.tcp_clients, plan_.workers);
  settings.clients_per_address_max = std::max<std::size_t>(1, settings.clients_max / 4);
  settings.idle_timeout_ms = config.limits.tcp_idle_ms;
  return settings;
}

Result<void> Worker::open() { return serve(std::move(sockets_)); }

Result<void> Worker::serve(Sockets sockets) {
  for (net::Fd& fd : sockets.udp) {
    auto service = nameserver::UdpService::open(loop_, std::move(fd), resolver_);
    if (!service) return tl::unexpected(service.error());
    udp_.push_back(std::move(*service));
  }
  for (net::Fd& fd : sockets.tcp) {
    if (auto listening = tcp_.listen(std::move(fd)); !listening) return listening;
  }
  for (net::Fd& fd : sockets.gateway) {
    if (auto listening = gateway_.listen(std::move(fd)); !listening) return listening;
  }
  for (net::Fd& fd : sockets.quic) {
    if (auto listening = gateway_.listen_quic(std::move(fd)); !listening) return listening;
  }
  return {};
}

void Worker::start(std::function<void()> done, std::function<void(std::uint64_t)> ended) {
  done_ = std::move(done);
  thread_ = std::thread([this, ended = std::move(ended)] {
    block_signals();
    loop_.run();
    ended(cut_);
  });
}

void Worker::reload(WorkerPlan plan, ListenChange change) {
  auto shared = std::make_shared<ListenChange>(std::move(change));  // a message can be copied
  mailbox_.post([this, plan = std::move(plan), shared] { apply(plan, std::move(*shared)); });
}

void Worker::collect(std::function<void(WorkerCounts)> take) {
  mailbox_.post([this, take = std::move(take)] { take(counts()); });
}

void Worker::collect_tops(std::function<void(WorkerTops)> take) {
  mailbox_.post([this, take = std::move(take)] {
    const std::uint64_t now_ms = loop_.now_ms();
    take({resolver_.tops().names(now_ms), resolver_.tops().clients(now_ms), gateway_.quic_clients(),
          gateway_.ech_clients()});
  });
}

void Worker::follow(std::shared_ptr<const FollowFilters> filters, FollowSource::Deliver deliver) {
  mailbox_.post([this, filters = std::move(filters), deliver = std::move(deliver)] {
    resolver_.follow(nullptr);
    gateway_.follow(nullptr);
    follow_.reset();
    if (filters == nullptr) return;
    follow_ = std::make_unique<FollowSource>(loop_, filters, deliver);
    resolver_.follow(follow_.get());
    gateway_.follow(follow_.get());
  });
}

void Worker::drain(const DrainLimits& limits) {
  mailbox_.post([this, limits] {
    draining_ = true;
    gateway_until_ms_ = loop_.now_ms() + limits.gateway_ms;
    dns_drain_ms_ = limits.dns_ms;
    gateway_.drain();
    tick_.start_every(kDrainTickMs);
  });
}

void Worker::end() {
  mailbox_.post([this] {
    ending_ = true;
    end_when_drained();
  });
}

void Worker::drain_dns() {
  if (std::exchange(dns_draining_, true)) return;
  dns_until_ms_ = loop_.now_ms() + dns_drain_ms_;
  for (const auto& service : udp_) service->drain();
  tcp_.drain();
}

// Connections that wait at a listener that goes are still served as they were meant to be; those
// at a new one are not accepted before it is known what to serve there.
void Worker::apply(WorkerPlan plan, ListenChange change) {
  remove_listeners(change);
  apply(std::move(plan));
  if (auto served = serve(std::move(change.added)); !served) {
    log_error("listen_failed", "{}", served.error().detail);
  }
}

void Worker::apply(WorkerPlan plan) {
  const std::shared_ptr<dns::Cache> old_cache = plan_.cache;  // until nobody points to it any more
  plan_ = std::move(plan);
  forwarder_.reconfigure(*plan_.cache, forwarder_settings());
  resolver_.reconfigure(*plan_.cache, resolver_settings());
  resolver_.swap_snapshot(plan_.snapshot->resolver);
  tcp_.configure(tcp_settings());
  gateway_.swap_site(site_of(plan_));
}

void Worker::remove_listeners(const ListenChange& change) {
  const auto is_removed = [&](const std::unique_ptr<nameserver::UdpService>& service) {
    const auto& gone = change.dns_removed;
    return std::find(gone.begin(), gone.end(), service->local()) != gone.end();
  };
  const auto kept = std::stable_partition(udp_.begin(), udp_.end(), std::not_fn(is_removed));
  for (auto service = kept; service != udp_.end(); ++service) {
    (*service)->drain();
    retired_udp_.push_back(std::move(*service));
  }
  udp_.erase(kept, udp_.end());
  drop_soon_.schedule();  // the next reload may want their address again
  for (const Endpoint& endpoint : change.dns_removed) tcp_.stop_listening(endpoint);
  for (const Endpoint& endpoint : change.quic_removed) gateway_.stop_quic(endpoint);
  for (const Endpoint& endpoint : change.gateway_removed) gateway_.stop_listening(endpoint);
}

// Services that are no longer listened on go when their last reply has left.
void Worker::drop_retired() {
  std::erase_if(retired_udp_, [&](const auto& service) {
    if (service->waiting() != 0) return false;
    add(&past_udp_, service->counts());
    return true;
  });
  if (draining_) end_when_drained();
}

void Worker::end_when_drained() {
  const std::uint64_t now_ms = loop_.now_ms();
  const bool in_time = now_ms + kLastAcceptedMs < gateway_until_ms_;
  if (gateway_.accepting() && in_time && !gateway_.older_drained()) return;
  gateway_.stop_accepting();
  if (!gateway_.drained() && now_ms < gateway_until_ms_) return;
  if (!std::exchange(told_done_, true)) done_();
  if (!ending_) return;
  drain_dns();
  if (!dns_is_drained() && now_ms < dns_until_ms_) return;
  const gateway::GatewayCounts left = gateway_.counts();
  cut_ = left.connections + left.tcp_connections;
  gateway_.cut();
  loop_.stop();
}

bool Worker::dns_is_drained() const {
  const bool udp_done = std::all_of(udp_.begin(), udp_.end(),
                                    [](const auto& service) { return service->waiting() == 0; });
  return udp_done && tcp_.drained() && resolver_.pending() == 0 && retired_udp_.empty();
}

WorkerCounts Worker::counts() const {
  WorkerCounts counts;
  counts.resolver = resolver_.counts();
  counts.forwarder = forwarder_.counts();
  counts.upstreams = forwarder_.upstreams();
  counts.pending = resolver_.pending();
  counts.outstanding = forwarder_.outstanding();
  counts.udp = past_udp_;
  for (const auto* services : {&udp_, &retired_udp_}) {
    for (const auto& service : *services) add(&counts.udp, service->counts());
  }
  counts.tcp = tcp_.counts();
  counts.tcp_clients = tcp_.clients();
  counts.gateway = gateway_.counts();
  return counts;
}

}  // namespace postern::server
