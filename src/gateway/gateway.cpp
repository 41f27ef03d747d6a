#include "gateway/gateway.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "gateway/backend.h"
#include "gateway/connection.h"
#include "gateway/context.h"
#include "gateway/quic_service.h"
#include "gateway/tcp_relay.h"
#include "net/tcp.h"
#include "net/timer.h"

namespace postern::gateway {
namespace {

constexpr std::uint64_t kSweepMs = 500;
constexpr std::uint64_t kFullLogMs = 10'000;

// One owner for the snapshot and all that was made for it: the count of its users is this worker's
// alone and does not travel between processors.
std::shared_ptr<const Site> own(std::shared_ptr<const Site> site) {
  const auto holder = std::make_shared<std::shared_ptr<const Site>>(std::move(site));
  return {holder, holder->get()};
}

}  // namespace

struct Gateway::Impl final : public Connections {
  struct Listening {
    std::unique_ptr<net::TcpListener> listener;
    Endpoint local;
  };

  Impl(net::Loop& loop, HostResolver& resolver, std::shared_ptr<const Site> site,
       SharedByWorkers& shared);
  ~Impl() override;

  void adopt(std::shared_ptr<const Site> site);
  std::shared_ptr<Backend> backend_for(const http::BackendUrl& url,
                                       const http::HealthSettings& health, const Site& site);
  void accept(net::Fd fd, const Endpoint& peer, const Endpoint& local);
  bool is_full();
  void tell_count();
  bool is_relay(const Endpoint& local) const;
  void log_relay(const RelayRecord& record);
  void closed(Connection& connection) override;
  void sweep();
  void drop_unused_backends();
  void shut_down_all();

