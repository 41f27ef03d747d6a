#include "gateway/exchange.h"

#include <algorithm>
#include <array>
#include <utility>

#include "gateway/loop_mark.h"
#include "http/header_filter.h"

namespace postern::gateway {
namespace {

constexpr unsigned kAttemptsMax = 3;
// A backend that reports progress in 1xx responses is fine, one that floods is not.
constexpr unsigned kInterimsMax = 100;
constexpr std::uint64_t kInterimsMs = 1'000;
constexpr std::size_t kMemoryKeptBytes = 16U << 10;
// Of a request under way, both sides together, without its fields and bodies.
constexpr std::size_t kRequestBytes = 5U << 10;
constexpr std::string_view kMemoryShort = "The gateway has no memory left for this request.";

bool is_empty(http::BodyLength body) {
  return body.kind == http::BodyLength::Kind::kNone ||
         (body.kind == http::BodyLength::Kind::kKnown && body.bytes == 0);
}

// As bits, for choose_backend(); none when all are so.
std::uint64_t without_upgrades(std::span<const std::shared_ptr<Backend>> backends) {
  std::uint64_t found = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < backends.size(); ++i) {
    if (backends[i]->can_upgrade()) continue;
    found |= std::uint64_t{1} << i;
    ++count;
  }
  return count == backends.size() ? 0 : found;
}

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS";
}

struct FailureText {
  std::uint16_t status;
  std::string_view text;
};

FailureText text_of(BackendFailure failure) {
  switch (failure) {
    case BackendFailure::kNoUpgrade:
      return {501, "The backend can't be spoken to in this protocol."};
    case BackendFailure::kNotSpoken:
      return {502, "The backend can be reached, but not spoken with."};
    case BackendFailure::kTimeout:
      return {504, "The backend did not answer in time."};
    case BackendFailure::kClosed:
    case BackendFailure::kReset:
    case BackendFailure::kMalformed:
    case BackendFailure::kHeadTooLarge:
    case BackendFailure::kUnprocessed:
      return {502, "The backend gave no valid answer."};
    default:
      return {503, "No backend can be reached."};
  }
}

}  // namespace

Exchange::Exchange(Context& context) : HeldBytes(context.memory), context_(context) {}

Exchange::~Exchange() {
  leave_backend();
  context_.memory.give_back(taken_);
}

void Exchange::clear() {
  leave_backend();
  let_go();
  context_.memory.give_back(std::exchange(taken_, 0));
  charged_ = 0;
  client_ = nullptr;
  info_ = nullptr;
  listener_ = nullptr;
  match_ = {};
  site_.reset();
  request_.clear();
  response_.clear();
  memory_.clear();
  if (memory_.capacity() > kMemoryKeptBytes) memory_.shrink_to_fit();
  pending_ = {};
  trailers_.reset();
  host_ = nullptr;
  backend_.reset();
  timer_.reset();
  attempts_ = interims_ = 0;
  interims_since_ms_ = 0;
  tried_ = 0;
  request_done_ = request_end_pending_ = request_stopped_ = body_sent_ = false;
  response_begun_ = response_stopped_ = responded_ = response_done_ = false;
  last_failure_ = BackendFailure::kNone;
  extended_connect_ = upgraded_ = loop_marked_ = unread_ = false;
  status_ = 0;
  first_byte_us_ = received_ = sent_ = 0;
  unsent_ = 0;
  failure_.clear();
  client_address_.clear();
}

// --- the request

void Exchange::start(ClientSide& client, const ClientInfo& info, std::string_view protocol) {
  client_ = &client;
  info_ = &info;
  site_ = info.site;
  listener_ = info.listener;
  protocol_ = protocol;
  target_ = request_.path;
  begun_us_ = context_.loop.now_us();
  touch();
  client_address_ = info.peer.trusted ? claimed_address() : info.peer.text;
}

void Exchange::begin(ClientSide& client, const ClientInfo& info, std::string_view protocol,
                     http::BodyLength body) {
  start(client, info, protocol);
  request_length_ = body;
  request_done_ = is_empty(body);
  request_done_ms_ = active_ms_;
  settle_upgrade();
  if (!has_memory() || !is_sane() || redirect_to_https() || !set_own_fields()) return;
  if (!find_route() || answer_by_route()) return;
  filter_request();
  if (over()) return;
  start_timer();
  ask_backend();
}

