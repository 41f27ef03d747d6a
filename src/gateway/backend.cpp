#include "gateway/backend.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "gateway/backend_connection.h"
#include "gateway/health_probe.h"
#include "http/weights.h"

namespace postern::gateway {
namespace {

constexpr std::uint64_t kDownMs = 1000;
constexpr std::uint64_t kDownMaxMs = 30'000;
constexpr unsigned kUnansweredMax = 3;
constexpr std::uint64_t kResolveAgainMs = 5000;  // after a failure
constexpr std::size_t kAddressesMax = 32;
constexpr std::uint64_t kNoFileMs = 5000;

BackendFailure failure_of(const Error& error) {
  switch (error.code) {
    case Code::kLimit:
      return BackendFailure::kTimeout;
    case Code::kInvalid:
    case Code::kMalformed:
      return BackendFailure::kNotSpoken;
    default:
      return BackendFailure::kRefused;
  }
}

/// How long one is left out after so many failures before this one.
std::uint64_t pause_ms(unsigned failures) {
  return std::min(kDownMs << std::min(failures, 5U), kDownMaxMs);
}

}  // namespace

Backend::Waiting::Waiting(Backend& backend, BackendEvents& events, const BackendWish& wish)
    : backend_(&backend), events_(events), wish_(wish), since_ms_(backend.context_.loop.now_ms()) {
  backend.waiting_.push_back(this);
}

Backend::Waiting::~Waiting() {
  if (backend_ != nullptr) backend_->forget(*this);
}

Backend::Backend(Context& context, const http::BackendUrl& url, const http::HealthSettings& health)
    : context_(context),
      url_(url),
      text_(url.to_string()),
      name_id_(context.requests.name_id(text_)),
      health_(health),
      late_(context.loop, [this] { try_late(); }) {
  counts_.backend = text_;
  speaks_h2_ = url.scheme == http::BackendScheme::kH2c;
  if (url_.is_address) {
    addresses_.push_back({{*IpAddress::parse(url_.host), url_.port}});
    addresses_until_ms_ = ~std::uint64_t{0};
  }
  if (!health_.path.empty()) probe_ = std::make_unique<HealthProbe>(*this, health_);
}

Backend::~Backend() {
  probe_.reset();
  for (Waiting* waiting : waiting_) waiting->backend_ = nullptr;
}

void Backend::use_tls_of(const Site& site) {
  tls_ = site.backend_tls;
  tls_h2_ = site.backend_tls_h2;
}

void Backend::forget(const Waiting& waiting) { std::erase(waiting_, &waiting); }

// --- a connection for a request

std::unique_ptr<Backend::Waiting> Backend::request(BackendEvents& events, const BackendWish& wish) {
  if (!wish.probe) ++counts_.requests;
  if (wish.http1_only && url_.scheme == http::BackendScheme::kH2c) {
    events.backend_failed(BackendFailure::kNoUpgrade, "an upgrade to an h2c:// backend", false);
    return nullptr;
  }
  // Also while there are connections: the service may have moved, and another one may be there.
  if (addresses_.empty() || context_.loop.now_ms() >= addresses_until_ms_) resolve();
  BackendConnection* const connection = are_addresses_old() ? nullptr : take_open(wish);
  if (connection != nullptr) {
    ++counts_.reused;
    serve(*connection, events, true);
    return nullptr;
  }
  if (waiting_.size() >= kWaitingMax) {
    ++counts_.failures;
    ++context_.counts.waiting_full;
    events.backend_failed(BackendFailure::kBusy, "too many requests wait for this backend", false);
    return nullptr;
  }
  auto waiting = std::make_unique<Waiting>(*this, events, wish);
  open_for_waiting();
  if (waiting->backend_ == nullptr) return nullptr;  // failed at once
  if (lacks_file_) ++context_.counts.no_file;
  return waiting;
}

BackendConnection* Backend::take_open(const BackendWish& wish) {
  BackendConnection* const shared = take_shared(wish);
  return shared == nullptr && !wish.fresh && !wish.probe ? take_kept(wish) : shared;
}

BackendConnection* Backend::take_kept(const BackendWish& wish) {
  while (!kept_.empty()) {
    BackendConnection* const connection = kept_.back();
    kept_.pop_back();
    if (!wish.must_be_open || !connection->has_input()) return connection;
    connection->close();
  }
  return nullptr;
}

BackendConnection* Backend::take_shared(const BackendWish& wish) {
  if (wish.http1_only) return nullptr;
  for (BackendConnection* connection : shared_) {
    if (!connection->has_room() || is_old(*connection)) continue;
    // What came may be its end.
    if (wish.must_be_open && connection->is_idle() && connection->has_input()) continue;
    return connection;
  }
  return nullptr;
}

void Backend::serve(BackendConnection& connection, BackendEvents& events, bool reused) {
  begin_use();
  connection.serve(events, reused);
}

// One that waits and can use this connection gets it.
bool Backend::serve_waiting(BackendConnection& connection) {
  const auto fits = [&](const Waiting* waiting) {
    return !waiting->wish_.http1_only || !connection.is_h2();
  };
  const auto first = std::find_if(waiting_.begin(), waiting_.end(), fits);
  if (first == waiting_.end()) return false;
  Waiting* const waiting = *first;
  waiting_.erase(first);
  waiting->backend_ = nullptr;
  passed_on_ms_ = context_.loop.now_ms();
  if (waiting->wish_.probe && !connection.is_h2()) connection.make_last();
  BackendEvents& events = waiting->events_;
  serve(connection, events, connection.requests() > 0);
  return true;
}

// As many connections are opened as there are requests that no other one will take.
void Backend::open_for_waiting() {
  if (!waiting_.empty() && are_addresses_old()) return resolve();
  while (!waiting_.empty()) {
    const bool one_is_enough = speaks_h2_ && !waiting_.back()->wish_.http1_only;
    const std::size_t wanted = one_is_enough ? 1 : waiting_.size();
    if (connecting_ >= wanted) return;
    if (connections_.size() >= kConnectionsMax) return;  // one that is given back will do
    open_connection(waiting_.back()->wish_.http1_only, 0);
    if (lacks_file_) return;
  }
}

void Backend::open_late() {
  if (lacks_file_) late_.schedule();
}

void Backend::try_late() {
  open_for_waiting();
  if (waiting_.empty()) lacks_file_ = false;
  const std::uint64_t now = context_.loop.now_ms();
  if (!lacks_file_ || now < passed_on_ms_ + kNoFileMs) return;
  const auto has_time = [&](const Waiting* waiting) {
    return now < waiting->since_ms_ + kNoFileMs;
  };
  const auto end = std::find_if(waiting_.begin(), waiting_.end(), has_time);
  fail_waiting(BackendFailure::kBusy, "no file descriptor was left for a connection",
               static_cast<std::size_t>(end - waiting_.begin()));
}

bool Backend::open_connection(bool http1_only, std::uint64_t tried) {
  Error last{Code::kNotFound, "no address"};
  while (true) {
    const std::size_t index = choose_address(tried);
    if (index == addresses_.size()) break;
    tried |= std::uint64_t{1} << index;
    Address& address = addresses_[index];
    auto connection = BackendConnection::open(*this, address.endpoint, http1_only, tried);
    if (connection) {
      lacks_file_ = false;
      ++counts_.connects;
      ++connecting_;
      ++address.connections;
      connections_.push_back(std::move(*connection));
      return true;
    }
    last = connection.error();
    lacks_file_ = last.code == Code::kLimit;
    if (lacks_file_) {  // the backend has no part in it
      context_.note_no_file(text_);
      return false;
    }
    mark_down(address.endpoint, last.detail);
  }
  fail_waiting(BackendFailure::kRefused, last.detail, 1);
  return false;
}

// The one with the fewest connections of those that are up; when all are down, the one that has
// been down longest. addresses_.size() when all were tried.
std::size_t Backend::choose_address(std::uint64_t tried) const {
  const std::uint64_t now = context_.loop.now_ms();
  const auto is_better = [&](const Address& a, const Address& b) {
    const bool a_up = a.down_until_ms <= now;
    const bool b_up = b.down_until_ms <= now;
    if (a_up != b_up) return a_up;
    return a_up ? a.connections < b.connections : a.down_until_ms < b.down_until_ms;
  };
  std::size_t best = addresses_.size();
  for (std::size_t i = 0; i < addresses_.size(); ++i) {
    if (((tried >> i) & 1) != 0) continue;
    if (best == addresses_.size() || is_better(addresses_[i], addresses_[best])) best = i;
  }
  return best;
}

// So many of those who have waited longest.
void Backend::fail_waiting(BackendFailure failure, std::string_view detail, std::size_t count) {
  const std::string text(detail);  // who is told may change what it refers to
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(count, waiting_.size()));
  std::vector<BackendEvents*> told;
  for (auto waiting = waiting_.begin(); waiting != end; ++waiting) {
    (*waiting)->backend_ = nullptr;
    told.push_back(&(*waiting)->events_);
  }
  waiting_.erase(waiting_.begin(), end);
  counts_.failures += told.size();
  for (BackendEvents* events : told) events->backend_failed(failure, text, false);
}

