// HTTP/2 with a client: many requests at a time on one connection.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/recycler.h"
#include "gateway/connection.h"
#include "gateway/delivery_watch.h"
#include "gateway/frame_pump.h"
#include "http/h2_server.h"

namespace postern::gateway {
namespace {

constexpr std::uint64_t kKeptIdleMs = 180'000;
constexpr std::uint64_t kStalledMs = 600'000;  // a response that the client does not take
constexpr std::uint64_t kFirstRequestMs = 1'000;
constexpr std::uint64_t kGoAwayMs = 1'000;  // between the two steps
// What still comes of a body that nobody wants, before the client is told: by then most clients
// have sent theirs, and some take RST_STREAM in the middle of it for a failure, whatever its code
// says.
constexpr std::uint64_t kUnwantedMs = 2'000;
constexpr std::size_t kUnwantedBytes = 64U << 10;
// Of a stream whose response is there, but not with the client, without its fields and body.
constexpr std::size_t kAnsweredBytes = 3U << 10;
constexpr std::size_t kPumpBytes = 16U << 10;  // a chunk worth a system call of its own
constexpr std::uint32_t kInternalError = 2;    // RFC 9113 section 7
constexpr std::uint32_t kNoError = 0, kCancel = 8;

class H2Session;

class H2Stream final : public http::h2::ServerStream, public ClientSide, public Recycled {
 public:
  H2Stream(H2Session& session, std::int32_t id);
  ~H2Stream() override { give_back(); }

  // http::h2::ServerStream
  http::RequestHead& head() override { return exchange_->request(); }
  void request(http::BodyLength body) override;
  void head_too_large(bool too_many_fields) override;
  void body(Bytes chunk) override;
  void body_end(const http::Fields& trailers) override;
  void drained() override {
    hold(0);
    if (exchange_ != nullptr) exchange_->client_drained();
  }
  void closed(std::uint32_t error) override;

  // ClientSide
  void send_interim(const http::ResponseHead& head) override;
  void send_head(const http::ResponseHead& head, http::BodyLength body) override;
  void send_body(Bytes chunk) override;
  void send_end(const http::Fields& trailers) override;
  std::size_t unsent() const override;
  const net::Stream& carrier() const override;
  void stop_request() override { stopped_ = true; }
  void resume_request() override;
  void distrust() override {}
  void finished(bool cut) override;

  // HeldBytes
  void give_up_held() override;
  std::uint64_t moved() const override;

  void leave(std::string_view why);
  void check(std::uint64_t now_ms);

  std::size_t index = 0;  ///< of its session

 private:
  void give_back();
  void give_back_window();
  void stop_client();
  void check_stalled(std::uint64_t now_ms);

  H2Session& session_;
  std::int32_t id_;
  std::unique_ptr<Exchange> exchange_;  // until the response is complete
  bool head_done_ = false, request_done_ = false, stopped_ = false, gone_ = false,
       client_stopped_ = false;
  std::uint64_t opened_ms_;
  std::size_t held_ = 0;        // bytes handed over whose window is not open again
  std::uint64_t moved_ms_ = 0;  // when some of a complete response left, or was taken
  DeliveryWatch watch_;
  std::uint64_t stalled_max_ms_ = kStalledMs;
  std::size_t left_ = 0;  // of it, then
  std::size_t response_head_bytes_ = 0;
  std::uint64_t answered_ms_ = 0;  // when the exchange was over
  std::size_t unwanted_ = 0;       // bytes of the request that came after that
};

class H2Session final : public Session, public http::h2::ServerEvents {
 public:
  explicit H2Session(Connection& connection)
      : connection_(connection),
        codec_(http::h2::ServerConnection::make(settings(connection), *this)),
        pump_(connection.context(), connection.stream(), *codec_),
        idle_since_ms_(connection.context().loop.now_ms()) {
    pump_.schedule();  // SETTINGS
  }

