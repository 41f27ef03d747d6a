#include "gateway/tcp_relay.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "gateway/relay_session.h"
#include "net/timer.h"

namespace postern::gateway {
namespace {

constexpr std::uint64_t kIdleCheckMinMs = 10, kIdleCheckMaxMs = 5000;

constexpr std::array<std::string_view, 7> kEndTexts{
    "done", "client reset", "backend reset", "idle", "no backend", "no PROXY header", "stopped"};

}  // namespace

std::string_view relay_end_text(RelayEnd end) { return kEndTexts[static_cast<std::size_t>(end)]; }

struct TcpRelay::Impl {
  Impl(net::Loop& the_loop, HostResolver& the_resolver, Ended the_ended,
       const RelaySettings& settings)
      : loop(the_loop),
        resolver(the_resolver),
        ended(std::move(the_ended)),
        shared{the_loop, settings},
        bury(the_loop, [this] { dead.clear(); }),
        idle_check(the_loop, [this] { end_idle(); }) {
    shared.ended = [this](RelaySession& session, RelayEnd end) { end_session(session, end); };
  }

  void end_session(RelaySession& session, RelayEnd end);
  void end_idle();
  void end_all();
  void check_idle_every(std::uint64_t idle_ms);

  net::Loop& loop;
  HostResolver& resolver;
  Ended ended;
  RelayShared shared;
  RelayCounts counts;
  std::map<std::string, std::shared_ptr<RelayTarget>, std::less<>> targets;  // by listener
  std::vector<std::unique_ptr<RelaySession>> sessions, dead;
  net::Deferred bury;
  net::Timer idle_check;
  std::uint64_t idle_check_ms = 0;
  bool draining = false;
};

void TcpRelay::Impl::end_session(RelaySession& session, RelayEnd end) {
  if (end == RelayEnd::kNoBackend || end == RelayEnd::kNoProxyHeader) ++counts.failed;
  if (end == RelayEnd::kIdle) ++counts.idle_timeouts;
  if (end == RelayEnd::kClientReset) ++counts.aborted_by_client;
  if (end == RelayEnd::kBackendReset) ++counts.aborted_by_backend;
  if (ended) ended(session.record(end));
  const std::size_t index = session.index;
  dead.push_back(std::move(sessions[index]));
  if (index + 1 != sessions.size()) {
    sessions[index] = std::move(sessions.back());
    sessions[index]->index = index;
  }
  sessions.pop_back();
  bury.schedule();
  if (sessions.empty()) {
    idle_check.stop();
    idle_check_ms = 0;
  }
}

void TcpRelay::Impl::end_idle() {
  for (std::size_t i = sessions.size();
       i-- > 0;) {  // the last one takes the place of one that ends
    if (sessions[i]->is_idle(loop.now_ms())) sessions[i]->finish(RelayEnd::kIdle);
  }
}

void TcpRelay::Impl::end_all() {
  while (!sessions.empty()) sessions.back()->finish(RelayEnd::kStopped);
}

// One timer for all: an idle connection costs no timer.
void TcpRelay::Impl::check_idle_every(std::uint64_t idle_ms) {
  if (idle_ms == 0) return;
  const std::uint64_t interval = std::clamp(idle_ms / 4, kIdleCheckMinMs, kIdleCheckMaxMs);
  if (idle_check_ms != 0 && idle_check_ms <= interval) return;
  idle_check_ms = interval;
  idle_check.start_every(interval);
}

TcpRelay::TcpRelay(net::Loop& loop, HostResolver& resolver, Ended ended, NoFile no_file,
                   const RelaySettings& settings)
    : impl_(std::make_unique<Impl>(loop, resolver, std::move(ended), settings)) {
  impl_->shared.no_file = std::move(no_file);
}

TcpRelay::~TcpRelay() { impl_->end_all(); }

void TcpRelay::configure(const Site& site) {
  impl_->shared.fd_end = site.fd_end;
  impl_->shared.pipes.stay_below(site.fd_end);
  decltype(impl_->targets) targets;
  for (const Listener& listener : site.listeners) {
    if (listener.settings.tcp == 0) continue;
    auto& target = targets[listener.settings.name];
    const auto known = impl_->targets.find(listener.settings.name);
    target = known != impl_->targets.end()
                 ? known->second
                 : std::make_shared<RelayTarget>(impl_->loop, impl_->resolver);
    target->configure(listener.settings);
  }
  impl_->targets = std::move(targets);
}

void TcpRelay::accept(net::Fd fd, const Endpoint& peer, const Listener& listener) {
  const auto target = impl_->targets.find(listener.settings.name);
  if (impl_->draining || target == impl_->targets.end()) return;
  ++impl_->counts.accepted;
  const bool proxied = contains(listener.settings.forwarded.trusted_proxies, peer.ip);
  auto session =
      std::make_unique<RelaySession>(impl_->shared, std::move(fd), peer, target->second, proxied);
  RelaySession& started = *session;
  started.index = impl_->sessions.size();
  impl_->sessions.push_back(std::move(session));
  impl_->check_idle_every(started.idle_ms());
  started.start();
}

void TcpRelay::drain() { impl_->draining = true; }

void TcpRelay::cut() { impl_->end_all(); }

std::size_t TcpRelay::connections() const { return impl_->sessions.size(); }

RelayCounts TcpRelay::counts() const {
  RelayCounts counts = impl_->counts;
  counts.connections = impl_->sessions.size();
  counts.bytes_in = impl_->shared.bytes_in;
  counts.bytes_out = impl_->shared.bytes_out;
  for (const auto& [name, target] : impl_->targets) {
    for (const auto& backend : target->backends()) counts.backends.push_back(backend->counts());
  }
  return counts;
}

}  // namespace postern::gateway