// --- from connections

void Backend::connected(BackendConnection& connection) {
  --connecting_;
  counts_.connected_ms = context_.loop.now_ms();
  if (Address* address = find(connection.endpoint())) {
    if (address->failures != 0) {
      log_info("backend_up", "{} at {} takes connections again", text_,
               address->endpoint.to_string());
    }
    address->failures = 0;
    address->down_until_ms = 0;
  }
  if (connection.is_h2()) {
    speaks_h2_ = true;
    shared_.push_back(&connection);
  } else if (url_.scheme == http::BackendScheme::kHttps && !connection.http1_only()) {
    speaks_h2_ = false;
  }
  available(connection);
  open_for_waiting();
}

void Backend::connect_failed(BackendConnection& connection, const Error& error) {
  --connecting_;
  const std::uint64_t tried = connection.tried();
  const bool http1_only = connection.http1_only();
  mark_down(connection.endpoint(), error.detail);
  remove(connection);
  if (waiting_.empty()) return;
  if (choose_address(tried) != addresses_.size() && addresses_.size() <= kAddressesMax) {
    open_connection(http1_only, tried);
    return;
  }
  // HTTP/2: all were waiting for this one.
  fail_waiting(failure_of(error), error.detail, speaks_h2_ ? waiting_.size() : 1);
  open_for_waiting();
}

