#include "gateway/backend.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "gateway/health_probe.h"
#include "http/weights.h"

namespace postern::gateway {
namespace {

constexpr std::uint64_t kDownMs = 1000;
constexpr std::uint64_t kDownMaxMs = 30'000;
constexpr unsigned kUnansweredMax = 3;
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
      addresses_(context, url_, [this] { addresses_settled(); }),
      late_(context.loop, [this] { try_late(); }) {
  counts_.backend = text_;
  speaks_h2_ = url.scheme == http::BackendScheme::kH2c;
  check_addresses();
}

Backend::~Backend() {
  for (Waiting* waiting : waiting_) waiting->backend_ = nullptr;
}

void Backend::use_tls_of(const Site& site) {
  tls_ = site.backend_tls;
  tls_h2_ = site.backend_tls_h2;
}

void Backend::forget(const Waiting& waiting) { std::erase(waiting_, &waiting); }

// --- a connection for a request

std::unique_ptr<Backend::Waiting> Backend::request(BackendEvents& events, const BackendWish& wish) {
  ++counts_.requests;
  if (wish.http1_only && !can_upgrade()) {
    events.backend_failed(BackendFailure::kNoUpgrade, "an upgrade to an h2c:// backend", false);
    return nullptr;
  }
  // Also while there are connections: the service may have moved, and another one may be there.
  if (addresses_.empty() || addresses_.is_due()) addresses_.look_up();
  BackendConnection* const connection = addresses_.are_old() ? nullptr : take_open(wish);
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
  return shared == nullptr && !wish.fresh ? take_kept(wish) : shared;
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
  const std::uint64_t now = context_.loop.now_ms();
  for (BackendConnection* connection : shared_) {
    if (!connection->has_room()) continue;
    const BackendAddress* const address = addresses_.find(connection->endpoint());
    if (address == nullptr || address->is_sick()) continue;
    if (address->is_resting(now) && addresses_.any_well()) continue;
    // What came may be its end.
    if (wish.must_be_open && connection->is_idle() && connection->has_input()) continue;
    return connection;
  }
  return nullptr;
}

void Backend::serve(BackendConnection& connection, BackendEvents& events, bool reused) {
  ++in_use_;
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
  BackendEvents& events = waiting->events_;
  serve(connection, events, connection.requests() > 0);
  return true;
}

// As many connections are opened as there are requests that no other one will take.
void Backend::open_for_waiting() {
  if (!waiting_.empty() && addresses_.are_old()) return addresses_.look_up();
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
  Error last{Code::kNotFound, "no address passes its health check"};
  while (BackendAddress* const address = addresses_.choose(tried)) {
    tried |= address->bit;
    const BackendPlace place{url_, address->endpoint, tls(http1_only)};
    auto connection = BackendConnection::open(context_, *this, place, {http1_only, tried});
    if (connection) {
      lacks_file_ = false;
      ++counts_.connects;
      ++connecting_;
      ++address->connections;
      connections_.push_back(std::move(*connection));
      return true;
    }
    last = connection.error();
    lacks_file_ = last.code == Code::kLimit;
    if (lacks_file_) {  // the backend has no part in it
      context_.note_no_file(text_);
      return false;
    }
    mark_down(address->endpoint, last.detail);
  }
  fail_waiting(BackendFailure::kRefused, last.detail, 1);
  return false;
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
  takes_connections(connection.endpoint());
  if (connection.is_h2()) {
    speaks_h2_ = true;
    shared_.push_back(&connection);
  } else if (url_.scheme == http::BackendScheme::kHttps && !connection.notes().http1_only) {
    speaks_h2_ = false;
  }
  available(connection);
  open_for_waiting();
}

void Backend::connect_failed(BackendConnection& connection, const Error& error) {
  --connecting_;
  const auto [http1_only, tried] = connection.notes();
  mark_down(connection.endpoint(), error.detail);
  remove(connection);
  if (waiting_.empty()) return;
  if (addresses_.choose(tried) != nullptr) {
    open_connection(http1_only, tried);
    return;
  }
  // HTTP/2: all were waiting for this one.
  fail_waiting(failure_of(error), error.detail, speaks_h2_ ? waiting_.size() : 1);
  open_for_waiting();
}

void Backend::available(BackendConnection& connection) {
  const bool left = is_left(connection);
  const bool is_last = left && connection.requests() > 0;
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
  if (left || kept_.size() >= kKeptMax || context_.draining || context_.files_short()) {
    connection.close();
    return;
  }
  connection.keep(context_.loop.now_ms());
  kept_.push_back(&connection);
}

void Backend::request_over(bool failed) {
  --in_use_;
  if (failed) ++counts_.failures;
}

void Backend::closed(BackendConnection& connection) {
  remove(connection);
  if (lacks_file_) return open_late();
  if (!waiting_.empty()) open_for_waiting();
}

void Backend::remove(BackendConnection& connection) {
  std::erase(kept_, &connection);
  std::erase(shared_, &connection);
  if (BackendAddress* const address = addresses_.find(connection.endpoint())) {
    --address->connections;
  }
  const auto is_it = [&](const auto& owned) { return owned.get() == &connection; };
  const auto found = std::find_if(connections_.begin(), connections_.end(), is_it);
  if (found == connections_.end()) return;
  std::swap(*found, connections_.back());
  context_.graveyard.bury(std::move(connections_.back()));
  connections_.pop_back();
}

bool Backend::is_left(const BackendConnection& connection) {
  const BackendAddress* const address = addresses_.find(connection.endpoint());
  return address == nullptr || address->is_sick();
}

// --- how it fares

std::string Backend::text_at(const Endpoint& address) const {
  return url_.is_address ? text_ : fmt::format("{} at {}", text_, address.to_string());
}

void Backend::mark_down(const Endpoint& endpoint, std::string_view why) {
  const std::uint64_t now = context_.loop.now_ms();
  if (BackendAddress* const address = addresses_.find(endpoint)) {
    address->refuses_until_ms = now + pause_ms(address->refused);
    if (address->refused++ == 0) log_warning("backend_down", "{}: {}", text_at(endpoint), why);
  }
  if (!addresses_.any_well()) counts_.failed_ms = now;
}

void Backend::answered(const Endpoint& endpoint) {
  counts_.answered_ms = context_.loop.now_ms();
  BackendAddress* const address = addresses_.find(endpoint);
  if (address == nullptr || address->unanswered == 0) return;
  if (address->unanswered >= kUnansweredMax) {
    log_info("backend_up", "{} answers again", text_at(endpoint));
  }
  address->unanswered = 0;
  address->silent_until_ms = 0;
}

void Backend::gave_no_answer(const Endpoint& endpoint, std::string_view why) {
  const std::uint64_t now = context_.loop.now_ms();
  BackendAddress* const address = addresses_.find(endpoint);
  // Those that were under way are no news, and many on one connection count as one.
  if (address == nullptr || now < address->silent_until_ms ||
      now == std::exchange(address->unanswered_at_ms, now)) {
    return;
  }
  if (++address->unanswered < kUnansweredMax) return;
  const unsigned again = address->unanswered - kUnansweredMax;
  address->silent_until_ms = now + pause_ms(again);
  if (!addresses_.any_well()) counts_.unanswered_ms = now;
  if (again == 0) {
    log_warning("backend_down", "{}: {} requests in a row were not answered: {}", text_at(endpoint),
                kUnansweredMax, why);
  }
  close_kept(endpoint);
}

void Backend::takes_connections(const Endpoint& endpoint) {
  counts_.connected_ms = context_.loop.now_ms();
  BackendAddress* const address = addresses_.find(endpoint);
  if (address == nullptr) return;
  if (address->refused != 0) {
    log_info("backend_up", "{} takes connections again", text_at(endpoint));
  }
  address->refused = 0;
  address->refuses_until_ms = 0;
}

// Who waits for a connection to it goes elsewhere.
void Backend::fell_sick(const Endpoint& address) {
  std::vector<BackendConnection*> connecting;
  for (const auto& connection : connections_) {
    if (!connection->is_connecting() || connection->endpoint() != address) continue;
    --connecting_;
    connecting.push_back(connection.get());
  }
  close_unused(connecting);
  close_kept(address);
}

void Backend::close_kept(const Endpoint& address) {
  std::vector<BackendConnection*> kept;
  for (BackendConnection* connection : kept_) {
    if (connection->endpoint() == address) kept.push_back(connection);
  }
  close_unused(kept);
}

void Backend::close_unused(std::span<BackendConnection* const> connections) {
  for (BackendConnection* connection : connections) {
    if (connection->is_idle()) connection->close();
  }
}

bool Backend::fails_health_check() const {
  return !health_.path.empty() && (addresses_.is_without() || addresses_.all_sick());
}

bool Backend::healthy() const {
  if (!addresses_.empty()) return addresses_.any_well();
  return !addresses_.is_without() || (addresses_.is_due() && health_.path.empty());
}

// --- addresses

void Backend::check_addresses() {
  if (health_.path.empty()) return;
  for (BackendAddress& address : addresses_.all()) {
    if (address.probe != nullptr) continue;
    address.probe = std::make_unique<HealthProbe>(*this, address.endpoint);
  }
}

void Backend::addresses_settled() {
  check_addresses();
  leave_addresses();
  if (std::exchange(was_without_, addresses_.empty()) != addresses_.empty()) tell_whether_found();
  if (!addresses_.empty()) return go_on();
  counts_.failed_ms = context_.loop.now_ms();
  fail_waiting(BackendFailure::kNoAddress, addresses_.lookup_error(), waiting_.size());
}

void Backend::tell_whether_found() const {
  if (was_without_) {
    log_warning("backend_down", "{}: {}", text_, addresses_.lookup_error());
  } else {
    log_info("backend_up", "{} has an address again", text_);
  }
}

// Those that the name does not have any more.
void Backend::leave_addresses() {
  for (BackendAddress& address : addresses_.all()) address.connections = 0;
  std::vector<BackendConnection*> left;
  for (const auto& connection : connections_) {
    BackendAddress* const address = addresses_.find(connection->endpoint());
    if (address != nullptr) {
      ++address->connections;
    } else if (connection->is_connecting()) {
      --connecting_;
      left.push_back(connection.get());
    }
  }
  for (BackendConnection* connection : kept_) {
    if (addresses_.find(connection->endpoint()) == nullptr) left.push_back(connection);
  }
  close_unused(left);
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
  // Requests have the others looked up.
  if (!health_.path.empty() && addresses_.is_due()) addresses_.look_up();
  if (context_.files_short()) close_idle();
  std::vector<BackendConnection*> old;
  for (BackendConnection* connection : kept_) {
    if (connection->kept_since_ms() + kKeptIdleMs <= now_ms) old.push_back(connection);
  }
  for (BackendConnection* connection : shared_) {
    const bool unused =
        context_.files_short() || connection->kept_since_ms() + kKeptIdleMs <= now_ms;
    if (connection->is_idle() && (unused || is_left(*connection))) old.push_back(connection);
  }
  close_unused(old);
  for (std::size_t i = connections_.size(); i > 0; --i) {
    if (i <= connections_.size()) connections_[i - 1]->check(now_ms);
  }
}

void Backend::close_idle() {
  const std::vector<BackendConnection*> kept = kept_;
  close_unused(kept);
}

BackendCounts Backend::counts() const {
  BackendCounts counts = counts_;
  counts.probe_fails = fails_health_check();
  counts.connections = connections_.size();
  counts.idle = kept_.size();
  counts.left_out = static_cast<std::uint64_t>(
      std::count_if(addresses_.all().begin(), addresses_.all().end(),
                    [now = context_.loop.now_ms()](const auto& one) { return !one.is_well(now); }));
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