  // Session
  void received(Bytes chunk) override;
  void ended() override;
  void drained() override { pump(); }
  void failed(std::string_view why) override { leave_all(why); }
  void check(std::uint64_t now_ms) override;
  void shut_down() override;
  void rest() override;

  // http::h2::ServerEvents
  http::h2::ServerStream* opened(std::int32_t id) override;
  void refused() override { ++context().counts.streams_refused; }

  Connection& connection() { return connection_; }
  Context& context() { return connection_.context(); }
  http::h2::ServerConnection& codec() { return *codec_; }
  void schedule() { pump_.schedule(); }
  /// What the codec has to say leaves now. Nothing happens from inside a call of the codec.
  void pump();
  /// The stream is over: its memory lasts until the end of the turn.
  void drop(H2Stream& stream);

 private:
  static http::h2::Settings settings(const Connection& connection);
  void leave_all(std::string_view why);
  void give_up();
  void note_abuse();

  Connection& connection_;
  std::unique_ptr<http::h2::ServerConnection> codec_;
  FramePump<http::h2::ServerConnection> pump_;
  std::vector<std::unique_ptr<H2Stream>> streams_;
  bool in_codec_ = false;
  std::uint64_t idle_since_ms_;
  bool asked_ = false, leaves_after_first_ = false;
  std::uint64_t going_away_ms_ = 0;  // since when; 0: not
};

// --- one stream

H2Stream::H2Stream(H2Session& session, std::int32_t id)
    : ClientSide(session.context().memory),
      session_(session),
      id_(id),
      exchange_(session.context().take_exchange()),
      opened_ms_(session.context().loop.now_ms()) {}

void H2Stream::request(http::BodyLength length) {
  ++session_.context().counts.requests_h2;
  head_done_ = true;
  hold(0);
  request_done_ = length.kind == http::BodyLength::Kind::kNone;
  exchange_->begin(*this, session_.connection().info(), "h2", length);
}

void H2Stream::head_too_large(bool too_many_fields) {
  ++session_.context().counts.head_too_large;
  if (too_many_fields) ++session_.context().counts.too_many_fields;
  head_done_ = true;
  exchange_->refuse(*this, session_.connection().info(), "h2", 431,
                    "The head of this request is too large.");
}

void H2Stream::body(Bytes chunk) {
  held_ += chunk.size();
  if (exchange_ != nullptr) {
    exchange_->request_body(chunk);
  } else {
    unwanted_ += chunk.size();
    if (unwanted_ > kUnwantedBytes) stop_client();
  }
  if (!stopped_) give_back_window();
}

void H2Stream::body_end(const http::Fields& trailers) {
  request_done_ = true;
  if (exchange_ != nullptr) exchange_->request_end(trailers);
}

void H2Stream::closed(std::uint32_t error) {
  gone_ = true;
  hold(0);
  if (!head_done_ && error != 0) {
    ++session_.context().counts.malformed;
    if (exchange_ != nullptr) {
      exchange_->reject(*this, session_.connection().info(), "h2", "the head is malformed");
    }
  }
  leave(error == kCancel || error == kNoError ? "the client canceled the request"
                                              : "the stream ended by an error of HTTP/2");
  session_.drop(*this);
}

void H2Stream::leave(std::string_view why) {
  if (exchange_ != nullptr && head_done_) exchange_->client_gone(why);
  give_back();
}

void H2Stream::give_back() {
  if (exchange_ != nullptr) session_.context().give_back(std::move(exchange_));
}

void H2Stream::give_back_window() {
  if (held_ == 0 || gone_) return;
  session_.codec().consumed(id_, std::exchange(held_, 0));
  session_.schedule();
}

void H2Stream::resume_request() {
  stopped_ = false;
  give_back_window();
}

void H2Stream::send_interim(const http::ResponseHead& head) {
  session_.codec().interim(id_, head);
  session_.schedule();
}

void H2Stream::send_head(const http::ResponseHead& head, http::BodyLength body) {
  for (const http::Field& field : head.fields) {
    response_head_bytes_ += field.name.size() + field.value.size();
  }
  session_.codec().respond(id_, head, body);
  session_.schedule();
}

void H2Stream::send_body(Bytes chunk) {
  session_.schedule();
  if (chunk.size() < kPumpBytes) {
    session_.codec().body(id_, chunk);
    return;
  }
  session_.codec().lend(id_, chunk);
  session_.pump();
  session_.codec().keep(id_);
}

void H2Stream::send_end(const http::Fields& trailers) {
  session_.codec().body_end(id_, trailers);
  session_.schedule();
}

const net::Stream& H2Stream::carrier() const { return session_.connection().stream(); }

std::size_t H2Stream::unsent() const { return gone_ ? 0 : session_.codec().unsent(id_); }

void H2Stream::finished(bool cut) {
  const std::uint64_t idle_ms = exchange_->idle_limit_ms();
  if (idle_ms != 0) stalled_max_ms_ = idle_ms;
  session_.connection().read_within(idle_ms);
  const bool unread = exchange_->was_unread();
  give_back();
  if (gone_) return;
  answered_ms_ = moved_ms_ = session_.context().loop.now_ms();
  watch_.restart(carrier());
  stopped_ = false;
  give_back_window();
  session_.schedule();
  if (!cut) return;
  if (unread) return session_.codec().reset_stalled(id_);
  session_.codec().reset(id_, kInternalError);
}

// The rest of the request is not needed (RFC 9113 section 8.1).
void H2Stream::stop_client() {
  if (gone_ || std::exchange(client_stopped_, true)) return;
  session_.codec().stop_request(id_);
  session_.schedule();
}

void H2Stream::check(std::uint64_t now_ms) {
  if (exchange_ == nullptr) {
    if (!request_done_ && now_ms >= answered_ms_ + kUnwantedMs) stop_client();
    check_stalled(now_ms);
    return;
  }
  if (head_done_) {
    exchange_->check_idle(now_ms);
    return;
  }
  hold(exchange_->head_bytes());
  if (now_ms < opened_ms_ + session_.context().site->site->limits.header_timeout_ms) return;
  // Nothing else can come before the rest of this head (RFC 9113 section 6.10).
  ++session_.context().counts.header_timeouts;
  session_.connection().close();
}

void H2Stream::check_stalled(std::uint64_t now_ms) {
  const std::size_t left = unsent();
  hold(kAnsweredBytes + response_head_bytes_ + left);
  if (left != std::exchange(left_, left) ||
      watch_.look(carrier(), now_ms - moved_ms_, stalled_max_ms_)) {
    moved_ms_ = now_ms;
    watch_.restart(carrier());
  }
  if (gone_ || now_ms < moved_ms_ + stalled_max_ms_) return;
  ++session_.context().counts.idle_timeouts;
  session_.codec().reset_stalled(id_);
  session_.schedule();
}

void H2Stream::give_up_held() {
  if (gone_) return;
  if (!head_done_) return session_.connection().close();  // nothing else can come before the rest
  if (exchange_ != nullptr) return exchange_->give_up_held();
  session_.codec().reset(id_, kInternalError);
  session_.schedule();
}

// What its own window holds up waits for that alone.
std::uint64_t H2Stream::moved() const {
  if (gone_ || !session_.codec().has_window(id_)) return 0;
  return carrier().acknowledged_total();
}

// --- the connection

http::h2::Settings H2Session::settings(const Connection& connection) {
  const GatewayLimits& limits = connection.info().site->site->limits;
  http::h2::Settings settings;
  settings.streams_max = limits.streams;
  settings.header_bytes_max = limits.header_bytes;
  settings.fields_max = limits.headers;
  // Clients such as curl stop and go: with a quarter of this an upload takes 4 % more processor
  // time, and on a busy machine twice as long.
  settings.stream_window_bytes_max = 1U << 20;
  // One upload that its backend does not take must not hold up the others.
  settings.connection_window_bytes = limits.streams * settings.stream_window_bytes;
  return settings;
}

http::h2::ServerStream* H2Session::opened(std::int32_t id) {
  streams_.push_back(std::make_unique<H2Stream>(*this, id));
  streams_.back()->index = streams_.size() - 1;
  asked_ = true;
  return streams_.back().get();
}

void H2Session::drop(H2Stream& stream) {
  const std::size_t at = stream.index;
  if (at != streams_.size() - 1) {
    std::swap(streams_[at], streams_.back());
    streams_[at]->index = at;
  }
  context().graveyard.bury(std::move(streams_.back()));
  streams_.pop_back();
  if (streams_.empty()) idle_since_ms_ = context().loop.now_ms();
}

void H2Session::received(Bytes chunk) {
  in_codec_ = true;
  const bool good = codec_->receive(chunk, context().loop.now_ms());
  in_codec_ = false;
  pump_.schedule();
  if (asked_ && leaves_after_first_) shut_down();
  if (good && !codec_->finished()) return;
  pump();
  if (good) {
    connection_.close_gently();  // the client said GOAWAY, and nothing is under way
  } else {
    give_up();
  }
}

void H2Session::give_up() {
  if (connection_.closing()) return;
  note_abuse();
  leave_all("the connection broke the rules of HTTP/2");
  connection_.read_within(kBrokenUnreadMs);
  connection_.close_gently();
}

void H2Session::note_abuse() {
  const auto kind = static_cast<std::size_t>(codec_->abuse());
  ++context().counts.h2_abuse[std::min(kind, http::h2::kAbuseKinds - 1)];
  std::uint64_t held_back = 0;
  if (!context().abuse_log.allow(context().loop.now_ms(), &held_back)) return;
  log_warning("http2_abuse", "client {}: {}: {}{}", connection_.info().peer.text,
              http::h2::abuse_name(codec_->abuse()), codec_->fault(), LogLimit::text(held_back));
}

void H2Session::pump() {
  if (in_codec_ || connection_.closing()) return;
  in_codec_ = true;
  pump_.pump();
  in_codec_ = false;
}

void H2Session::ended() {
  leave_all("the client closed the connection");
  connection_.close();
}

void H2Session::leave_all(std::string_view why) {
  for (std::size_t i = streams_.size(); i > 0; --i) streams_[i - 1]->leave(why);
}

// Whoever has just connected has a request on the way, and would have to connect once more.
void H2Session::shut_down() {
  if (going_away_ms_ != 0) return;
  const std::uint64_t now_ms = context().loop.now_ms();
  leaves_after_first_ = !asked_ && now_ms < idle_since_ms_ + kFirstRequestMs;
  if (leaves_after_first_) return;
  going_away_ms_ = now_ms;
  codec_->shut_down();
  pump_.schedule();
}

void H2Session::rest() {
  streams_.shrink_to_fit();
  codec_->rest();
}

void H2Session::check(std::uint64_t now_ms) {
  for (std::size_t i = streams_.size(); i > 0; --i) {
    if (i <= streams_.size()) streams_[i - 1]->check(now_ms);
  }
  if (connection_.closing()) return;
  // A fault that was only found when frames left, or now.
  if (codec_->abuse() != http::h2::Abuse::kNone) {
    pump();
    give_up();
    return;
  }
  if (leaves_after_first_) shut_down();
  if (going_away_ms_ == 0) {
    if (!streams_.empty()) return;
    const std::uint64_t first_ms = context().site->site->limits.header_timeout_ms;
    if (now_ms < idle_since_ms_ + (asked_ ? kKeptIdleMs : first_ms)) return;
    ++(asked_ ? context().counts.idle_timeouts : context().counts.header_timeouts);
    shut_down();
    return;
  }
  if (now_ms >= going_away_ms_ + kGoAwayMs) {
    codec_->shut_down();
    pump();
    if (streams_.empty() && (codec_->finished() || !asked_)) connection_.close_gently();
  }
}

}  // namespace

std::unique_ptr<Session> make_h2_session(Connection& connection) {
  return std::make_unique<H2Session>(connection);
}

}  // namespace postern::gateway
