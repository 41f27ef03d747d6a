// HTTP/1.1 and 1.0 with a client: one request after the other on one connection.
#include <algorithm>
#include <utility>
#include <vector>

#include "gateway/connection.h"
#include "http/h1_write.h"

namespace postern::gateway {
namespace {

using Kind = http::BodyLength::Kind;

constexpr std::uint64_t kKeptIdleMs = 180'000;
constexpr std::uint8_t kTlsHandshake = 0x16;  // RFC 8446 section 5.1
constexpr std::uint64_t kShutDownIdleMs = 1'000;
constexpr std::size_t kKeptUnseenBytes = 2U << 10;
constexpr std::size_t kAheadBytesMax = 64U << 10;  // of requests that came before their turn

// How much to keep for the reader of heads: up to the first empty line, which most likely ends the
// head; all when there is none, or when it is too little to look for one.
std::size_t size_to_keep(Bytes input) {
  if (input.size() <= kKeptUnseenBytes) return input.size();
  constexpr std::string_view kEmptyLine = "\r\n\r\n";
  const std::size_t at = as_text(input).find(kEmptyLine);
  return at == std::string_view::npos ? input.size() : at + kEmptyLine.size();
}

class H1Session final : public Session, public ClientSide {
 public:
  explicit H1Session(Connection& connection)
      : ClientSide(connection.context().memory),
        connection_(connection),
        idle_since_ms_(now_ms()),
        deadline_ms_(idle_since_ms_ + header_timeout_ms()) {}
  ~H1Session() override {
    context().memory.give_back(ahead_.size());
    give_back();
  }

  // Session
  void received(Bytes chunk) override;
  void ended() override;
  void drained() override {
    hold(0);
    if (in_exchange()) {
      exchange_->client_drained();
    } else {
      process_ahead();
    }
  }
  void failed(std::string_view why) override { leave(why); }
  void check(std::uint64_t now_ms) override;
  void shut_down() override { shutting_down_ = true; }
  void lingers() override { hold(0); }

  // ClientSide
  void send_interim(const http::ResponseHead& head) override;
  void send_head(const http::ResponseHead& head, http::BodyLength body) override;
  void send_body(Bytes chunk) override;
  void send_end(const http::Fields& trailers) override;
  std::size_t unsent() const override { return connection_.stream().unsent(); }
  const net::Stream& carrier() const override { return connection_.stream(); }
  void stop_request() override { connection_.stream().pause(); }
  void resume_request() override;
  void distrust() override { keep_alive_ = false; }
  void finished(bool cut) override;

  // HeldBytes
  void give_up_held() override;
  std::uint64_t moved() const override;

 private:
  Context& context() const { return connection_.context(); }
  Output& output() const { return context().output; }
  std::uint64_t now_ms() const { return connection_.context().loop.now_ms(); }
  std::uint64_t header_timeout_ms() const {
    return connection_.context().site->site->limits.header_timeout_ms;
  }
  /// The client does not read what it asked for: no more requests until it does.
  bool is_behind() const { return exchange_ == nullptr && unsent() > kBodyHeldBytes; }
  bool in_exchange() const { return exchange_ != nullptr && head_done_; }
  // Only while there is an exchange, which keeps them: an idle connection does without.
  http::h1::RequestReader& reader() const { return exchange_->h1_input().head; }
  http::h1::BodyReader& body_reader() const { return exchange_->h1_input().body; }
  std::string_view protocol() const {
    return reader().minor_version() == 0 ? "http/1.0" : "http/1.1";
  }

  void process(Bytes input);
  void process_ahead();
  bool read_head(Bytes* input);
  void begin();
  void refuse(std::uint16_t status, std::string_view reason);
  bool read_body(Bytes* input);
  void keep_ahead(Bytes input);
  void close_if_ended();
  void give_back();
  void leave(std::string_view why);
  std::string_view connection_option();

