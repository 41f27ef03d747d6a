// The time that an exchange may take.
#include <algorithm>

#include "gateway/exchange.h"

namespace postern::gateway {
namespace {

constexpr std::uint64_t kUpgradedIdleMs = 3'600'000;
constexpr std::uint64_t kUnroutedIdleMs = 60'000;  // what was answered without a route
constexpr std::string_view kBackendLimit = "timeouts.backend";
constexpr std::string_view kIdleLimit = "timeouts.idle";
// For the client, once the backend has ended what was upgraded.
constexpr std::uint64_t kHalfClosedIdleMs = 30'000;
constexpr std::string_view kHalfClosedLimit = "the client did not end what its backend had ended";

}  // namespace

// The one that comes first.
std::optional<Exchange::TimeLimit> Exchange::next_limit() const {
  const http::TimeoutSettings& timeouts = settings().timeouts;
  const auto left = [](std::uint64_t limit, std::uint64_t passed) {
    return limit - std::min(limit, passed);
  };
  std::optional<TimeLimit> next;
  if (timeouts.request_ms != 0) {
    const std::uint64_t passed = (context_.loop.now_us() - begun_us_) / 1000;
    next = {left(timeouts.request_ms, passed), "timeouts.request"};
  }
  if (timeouts.backend_ms == 0 || responded_) return next;
  // A backend's time begins when it has the whole request.
  const std::uint64_t waited = request_done_ ? now_ms() - request_done_ms_ : 0;
  const TimeLimit backend{left(timeouts.backend_ms, waited), kBackendLimit};
  return next && next->left_ms <= backend.left_ms ? next : backend;
}

void Exchange::start_timer() {
  const auto limit = next_limit();
  if (!limit) return;
  timer_ = std::make_unique<net::Timer>(context_.loop, [this] { timed_out(); });
  timer_->start_once(limit->left_ms);
}

void Exchange::timed_out() {
  const auto limit = next_limit();
  if (!limit) return;
  if (limit->left_ms != 0) return timer_->start_once(limit->left_ms);
  if (limit->name == kBackendLimit) {
    note_silence(limit->name);
  } else if (backend_ != nullptr) {
    backend_->count_failure();
  }
  fail(504, "The backend did not answer in time.", limit->name);
}

// The backend has the whole request and has said nothing.
void Exchange::note_silence(std::string_view limit) {
  if (stream_ == nullptr || !request_done_ || responded_) return;
  backend_->count_failure();
  backend_->gave_no_answer(stream_->address(), limit);
}

std::uint64_t Exchange::idle_limit_ms() const {
  return match_ ? settings().timeouts.idle_ms : kUnroutedIdleMs;
}

// Somebody reads slowly of what is held back.
void Exchange::note_unsent() {
  const std::size_t to_client = client_->unsent();
  const std::size_t to_backend = stream_ == nullptr ? 0 : stream_->unsent();
  client_->hold(to_client);
  hold_request();
  const std::size_t unsent = to_client + to_backend;
  const bool less = unsent + DeliveryWatch::kAtLeastBytes <= unsent_;
  if (less) touch();
  if (less || unsent > unsent_) unsent_ = unsent;
}

// Somebody reads slowly of what has left.
bool Exchange::watch_delivery(std::uint64_t idle_ms, std::uint64_t limit_ms) {
  if (std::exchange(watched_ms_, active_ms_) != active_ms_) {
    client_watch_.restart(client_->carrier());
    if (stream_ != nullptr) backend_watch_.restart(stream_->carrier());
  }
  const bool by_client = client_watch_.look(client_->carrier(), idle_ms, limit_ms);
  const bool by_backend =
      stream_ != nullptr && backend_watch_.look(stream_->carrier(), idle_ms, limit_ms);
  if (by_client || by_backend) touch();
  return by_client || by_backend;
}

void Exchange::check_idle(std::uint64_t now_ms) {
  if (over()) return;
  note_unsent();
  std::uint64_t limit = idle_limit_ms();
  // Nobody who leaves the key alone wants a chat to end after ten quiet minutes.
  if (upgraded_ && match_ && !settings().timeouts.idle_given) limit = kUpgradedIdleMs;
  const bool half_closed = upgraded_ && response_done_;
  if (half_closed) limit = limit == 0 ? kHalfClosedIdleMs : std::min(limit, kHalfClosedIdleMs);
  if (limit == 0 || watch_delivery(now_ms - active_ms_, limit) || now_ms < active_ms_ + limit)
    return;
  ++context_.counts.idle_timeouts;
  note_silence(kIdleLimit);
  unread_ = responded_ && client_->unsent() != 0;
  fail(504, "Nothing happened for too long.", half_closed ? kHalfClosedLimit : kIdleLimit);
}

}  // namespace postern::gateway