bool Exchange::has_memory() {
  const std::size_t bytes = kRequestBytes + head_bytes();
  const bool room = context_.memory.has_room(bytes);
  charged_ = bytes;
  hold_request();
  if (room) return true;
  context_.note_memory_short(1);
  answer(503, kMemoryShort, "memory short");
  return false;
}

// It can be given up when it is large, or when the client is waited for: not for the answer, nor
// when that has begun (a WebSocket, gRPC).
void Exchange::hold_request() {
  const bool owed = !request_done_ && !responded_;
  const bool goes = owed || charged_ > MemoryBudget::kSmallBytes;
  context_.memory.give_back(std::exchange(taken_, 0));
  hold(pending_.size() + (stream_ == nullptr ? 0 : stream_->unsent()) + (goes ? charged_ : 0));
  if (goes) return;
  taken_ = charged_;
  context_.memory.take(taken_);
}

std::uint64_t Exchange::moved() const {
  return received_ + sent_ + (stream_ == nullptr ? 0 : stream_->carrier().acknowledged_total());
}

void Exchange::give_up_held() {
  if (!over()) fail(503, kMemoryShort, "memory short");
}

void Exchange::refuse(ClientSide& client, const ClientInfo& info, std::string_view protocol,
                      std::uint16_t status, std::string_view reason) {
  start(client, info, protocol);
  answer(status, reason, reason);
}

void Exchange::reject(ClientSide& client, const ClientInfo& info, std::string_view protocol,
                      std::string_view reason) {
  start(client, info, protocol);
  failure_ = reason;
  account();
  client_ = nullptr;
}

void Exchange::ask_backend() {
  const auto& backends = site_->backends[match_.route->index];
  const std::uint64_t left_out = request_.protocol.empty() ? 0 : without_upgrades(backends);
  const auto chosen =
      choose_backend(backends, settings().backends, context_.random.next(), tried_ | left_out);
  if (!chosen) {
    const FailureText answer_text = text_of(last_failure_);
    const bool unwell = std::any_of(backends.begin(), backends.end(), [](const auto& backend) {
      return backend->fails_health_check();
    });
    const std::string_view why = unwell ? "no backend passes its health check" : "no backend";
    fail(answer_text.status, answer_text.text, failure_.empty() ? why : failure_);
    return;
  }
  if (*chosen < 64) tried_ |= std::uint64_t{1} << *chosen;
  ++attempts_;
  backend_ = backends[*chosen];
  if (attempts_ > 1) backend_->count_retry();
  BackendWish wish;
  wish.http1_only = !request_.protocol.empty();
  wish.must_be_open = !is_idempotent(request_.method) || !is_empty(request_length_);
  wish.fresh = attempts_ > 1;
  // It may have been answered, and this object used for the next request, when this returns.
  if (auto waiting = backend_->request(*this, wish)) waiting_ = std::move(waiting);
}

void Exchange::request_body(Bytes chunk) {
  if (over()) return;
  touch();
  received_ += chunk.size();
  context_.counts.bytes_received += chunk.size();
  const std::uint64_t limit = match_ && !upgraded_ ? settings().body_bytes_max : 0;
  if (limit != 0 && received_ > limit) {
    ++context_.counts.body_too_large;
    fail(413, "The body of this request is too large.", "body too large");
    return;
  }
  const bool tunnel_waits = !request_.protocol.empty() && !upgraded_;
  if (stream_ == nullptr || tunnel_waits) {
    pending_.insert(pending_.end(), chunk.begin(), chunk.end());
    hold_request();
    if (!std::exchange(request_stopped_, true)) client_->stop_request();
    return;
  }
  body_sent_ = true;
  stream_->send_body(chunk);
  if (stream_ == nullptr) return;
  const std::size_t unsent = stream_->unsent();
  if (unsent <= kBodyHeldBytes) return;
  hold_request();
  if (!std::exchange(request_stopped_, true)) client_->stop_request();
}