void Backend::available(BackendConnection& connection) {
  const bool is_last = connection.requests() > 0 && is_old(connection);
  if (connection.is_h2()) {
    while (!is_last && connection.has_room() && serve_waiting(connection)) {
    }
    return;
  }
  if (is_last) {
    connection.close();
    return;
  }
  if (serve_waiting(connection)) return;
  if (kept_.size() >= kKeptMax || context_.draining || context_.files_short()) {
    connection.close();
    return;
  }
  connection.keep(context_.loop.now_ms());
  kept_.push_back(&connection);
}

void Backend::closed(BackendConnection& connection) {
  remove(connection);
  if (lacks_file_) return open_late();
  if (!waiting_.empty()) open_for_waiting();
}

void Backend::remove(BackendConnection& connection) {
  std::erase(kept_, &connection);
  std::erase(shared_, &connection);
  if (Address* address = find(connection.endpoint())) --address->connections;
  const auto is_it = [&](const auto& owned) { return owned.get() == &connection; };
  const auto found = std::find_if(connections_.begin(), connections_.end(), is_it);
  if (found == connections_.end()) return;
  std::swap(*found, connections_.back());
  context_.graveyard.bury(std::move(connections_.back()));
  connections_.pop_back();
}

Backend::Address* Backend::find(const Endpoint& endpoint) {
  const auto found = std::find_if(addresses_.begin(), addresses_.end(),
                                  [&](const Address& a) { return a.endpoint == endpoint; });
  return found == addresses_.end() ? nullptr : &*found;
}

bool Backend::is_old(const BackendConnection& connection) {
  return find(connection.endpoint()) == nullptr;
}

void Backend::mark_down(const Endpoint& endpoint, std::string_view why) {
  counts_.failed_ms = context_.loop.now_ms();
  Address* const address = find(endpoint);
  if (address == nullptr) return;
  address->down_until_ms = context_.loop.now_ms() + pause_ms(address->failures);
  if (address->failures++ == 0) {
    log_warning("backend_down", "{} at {}: {}", text_, endpoint.to_string(), why);
  }
}

void Backend::answered() {
  counts_.answered_ms = context_.loop.now_ms();
  if (unanswered_ == 0) return;
  if (unanswered_ >= kUnansweredMax) log_info("backend_up", "{} answers again", text_);
  unanswered_ = 0;
  resting_until_ms_ = 0;
}

void Backend::gave_no_answer(std::string_view why) {
  const std::uint64_t now = context_.loop.now_ms();
  // Those that were under way are no news, and many on one connection count as one.
  if (now < resting_until_ms_ || now == std::exchange(unanswered_at_ms_, now)) return;
  if (++unanswered_ < kUnansweredMax) return;
  const unsigned again = unanswered_ - kUnansweredMax;
  resting_until_ms_ = now + pause_ms(again);
  counts_.unanswered_ms = now;
  if (again == 0) {
    log_warning("backend_down", "{}: {} requests in a row were not answered: {}", text_,
                kUnansweredMax, why);
  }
}

bool Backend::unused() const {
  const std::size_t probes = probe_ != nullptr && probe_->is_asking() ? 1 : 0;
  return in_use_ + waiting_.size() <= probes;
}

bool Backend::fails_health_check() const { return probe_ != nullptr && !probe_->healthy(); }

bool Backend::healthy() const {
  const std::uint64_t now = context_.loop.now_ms();
  if (fails_health_check() || now < resting_until_ms_) return false;
  return addresses_.empty() || std::any_of(addresses_.begin(), addresses_.end(),
                                           [&](const auto& a) { return a.down_until_ms <= now; });
}

// --- addresses

// While nobody can say, they are not.
bool Backend::are_addresses_old() const {
  if (addresses_.empty()) return true;
  return !lookup_failed_ && context_.loop.now_ms() >= addresses_until_ms_;
}