  Connection& connection_;
  std::unique_ptr<Exchange> exchange_;  // from the first byte of a request on
  std::vector<std::uint8_t> ahead_;     // came before its turn
  std::uint64_t idle_since_ms_;
  std::uint64_t deadline_ms_;  // for a head, or of an idle connection
  bool head_done_ = false, keep_alive_ = true, chunked_ = false, to_head_ = false;
  bool tunnel_ = false, processing_ = false, client_ended_ = false, shutting_down_ = false;
  bool served_ = false;     // a request before this one
  bool more_here_ = false;  // behind the head that is begun with, while it is processed
};

void H1Session::received(Bytes chunk) {
  if (ahead_.empty()) {
    process(chunk);
  } else {
    keep_ahead(chunk);
  }
}

void H1Session::process(Bytes input) {
  if (std::exchange(processing_, true)) return;
  // Thousands of requests fit into one chunk: those that are answered at once take turns with one
  // exchange. Whatever ended before may be what called this.
  const std::size_t ended = context().ended_exchanges.size();
  while (!input.empty() && !connection_.closing()) {
    context().collect_ended(ended);
    if (tunnel_) {
      exchange_->request_body(input);
      break;
    }
    if (is_behind()) {
      keep_ahead(input);
      break;
    }
    if (!in_exchange()) {
      if (!read_head(&input)) break;
    } else if (!body_reader().done()) {
      if (!read_body(&input)) break;
    } else {
      keep_ahead(input);
      break;
    }
  }
  processing_ = more_here_ = false;
}

// Requests that were pipelined, or the first bytes of a tunnel.
void H1Session::process_ahead() {
  while (!ahead_.empty() && !processing_ && !connection_.closing() && !is_behind() &&
         (!in_exchange() || tunnel_ || !body_reader().done())) {
    if (ahead_.size() > kAheadBytesMax) connection_.stream().resume();
    const std::vector<std::uint8_t> input = std::exchange(ahead_, {});
    context().memory.give_back(input.size());
    process(input);
  }
  close_if_ended();
}

// The client has said all: whatever it asked for in whole is answered.
void H1Session::close_if_ended() {
  if (!client_ended_ || tunnel_ || processing_ || !ahead_.empty() || connection_.closing()) return;
  if (in_exchange() && body_reader().done()) return;  // it may still read the response
  const bool cut = in_exchange() && exchange_->responded();
  leave("the client closed the connection within the request");
  if (cut) {
    connection_.close();
  } else {
    connection_.close_gently();  // what it has not read yet still leaves
  }
}

void H1Session::resume_request() {
  connection_.stream().resume();
  process_ahead();
  // The end came before the tunnel was open.
  if (tunnel_ && client_ended_ && in_exchange()) exchange_->request_end(no_fields());
}

void H1Session::keep_ahead(Bytes input) {
  ahead_.insert(ahead_.end(), input.begin(), input.end());
  context().memory.take(input.size());
  if (ahead_.size() > kAheadBytesMax) connection_.stream().pause();
}

bool H1Session::read_head(Bytes* input) {
  if (exchange_ == nullptr) {
    exchange_ = context().take_exchange();
    reader().start(head_limits(context().site->site->limits));
    body_reader().start({});
    deadline_ms_ = now_ms() + header_timeout_ms();
  }
  std::vector<std::uint8_t>& memory = exchange_->memory();
  const Bytes whole = *input;
  const std::size_t size = size_to_keep(whole);
  memory.insert(memory.end(), whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
  *input = whole.subspan(size);
  switch (reader().read(memory, &exchange_->request())) {
    case http::h1::Progress::kMore:
      return true;
    case http::h1::Progress::kFault:
      refuse(reader().fault().status, reader().fault().reason);
      return false;
    case http::h1::Progress::kDone:
      break;
  }
  *input = whole.subspan(size - (memory.size() - reader().consumed()));
  more_here_ = !input->empty();
  begin();
  return true;
}

void H1Session::begin() {
  ++context().counts.requests_h1;
  head_done_ = true;
  chunked_ = false;
  keep_alive_ = reader().keep_alive();
  to_head_ = exchange_->request().method == "HEAD";
  exchange_->request().scheme = connection_.info().tls ? "https" : "http";
  body_reader().start(reader().body());
  exchange_->begin(*this, connection_.info(), protocol(), reader().body());
}

void H1Session::refuse(std::uint16_t status, std::string_view reason) {
  GatewayCounts& counts = context().counts;
  ++(status == 414 || status == 431 ? counts.head_too_large : counts.malformed);
  if (reason == http::h1::kTooManyFields) ++counts.too_many_fields;
  head_done_ = true;
  chunked_ = to_head_ = keep_alive_ = false;
  if (exchange_->memory().front() == kTlsHandshake) reason = "a TLS handshake on the port of HTTP";
  exchange_->refuse(*this, connection_.info(), "http/1.1", status, reason);
}

bool H1Session::read_body(Bytes* input) {
  const http::h1::BodyPiece piece = body_reader().feed(*input);
  *input = input->subspan(piece.consumed);
  if (!piece.payload.empty()) exchange_->request_body(piece.payload);
  if (!in_exchange()) return !connection_.closing();
  if (piece.progress == http::h1::Progress::kFault) {
    ++context().counts.malformed;
    keep_alive_ = false;
    // The backend must not take what came for the whole.
    exchange_->client_failed(400, body_reader().fault().reason);
    return false;
  }
  if (body_reader().done()) exchange_->request_end(body_reader().trailers());
  return true;
}

void H1Session::ended() {
  client_ended_ = true;
  if (in_exchange() && tunnel_) {
    exchange_->request_end(no_fields());
  } else {
    close_if_ended();
  }
}

void H1Session::check(std::uint64_t now_ms) {
  if (in_exchange()) {
    exchange_->check_idle(now_ms);
    return;
  }
  hold(unsent() + (exchange_ == nullptr ? 0 : exchange_->head_bytes()));
  if (shutting_down_ && exchange_ == nullptr && ahead_.empty() &&
      now_ms >= idle_since_ms_ + kShutDownIdleMs) {
    connection_.close_gently();
    return;
  }
  if (exchange_ == nullptr && unsent() > 0) {
    deadline_ms_ = now_ms + kKeptIdleMs;  // it is not idle before it has read all
    if (!connection_.unread_too_long(now_ms)) return;
    ++context().counts.idle_timeouts;
    connection_.close();
    return;
  }
  if (now_ms < deadline_ms_) return;
  if (exchange_ != nullptr) {
    ++context().counts.header_timeouts;
    head_done_ = true;
    chunked_ = to_head_ = keep_alive_ = false;
    exchange_->refuse(*this, connection_.info(), "http/1.1", 408, "the head took too long");
    return;
  }
  ++(served_ ? context().counts.idle_timeouts : context().counts.header_timeouts);
  connection_.close_gently();
}

// --- the response

std::string_view H1Session::connection_option() {
  const bool is_last = client_ended_ && ahead_.empty() && !more_here_;
  if (shutting_down_ || is_last || !body_reader().done()) keep_alive_ = false;
  if (!keep_alive_) return "close";
  return reader().minor_version() == 0 ? "keep-alive" : "";
}

void H1Session::send_interim(const http::ResponseHead& head) {
  if (reader().minor_version() == 0) return;  // does not know them (RFC 9110 section 15.2)
  if (unsent() > kBodyHeldBytes) return;      // it does not read
  const MutableBytes room = output().room(connection_.stream(), http::h1::response_size_max(head));
  const auto written = http::h1::write_response(head, {}, to_head_, "", room);
  if (written.status == http::h1::WriteStatus::kWritten) output().commit(written.bytes);
}

void H1Session::send_head(const http::ResponseHead& head, http::BodyLength body) {
  tunnel_ = head.status == 101;
  if (tunnel_) body = {};
  if (body.kind == Kind::kUnknown || body.kind == Kind::kToClose) {
    const bool knows_chunks = reader().minor_version() != 0;
    body.kind = knows_chunks ? Kind::kUnknown : Kind::kToClose;
    chunked_ = knows_chunks;
    if (!knows_chunks) keep_alive_ = false;
  }
  const std::string_view option = tunnel_ ? "" : connection_option();
  const MutableBytes room = output().room(connection_.stream(), http::h1::response_size_max(head));
  const auto written = http::h1::write_response(head, body, to_head_, option, room);
  if (written.status == http::h1::WriteStatus::kWritten) {
    output().commit(written.bytes);
    return;
  }
  leave("the response can't be written in HTTP/1.1");
  connection_.close();
}

void H1Session::send_body(Bytes chunk) {
  net::Stream& stream = connection_.stream();
  if (!chunked_) {
    output().add(stream, chunk);
    return;
  }
  if (chunk.empty()) return;
  output().add(stream, http::h1::ChunkSizeLine(chunk.size()).text());
  output().add(stream, chunk);
  output().add(stream, http::h1::kChunkEnd);
}

void H1Session::send_end(const http::Fields& trailers) {
  net::Stream& stream = connection_.stream();
  if (tunnel_) {
    output().flush(stream);
    stream.finish();
  }
  if (!chunked_ || tunnel_) return;
  std::size_t size = http::h1::kLastChunk.size();
  for (const http::Field& field : trailers) size += field.name.size() + field.value.size() + 4;
  const auto written = http::h1::write_last_chunk(trailers, output().room(stream, size));
  if (written.status == http::h1::WriteStatus::kWritten) {
    output().commit(written.bytes);
  } else {
    output().add(stream, http::h1::kLastChunk);
  }
}

void H1Session::finished(bool cut) {
  const bool request_read = body_reader().done();
  connection_.read_within(exchange_->idle_limit_ms());
  give_back();
  if (cut) {
    connection_.stream().reset_on_close();
    connection_.close();
    return;
  }
  if (tunnel_ || !keep_alive_ || !request_read) {
    connection_.close_gently(!request_read);
    return;
  }
  served_ = true;
  idle_since_ms_ = now_ms();
  deadline_ms_ = idle_since_ms_ + kKeptIdleMs;
  connection_.stream().resume();
  process_ahead();
}

// What waits may be the end of an answer before this one.
void H1Session::give_up_held() {
  if (in_exchange() && exchange_->responded()) {
    exchange_->give_up_held();
  } else {
    leave("memory short");
    connection_.close();
  }
}

std::uint64_t H1Session::moved() const {
  return carrier().acknowledged_total() + (exchange_ == nullptr ? 0 : exchange_->head_bytes());
}

void H1Session::give_back() {
  head_done_ = false;
  if (exchange_ != nullptr) context().give_back(std::move(exchange_));
}

void H1Session::leave(std::string_view why) {
  if (in_exchange()) exchange_->client_gone(why);
  give_back();
}

}  // namespace

std::unique_ptr<Session> make_h1_session(Connection& connection) {
  return std::make_unique<H1Session>(connection);
}

}  // namespace postern::gateway