  Context context;
  std::atomic<std::size_t>& all;
  std::size_t told = 0;  // of these: what the others take for ours
  std::map<std::string, std::shared_ptr<Backend>> backends;  // by URL and health settings
  std::vector<Listening> listening;
  TcpRelay relay;
  QuicShared quic;
  std::vector<std::unique_ptr<QuicRejecter>> rejecters;
  std::vector<std::unique_ptr<Connection>> connections;
  std::size_t older = 0;  // of these, while draining
  LogLimit full_log{kFullLogMs};
  net::Timer tick;
};

Gateway::Impl::Impl(net::Loop& loop, HostResolver& resolver, std::shared_ptr<const Site> site,
                    SharedByWorkers& shared)
    : context(loop, resolver, shared),
      all(shared.connections),
      relay(
          loop, resolver, [this](const RelayRecord& record) { log_relay(record); },
          [this](const std::string& backend) {
            ++context.counts.no_file;
            context.note_no_file(backend);
          }),
      tick(loop, [this] { sweep(); }) {
  adopt(std::move(site));
  tick.start_every(kSweepMs);
}

// Connections first: they give back what they have from the others.
Gateway::Impl::~Impl() {
  all -= told;
  listening.clear();
  connections.clear();
  context.graveyard.empty();
  context.ended_exchanges.clear();
  context.idle_exchanges.clear();
  context.site.reset();
  backends.clear();
  context.graveyard.empty();
}

void Gateway::Impl::adopt(std::shared_ptr<const Site> site) {
  auto next = std::make_shared<WorkerSite>();
  next->site = own(std::move(site));
  for (const http::RouteSettings& route : next->site->routes) {
    auto& of_route = next->backends.emplace_back();
    for (const http::BackendSettings& backend : route.backends) {
      of_route.push_back(backend_for(backend.url, route.health, *next->site));
    }
  }
  for (const Listener& listener : next->site->listeners) {
    next->listener_names.push_back(context.requests.name_id(listener.settings.name));
  }
  for (const std::string& name : route_names(next->site->routes)) {
    next->route_names.push_back(context.requests.name_id(name));
  }
  relay.configure(*next->site);
  context.memory.set_max(next->site->memory_max);
  context.site = std::move(next);
}

std::shared_ptr<Backend> Gateway::Impl::backend_for(const http::BackendUrl& url,
                                                    const http::HealthSettings& health,
                                                    const Site& site) {
  std::string key = url.to_string();
  if (!health.path.empty()) {
    key += ' ' + health.path + ' ' + std::to_string(health.interval_ms);
  }
  std::shared_ptr<Backend>& known = backends[std::move(key)];
  if (known == nullptr) known = std::make_shared<Backend>(context, url, health);
  known->use_tls_of(site);
  return known;
}

// Relayed connections that ended are told when the next one comes, or by sweep().
void Gateway::Impl::tell_count() {
  const std::size_t now = connections.size() + relay.connections();
  all += now - std::exchange(told, now);
}

// The newest is refused when the gateway is full; otherwise it is counted.
bool Gateway::Impl::is_full() {
  tell_count();
  const std::size_t before = all.fetch_add(1);
  if (before < context.site->site->limits.connections) {
    ++told;
    return false;
  }
  --all;
  ++context.counts.connections_refused;
  std::uint64_t held_back = 0;
  if (full_log.allow(context.loop.now_ms(), &held_back)) {
    log_warning("gateway_full",
                "{} connections: a client was refused; gateway.limits.connections is the limit{}",
                before, LogLimit::text(held_back));
  }
  return true;
}

bool Gateway::Impl::is_relay(const Endpoint& local) const {
  const Served served = context.site->site->find(local);
  return served.listener != nullptr && served.service == Service::kTcp;
}

void Gateway::Impl::accept(net::Fd fd, const Endpoint& peer, const Endpoint& local) {
  ++context.counts.accepted;
  const Served served = context.site->site->find(local);
  if (served.listener == nullptr || is_full()) return;
  if (served.service == Service::kTcp) {
    relay.accept(std::move(fd), peer, *served.listener);
    return;
  }
  auto connection = Connection::accept(context, *this, std::move(fd), peer, local, served);
  if (!connection) {
    log_debug("accept_failed", "{}", connection.error().detail);
    return;
  }
  (*connection)->index = connections.size();
  connections.push_back(std::move(*connection));
}

void Gateway::Impl::log_relay(const RelayRecord& record) {
  const bool logged = context.site != nullptr && context.site->site->log_requests;
  if (!context.access_log.wants(logged)) return;
  const std::string client = record.client.ip.to_string();
  AccessRecord line;
  line.listener = record.listener;
  line.client = client;
  line.protocol = "tcp";
  line.bytes_received = record.bytes_in;
  line.bytes_sent = record.bytes_out;
  line.duration_us = record.duration_ms * 1000;
  line.backend = record.backend;
  std::string failure;
  if (record.end != RelayEnd::kDone) failure = relay_end_text(record.end);
  if (!record.unreached.empty()) failure += fmt::format(", {}", record.unreached);
  line.failure = failure;
  context.access_log.note(line, logged);
}

void Gateway::Impl::closed(Connection& connection) {
  if (connection.came_before_drain) --older;
  const std::size_t at = connection.index;
  std::swap(connections[at], connections.back());
  connections[at]->index = at;
  context.graveyard.bury(std::move(connections.back()));
  connections.pop_back();
  tell_count();
}

void Gateway::Impl::sweep() {
  const std::uint64_t now = context.loop.now_ms();
  tell_count();
  for (std::size_t i = connections.size(); i > 0; --i) {
    if (i <= connections.size()) connections[i - 1]->check(now);
  }
  context.graveyard.empty();  // what has just ended holds nothing
  const std::size_t given_up = context.memory.sweep(now);
  if (given_up != 0) context.note_memory_short(given_up);
  for (const auto& [key, backend] : backends) backend->sweep(now);
  for (const auto& [key, backend] : backends) backend->open_late();
  drop_unused_backends();
}

void Gateway::Impl::drop_unused_backends() {
  for (auto it = backends.begin(); it != backends.end();) {
    const bool unused = it->second.use_count() == 1 && it->second->unused();
    it = unused ? backends.erase(it) : std::next(it);
  }
}

void Gateway::Impl::shut_down_all() {
  for (const auto& connection : connections) connection->shut_down();
}

Gateway::Gateway(net::Loop& loop, HostResolver& resolver, std::shared_ptr<const Site> site,
                 SharedByWorkers& shared)
    : impl_(std::make_unique<Impl>(loop, resolver, std::move(site), shared)) {}

Gateway::~Gateway() = default;

void Gateway::swap_site(std::shared_ptr<const Site> site) {
  impl_->adopt(std::move(site));
  for (const auto& connection : impl_->connections) connection->move_to_site();
}

Result<void> Gateway::listen(net::Fd tcp) {
  const auto local = net::local_endpoint(tcp);
  if (!local) return tl::unexpected(local.error());
  auto listener = net::TcpListener::open(
      impl_->context.loop, std::move(tcp),
      [impl = impl_.get(), local = *local](net::Fd fd, const Endpoint& peer) {
        impl->accept(std::move(fd), peer, local);
      });
  if (!listener) return tl::unexpected(listener.error());
  impl_->listening.push_back({std::move(*listener), *local});
  return {};
}

Result<void> Gateway::listen_quic(net::Fd udp) {
  auto rejecter = QuicRejecter::open(impl_->context.loop, std::move(udp), impl_->quic);
  if (!rejecter) return tl::unexpected(rejecter.error());
  impl_->rejecters.push_back(std::move(*rejecter));
  return {};
}

void Gateway::stop_listening(const Endpoint& tcp) {
  for (const Impl::Listening& listening : impl_->listening) {
    if (listening.local != tcp) continue;
    listening.listener->accept_waiting();
    impl_->context.counts.exhausted += listening.listener->exhausted();
  }
  std::erase_if(impl_->listening, [&](const auto& listening) { return listening.local == tcp; });
}

void Gateway::stop_quic(const Endpoint& udp) {
  std::erase_if(impl_->rejecters, [&](const auto& rejecter) { return rejecter->local() == udp; });
}

void Gateway::drain() {
  for (const Impl::Listening& listening : impl_->listening) listening.listener->accept_waiting();
  std::erase_if(impl_->listening, [&](const Impl::Listening& listening) {
    return !listening.listener->is_shared() || impl_->is_relay(listening.local);
  });
  // QUIC is refused as long as there is TLS in its place.
  std::erase_if(impl_->rejecters, [&](const auto& rejecter) {
    return std::none_of(impl_->listening.begin(), impl_->listening.end(),
                        [&](const auto& one) { return one.local == rejecter->local(); });
  });
  impl_->older = impl_->connections.size();
  for (const auto& connection : impl_->connections) connection->came_before_drain = true;
  impl_->context.draining = true;
  impl_->relay.drain();
  impl_->shut_down_all();
  for (const auto& [key, backend] : impl_->backends) backend->close_idle();
}

bool Gateway::older_drained() const { return impl_->older == 0 && impl_->relay.connections() == 0; }

void Gateway::stop_accepting() {
  if (!accepting()) return;
  impl_->listening.clear();
  impl_->rejecters.clear();
  impl_->shut_down_all();
}

void Gateway::cut() {
  auto& connections = impl_->connections;
  for (std::size_t i = connections.size(); i > 0; --i) {
    if (i <= connections.size()) connections[i - 1]->cut();
  }
  impl_->relay.cut();
}

bool Gateway::accepting() const { return !impl_->listening.empty(); }

bool Gateway::drained() const {
  return impl_->connections.empty() && impl_->relay.connections() == 0;
}

void Gateway::tell_notes(ClientNotes& notes) {
  impl_->context.notes = &notes;
  impl_->quic.notes = &notes;
}

std::vector<TopEntry> Gateway::quic_clients() {
  return impl_->quic.clients.entries(impl_->context.loop.now_ms());
}

std::vector<TopEntry> Gateway::ech_clients() {
  return impl_->context.ech_tried.entries(impl_->context.loop.now_ms());
}

void Gateway::follow(RequestFollower* follower) { impl_->context.access_log.follow(follower); }

GatewayCounts Gateway::counts() const {
  const RelayCounts relay = impl_->relay.counts();
  GatewayCounts counts = impl_->context.counts;
  counts.connections = impl_->connections.size();
  for (const Impl::Listening& listening : impl_->listening) {
    counts.exhausted += listening.listener->exhausted();
  }
  counts.quic_refused = impl_->quic.counts.refused;
  counts.quic_ignored = impl_->quic.counts.ignored;
  counts.quic_limited = impl_->quic.counts.limited;
  for (const auto& [key, backend] : impl_->backends) counts.backends.push_back(backend->counts());
  counts.in_flight = impl_->context.exchanges;
  counts.memory = impl_->context.memory.used();
  counts.requests = impl_->context.requests.series();
  counts.routes = impl_->context.requests.times();
  counts.tcp_connections = relay.connections;
  counts.tcp_accepted = relay.accepted;
  counts.tcp_failed = relay.failed;
  counts.tcp_bytes_in = relay.bytes_in;
  counts.tcp_bytes_out = relay.bytes_out;
  counts.idle_timeouts += relay.idle_timeouts;
  counts.aborted_by_client += relay.aborted_by_client;
  counts.aborted_by_backend += relay.aborted_by_backend;
  counts.backends.insert(counts.backends.end(), relay.backends.begin(), relay.backends.end());
  return counts;
}

}  // namespace postern::gateway