void Exchange::request_end(const http::Fields& trailers) {
  if (over()) return;
  touch();
  request_done_ = true;
  request_done_ms_ = active_ms_;
  if (response_done_) {
    finish(false);
    return;
  }
  const bool tunnel_waits = !request_.protocol.empty() && !upgraded_;
  const bool waits = stream_ == nullptr || tunnel_waits || !pending_.empty();
  // It may have to be sent, or once more.
  if (trailers.size() != 0) {
    trailers_ = std::make_unique<http::OwnedFields>(trailers);
    charged_ += trailers_->arena.bytes();
    http::remove_claims(trailers_->fields, listener_->settings.forwarded);
  }
  hold_request();
  if (waits) {
    request_end_pending_ = true;
    return;
  }
  stream_->send_end(trailers_ ? trailers_->fields : no_fields());
}

void Exchange::send_pending() {
  if (!pending_.empty()) {
    const std::vector<std::uint8_t> body = std::exchange(pending_, {});
    body_sent_ = true;
    stream_->send_body(body);
    if (stream_ == nullptr) return;
  }
  if (std::exchange(request_end_pending_, false)) {
    stream_->send_end(trailers_ ? trailers_->fields : no_fields());
    if (stream_ == nullptr) return;
  }
  if (request_stopped_ && stream_->unsent() <= kBodyHeldBytes) {
    request_stopped_ = false;
    client_->resume_request();
  }
}

void Exchange::client_drained() {
  if (over()) return;
  touch();
  if (std::exchange(response_stopped_, false) && stream_ != nullptr) stream_->resume_response();
}

void Exchange::client_gone(std::string_view why) {
  if (over()) return;
  if (!upgraded_) {
    failure_ = why;
    ++context_.counts.aborted_by_client;
  }
  account();
  leave_backend();
  client_ = nullptr;
}

void Exchange::client_failed(std::uint16_t status, std::string_view reason) {
  if (over()) return;
  fail(status, "The body of this request is not valid.", reason);
}

// --- the backend

void Exchange::backend_ready(BackendStream& stream) {
  stream_ = &stream;
  waiting_.reset();
  touch();
  if (stream.leads_here() && !std::exchange(loop_marked_, true)) {
    request_.fields.add(kLoopField, loop_mark());
  }
  stream.send_head(request_, request_length_);
  const bool tunnel_waits = !request_.protocol.empty();
  if (stream_ == nullptr || tunnel_waits) return;
  send_pending();
}

http::ResponseHead& Exchange::response_head() { return response_; }

bool Exchange::too_many_interims() {
  if (active_ms_ >= interims_since_ms_ + kInterimsMs) {
    interims_since_ms_ = active_ms_;
    interims_ = 0;
  }
  return ++interims_ > kInterimsMax;
}

void Exchange::interim_response() {
  touch();
  response_begun_ = true;
  if (too_many_interims()) {
    ++context_.counts.aborted_by_backend;
    fail(502, "The backend gave no valid answer.", "too many interim responses");
    return;
  }
  if (!http::remove_hop_by_hop(response_.fields, false)) response_.fields.clear();
  if (listener_->settings.alt_svc != http::AltSvc::kPass) {
    note_alt_svc();
    response_.fields.remove("alt-svc");
  }
  if (response_.status != 101 && !over()) client_->send_interim(response_);
  response_.clear();
}

bool Exchange::filter_response() {
  if (!http::remove_hop_by_hop(response_.fields, false)) return false;
  http::apply(settings().filters.response, response_.fields);
  if (listener_->settings.alt_svc != http::AltSvc::kPass) note_alt_svc();
  add_own_fields();
  return true;
}

void Exchange::refuse_answer(std::string_view why) {
  backend_->gave_no_answer(stream_->address(), why);
  fail(502, "The backend gave no valid answer.", why);
}

void Exchange::response(http::BodyLength body) {
  touch();
  response_begun_ = true;
  const std::uint16_t status = response_.status;
  const bool is_final = (status >= 200 && status <= 599) || status == 101;
  if (!is_final || (status == 101 && request_.protocol.empty())) {
    return refuse_answer("a status that was not asked for");
  }
  // RFC 9110 section 7.8
  if (status == 101 && !http::same_name(response_.protocol, request_.protocol)) {
    return refuse_answer("another protocol than was asked for");
  }
  if (extended_connect_ && status >= 200 && status <= 299) {
    // An answer it is, to what only the client asked for.
    backend_->answered(stream_->address());
    fail(502, "The backend gave no valid answer.", "the backend did not switch protocols");
    return;
  }
  if (!filter_response()) return refuse_answer("too many connection options");
  backend_->answered(stream_->address());
  failure_.clear();  // of an attempt before this one
  if (response_.status == 101) accept_upgrade(&body);
  first_byte_us_ = context_.loop.now_us();
  status_ = response_.status;
  count_status(status_);
  responded_ = true;
  client_->send_head(response_, body);
  if (upgraded_ && !over()) open_tunnel();
}

