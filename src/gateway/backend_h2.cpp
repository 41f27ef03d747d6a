// HTTP/2 to a backend: many requests on one connection.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gateway/backend_connection.h"
#include "gateway/frame_pump.h"
#include "http/h2_client.h"

namespace postern::gateway {
namespace {

constexpr std::uint8_t kSettings = 4;        // RFC 9113 section 6.5
constexpr std::uint32_t kInternalError = 2;  // RFC 9113 section 7
constexpr std::uint32_t kCancel = 8;
constexpr std::uint64_t kQuietMs = 15'000;  // with requests under way: then it is asked
constexpr std::uint64_t kPongMs = 10'000;   // and has to say something, or takes no more requests

// The streams of one connection belong to many clients: one that reads slowly holds its own window
// and not that of the others.
http::h2::Settings backend_settings(const GatewayLimits& limits) {
  http::h2::Settings settings;
  settings.header_bytes_max = limits.header_bytes;
  settings.fields_max = limits.headers;
  settings.connection_window_bytes = 1024U * settings.stream_window_bytes;
  return settings;
}

class H2Backend;

class H2BackendStream final : public BackendStream, public http::h2::ClientStream {
 public:
  H2BackendStream(H2Backend& owner, BackendEvents& events, bool reused)
      : owner_(owner), events_(&events), reused_(reused) {}

  // BackendStream
  bool leads_here() const override;
  const Endpoint& address() const override;
  void send_head(const http::RequestHead& head, http::BodyLength body) override;
  void send_body(Bytes chunk) override;
  void send_end(const http::Fields& trailers) override;
  std::size_t unsent() const override;
  const net::Stream& carrier() const override;
  void stop_response() override { stopped_ = true; }
  void resume_response() override;
  void release() override;

  // http::h2::ClientStream
  http::ResponseHead& head() override;
  void interim() override;
  void response(http::BodyLength body) override;
  void body(Bytes chunk) override;
  void body_end(const http::Fields& trailers) override;
  void drained() override;
  void returned(Bytes body) override;
  void refused() override { refused_ = true; }
  void closed(std::uint32_t error, bool unprocessed) override;

  void fail(BackendFailure failure, std::string_view detail) { fail(failure, detail, reused_); }

 private:
  void fail(BackendFailure failure, std::string_view detail, bool reused);

  H2Backend& owner_;
  BackendEvents* events_;  // nullptr: over
  bool reused_;
  bool refused_ = false, stopped_ = false, gone_ = false, request_done_ = false,
       response_done_ = false;
  std::int32_t id_ = -1;
  std::size_t held_ = 0;  // bytes handed over whose window is not open again
  http::ResponseHead unused_;
};

class H2Backend final : public BackendSession {
 public:
  explicit H2Backend(BackendConnection& connection)
      : connection_(connection),
        settings_(backend_settings(connection.context().site->site->limits)),
        codec_(http::h2::ClientConnection::make(settings_)),
        pump_(connection.context(), connection.stream(), *codec_) {
    pump_.schedule();  // the preface
  }

  // BackendSession
  void serve(BackendEvents& events, bool reused) override {
    if (streams_.empty()) heard_ms_ = context().loop.now_ms();
    streams_.push_back(std::make_unique<H2BackendStream>(*this, events, reused));
    events.backend_ready(*streams_.back());
  }
  bool has_room() const override {
    return !over_ && !mute_ && codec_->has_room() && has_limits_of_now();
  }
  bool is_idle() const override { return streams_.empty(); }
  void received(Bytes chunk) override;
  void ended() override {
    connection_.fail(BackendFailure::kClosed, "the backend closed the connection");
  }
  void drained() override { pump_.pump(); }
  void failed(BackendFailure failure, std::string_view detail) override;
  void check(std::uint64_t now_ms) override;