void Backend::resolve() {
  if (resolving_ != nullptr) return;
  resolving_ = context_.resolver.resolve(
      url_.host, [this](Result<ResolvedHost> result) { resolved(std::move(result)); });
}

void Backend::resolved(Result<ResolvedHost> result) {
  context_.graveyard.bury(std::move(resolving_));
  const std::uint64_t now = context_.loop.now_ms();
  addresses_until_ms_ = now + (result ? std::uint64_t{result->ttl_s} * 1000 : kResolveAgainMs);
  lookup_failed_ = !result;
  if (result) {
    take_addresses(*result);
  } else if (result.error().code == Code::kNotFound) {  // RFC 8767 section 4
    take_addresses({});
  }
  if (!addresses_.empty()) return go_on();
  counts_.failed_ms = now;
  fail_waiting(BackendFailure::kNoAddress, result ? "" : result.error().detail, waiting_.size());
}

void Backend::take_addresses(const ResolvedHost& host) {
  std::vector<Address> next;
  for (const IpAddress& ip : host.addresses) {
    const Endpoint endpoint{ip, url_.port};
    if (next.size() == kAddressesMax) break;
    const Address* const known = find(endpoint);
    next.push_back(known != nullptr ? *known : Address{endpoint});
    next.back().connections = 0;
  }
  addresses_ = std::move(next);
  for (const auto& connection : connections_) {
    if (Address* address = find(connection->endpoint())) ++address->connections;
  }
  std::vector<BackendConnection*> old;
  for (BackendConnection* connection : kept_) {
    if (is_old(*connection)) old.push_back(connection);
  }
  for (const auto& connection : connections_) {
    if (!connection->is_connecting() || !is_old(*connection)) continue;
    --connecting_;
    old.push_back(connection.get());
  }
  for (BackendConnection* connection : old) connection->close();
}

void Backend::go_on() {
  for (std::size_t i = 0; i < waiting_.size();) {
    Waiting* const waiting = waiting_[i];
    BackendConnection* const connection = take_open(waiting->wish_);
    if (connection == nullptr) {
      ++i;
      continue;
    }
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    waiting->backend_ = nullptr;
    ++counts_.reused;
    serve(*connection, waiting->events_, true);
  }
  open_for_waiting();
}

void Backend::sweep(std::uint64_t now_ms) {
  if (context_.files_short()) close_idle();
  std::vector<BackendConnection*> old;
  for (BackendConnection* connection : kept_) {
    if (connection->kept_since_ms() + kKeptIdleMs <= now_ms) old.push_back(connection);
  }
  for (BackendConnection* connection : shared_) {
    const bool unused =
        context_.files_short() || connection->kept_since_ms() + kKeptIdleMs <= now_ms;
    if (connection->is_idle() && (unused || is_old(*connection))) old.push_back(connection);
  }
  for (BackendConnection* connection : old) connection->close();
  const std::vector<BackendConnection*> shared = shared_;
  for (BackendConnection* connection : shared) connection->check(now_ms);
}

void Backend::close_idle() {
  const std::vector<BackendConnection*> kept = kept_;
  for (BackendConnection* connection : kept) connection->close();
}

BackendCounts Backend::counts() const {
  BackendCounts counts = counts_;
  counts.probe_fails = fails_health_check();
  counts.connections = connections_.size();
  counts.idle = kept_.size();
  return counts;
}

std::optional<std::size_t> choose_backend(std::span<const std::shared_ptr<Backend>> backends,
                                          std::span<const http::BackendSettings> settings,
                                          std::uint64_t random, std::uint64_t tried) {
  const std::size_t count = std::min(backends.size(), http::kBackendsMax);
  const auto may_be_asked = [&](std::size_t i) {
    return ((tried >> i) & 1) == 0 && settings[i].weight != 0 && !backends[i]->fails_health_check();
  };
  if (count == 1) return may_be_asked(0) ? std::optional<std::size_t>(0) : std::nullopt;
  std::array<std::uint32_t, http::kBackendsMax> weights{};
  bool equal = true;
  for (const bool only_healthy : {true, false}) {
    std::uint32_t first = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const bool allowed = may_be_asked(i) && (!only_healthy || backends[i]->healthy());
      weights[i] = allowed ? settings[i].weight : 0;
      if (weights[i] == 0) continue;
      if (first == 0) first = weights[i];
      equal = equal && weights[i] == first;
    }
    if (first != 0) break;
  }
  const std::span<const std::uint32_t> all(weights.data(), count);
  const auto picked = http::pick_weighted(all, random);
  if (!picked || !equal) return picked;
  std::size_t best = *picked;
  for (std::size_t i = 0; i < count; ++i) {
    if (weights[i] != 0 && backends[i]->load() < backends[best]->load()) best = i;
  }
  return best;
}

}  // namespace postern::gateway