// To an HTTP/2 client the answer to an extended CONNECT is a 200 (RFC 8441 section 5).
void Exchange::accept_upgrade(http::BodyLength* body) {
  upgraded_ = true;
  ++context_.counts.upgrades;
  timer_.reset();  // what is upgraded may last
  *body = {http::BodyLength::Kind::kUnknown, 0};
  if (!extended_connect_) return;
  response_.status = 200;
  response_.protocol = {};
  response_.fields.remove("sec-websocket-accept");
}

void Exchange::open_tunnel() {
  if (!extended_connect_) request_done_ = false;
  send_pending();
  if (!over() && !extended_connect_) client_->resume_request();
}

void Exchange::response_body(Bytes chunk) {
  touch();
  sent_ += chunk.size();
  context_.counts.bytes_sent += chunk.size();
  client_->send_body(chunk);
  if (over() || stream_ == nullptr) return;
  const std::size_t unsent = client_->unsent();
  if (unsent <= kBodyHeldBytes) return;
  client_->hold(unsent);
  if (!std::exchange(response_stopped_, true)) stream_->stop_response();
}

// What was upgraded goes on until the client has finished as well.
void Exchange::response_end(const http::Fields& trailers) {
  touch();
  client_->send_end(trailers);
  if (over()) return;
  response_done_ = true;
  if (!upgraded_ || request_done_) finish(false);
}

void Exchange::backend_drained() {
  touch();
  if (over() || stream_ == nullptr) return;
  hold_request();
  if (std::exchange(request_stopped_, false)) client_->resume_request();
}

// RFC 9110 section 9.2.2. What was written to a kept connection that the backend was just closing
// was most likely not read, but only a request that may be repeated is repeated.
bool Exchange::may_send_again(BackendFailure failure, bool reused) const {
  if (response_begun_ || body_sent_ || upgraded_ || attempts_ >= kAttemptsMax) return false;
  switch (failure) {
    case BackendFailure::kNoAddress:
    case BackendFailure::kRefused:
    case BackendFailure::kNotSpoken:
    case BackendFailure::kTimeout:
    case BackendFailure::kBusy:
    case BackendFailure::kUnprocessed:
      return true;
    case BackendFailure::kClosed:
      return reused && is_idempotent(request_.method);
    default:
      return false;
  }
}

void Exchange::request_returned(Bytes body) {
  pending_.assign(body.begin(), body.end());
  body_sent_ = false;
  hold_request();
}

void Exchange::backend_failed(BackendFailure failure, std::string_view detail, bool reused) {
  const BackendStream* const stream = std::exchange(stream_, nullptr);
  waiting_.reset();
  if (over()) return;
  failure_ = detail;
  last_failure_ = failure;
  // That a kept connection ended says nothing about the backend, nor that it refuses an upload.
  const bool unanswered = (failure == BackendFailure::kClosed && !reused && !body_sent_) ||
                          failure == BackendFailure::kMalformed;
  if (unanswered && !response_begun_ && stream != nullptr) {
    backend_->gave_no_answer(stream->address(), detail);
  }
  if (may_send_again(failure, reused)) {
    // A kept connection that was closed says nothing about the backend.
    if (reused || failure == BackendFailure::kUnprocessed) tried_ = 0;
    response_.clear();
    // What still waits goes on waiting; the end of the body is said once more.
    if (request_done_ && !is_empty(request_length_)) request_end_pending_ = true;
    ask_backend();
    return;
  }
  if (failure == BackendFailure::kClosed || failure == BackendFailure::kReset ||
      failure == BackendFailure::kMalformed) {
    ++context_.counts.aborted_by_backend;
  } else if (failure == BackendFailure::kHeadTooLarge) {
    GatewayCounts& counts = context_.counts;
    ++(detail == http::h1::kTooManyFields ? counts.response_fields : counts.response_heads);
  }
  const FailureText answer_text = text_of(failure);
  fail(answer_text.status, answer_text.text, detail);
}

void Exchange::leave_backend() {
  waiting_.reset();
  hold(0);
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->release();
}

}  // namespace postern::gateway