  http::h2::ClientConnection& codec() { return *codec_; }
  void schedule() { pump_.schedule(); }
  Context& context() { return connection_.context(); }
  void request_failed() { connection_.request_failed(); }
  bool leads_here() const { return connection_.leads_here(); }
  const Endpoint& address() const { return connection_.endpoint(); }
  const net::Stream& stream() const { return connection_.stream(); }
  /// The stream is over: its memory lasts until the end of the turn.
  void drop(H2BackendStream& stream);
  void give_back() { connection_.given_back(!over_ || !streams_.empty()); }
  /// How the connection failed; kNone: it did not.
  BackendFailure lost() const { return lost_; }
  const std::string& why() const { return why_; }

 private:
  // A reload may have changed what it was made with.
  bool has_limits_of_now() const {
    const GatewayLimits& limits = connection_.context().site->site->limits;
    return limits.header_bytes == settings_.header_bytes_max &&
           limits.headers == settings_.fields_max;
  }

  BackendConnection& connection_;
  http::h2::Settings settings_;
  std::unique_ptr<http::h2::ClientConnection> codec_;
  FramePump<http::h2::ClientConnection> pump_;
  std::vector<std::unique_ptr<H2BackendStream>> streams_;
  bool over_ = false;   // takes no more requests
  bool heard_ = false;  // anything at all
  bool asked_ = false;  // by a PING
  bool mute_ = false;   // and did not answer
  std::uint64_t heard_ms_ = 0;
  BackendFailure lost_ = BackendFailure::kNone;
  std::string why_;
};

// --- one stream

void H2BackendStream::send_head(const http::RequestHead& head, http::BodyLength body) {
  request_done_ = body.kind == http::BodyLength::Kind::kNone ||
                  (body.kind == http::BodyLength::Kind::kKnown && body.bytes == 0);
  id_ = owner_.codec().request(head, body, *this);
  owner_.schedule();
  if (id_ < 0) {
    gone_ = true;
    fail(BackendFailure::kUnprocessed, "no room on the connection");
  }
}

void H2BackendStream::send_body(Bytes chunk) {
  if (gone_) return;
  owner_.codec().body(id_, chunk);
  owner_.schedule();
}

void H2BackendStream::send_end(const http::Fields& trailers) {
  request_done_ = true;
  if (gone_) return;
  owner_.codec().body_end(id_, trailers);
  owner_.schedule();
}

bool H2BackendStream::leads_here() const { return owner_.leads_here(); }

const Endpoint& H2BackendStream::address() const { return owner_.address(); }

const net::Stream& H2BackendStream::carrier() const { return owner_.stream(); }

std::size_t H2BackendStream::unsent() const { return gone_ ? 0 : owner_.codec().unsent(id_); }

void H2BackendStream::resume_response() {
  stopped_ = false;
  if (held_ == 0 || gone_) return;
  owner_.codec().consumed(id_, std::exchange(held_, 0));
  owner_.schedule();
}

void H2BackendStream::release() {
  events_ = nullptr;
  // What is complete on both sides is closed by the codec in a moment.
  const bool complete = response_done_ && request_done_;
  if (!gone_ && !complete) {
    gone_ = true;
    owner_.codec().cancel(id_);
    owner_.schedule();
  }
  if (gone_) owner_.drop(*this);
  owner_.give_back();
}

http::ResponseHead& H2BackendStream::head() {
  return events_ == nullptr ? unused_ : events_->response_head();
}

void H2BackendStream::interim() {
  if (events_ != nullptr) events_->interim_response();
}

void H2BackendStream::response(http::BodyLength length) {
  if (events_ == nullptr) return;
  const bool ends = length.kind == http::BodyLength::Kind::kNone;
  response_done_ = ends;
  events_->response(length);
  if (ends && events_ != nullptr) events_->response_end(no_fields());
}

void H2BackendStream::body(Bytes chunk) {
  held_ += chunk.size();
  if (events_ != nullptr) events_->response_body(chunk);
  if (stopped_ || gone_) return;
  owner_.codec().consumed(id_, std::exchange(held_, 0));
}

void H2BackendStream::body_end(const http::Fields& trailers) {
  response_done_ = true;
  if (events_ != nullptr) events_->response_end(trailers);
}

void H2BackendStream::drained() {
  if (events_ != nullptr) events_->backend_drained();
}

void H2BackendStream::returned(Bytes body) {
  if (events_ != nullptr) events_->request_returned(body);
}

void H2BackendStream::closed(std::uint32_t error, bool unprocessed) {
  gone_ = true;
  if (unprocessed) {
    fail(BackendFailure::kUnprocessed, "the backend did not take the request");
  } else if (owner_.lost() != BackendFailure::kNone) {
    fail(owner_.lost(), owner_.why());
  } else if (refused_) {
    const std::string_view fault = owner_.codec().fault();
    const bool too_large = error == kCancel && fault.empty();
    const std::string_view of_stream =
        too_large ? "the head of the response is too large" : "malformed response";
    fail(too_large ? BackendFailure::kHeadTooLarge : BackendFailure::kMalformed,
         fault.empty() ? of_stream : fault);
  } else {
    // That it failed within is no answer, however many it gave on this connection before.
    fail(error == kInternalError ? BackendFailure::kClosed : BackendFailure::kReset,
         error == kCancel ? "the backend canceled the stream" : "the backend reset the stream",
         false);
  }
}

void H2BackendStream::fail(BackendFailure failure, std::string_view detail, bool reused) {
  gone_ = true;
  BackendEvents* const events = std::exchange(events_, nullptr);
  owner_.drop(*this);
  if (events == nullptr) return;
  const std::string text(detail);
  owner_.request_failed();
  events->backend_failed(failure, text, reused);
}

// --- the connection

void H2Backend::received(Bytes chunk) {
  // SETTINGS come first (RFC 9113 section 3.4); its type is the fourth byte of a frame.
  if (!std::exchange(heard_, true) && chunk.size() > 3 && chunk[3] != kSettings) {
    connection_.fail(BackendFailure::kMalformed,
                     "the backend does not speak HTTP/2; for HTTP/1.1 write http:// in place of "
                     "h2c://");
    return;
  }
  heard_ms_ = context().loop.now_ms();
  asked_ = mute_ = false;
  const bool good = codec_->receive(chunk, heard_ms_);
  pump_.schedule();
  if (codec_->going_away()) over_ = true;
  if (!good) {
    pump_.pump();
    connection_.fail(BackendFailure::kMalformed, codec_->fault());
  } else if (over_ && streams_.empty()) {
    connection_.close();
  } else if (!over_) {
    connection_.note_room();  // SETTINGS may have made room
  }
}

// A node that vanished says nothing: without this its connection would take requests for minutes. A
// backend that is only busy says nothing either, but its system acknowledges: what is under way is
// left to timeouts.idle. What nobody waits for any more is not asked about.
void H2Backend::check(std::uint64_t now_ms) {
  if (streams_.empty()) {
    if (mute_ || connection_.stream().unacknowledged_ms() >= kPongMs) return connection_.close();
    heard_ms_ = now_ms;
  }
  if (now_ms < heard_ms_ + kQuietMs) return;
  if (!asked_) {
    asked_ = true;
    codec_->ping();
    pump_.schedule();
  } else if (now_ms >= heard_ms_ + kQuietMs + kPongMs) {
    mute_ = true;
    if (connection_.stream().unacknowledged_ms() < kPongMs) return;
    connection_.fail(BackendFailure::kClosed, "the backend's host has vanished");
  }
}

void H2Backend::failed(BackendFailure failure, std::string_view detail) {
  over_ = true;
  lost_ = failure;
  why_ = detail;
  codec_->abandon();
  while (!streams_.empty()) streams_.back()->fail(failure, why_);
}

void H2Backend::drop(H2BackendStream& stream) {
  const auto is_it = [&](const auto& owned) { return owned.get() == &stream; };
  const auto found = std::find_if(streams_.begin(), streams_.end(), is_it);
  if (found == streams_.end()) return;
  std::swap(*found, streams_.back());
  context().graveyard.bury(std::move(streams_.back()));
  streams_.pop_back();
}

}  // namespace

std::unique_ptr<BackendSession> make_h2_backend(BackendConnection& connection) {
  return std::make_unique<H2Backend>(connection);
}

}  // namespace postern::gateway
