// HTTP/1.1 to a backend: one request at a time on one connection.
#include <utility>
#include <vector>

#include "gateway/backend_connection.h"
#include "http/h1_body.h"
#include "http/h1_response.h"
#include "http/h1_write.h"

namespace postern::gateway {
namespace {

constexpr std::uint64_t kQuietMs = 10'000;  // with a request under way: then it is looked at
constexpr std::uint64_t kLookMs = 2'500;    // again and again,
constexpr std::uint64_t kMuteMs = 15'000;   // and its system has to acknowledge something

// What is no response may be another protocol, which the URL can say.
std::string_view reason_for(Bytes said, std::string_view fault) {
  const auto at = [&](std::size_t i) { return i < said.size() ? int{said[i]} : -1; };
  if (at(0) == 0x15 && at(1) == 3) {  // RFC 8446 section 5.1: an alert
    return "the backend speaks TLS: write https:// in place of http://";
  }
  if (at(0) == 0 && at(3) == 4) {  // RFC 9113 section 6.5: SETTINGS
    return "the backend speaks HTTP/2 alone: write h2c:// in place of http://";
  }
  return fault;
}

BackendFailure failure_for(std::string_view fault) {
  const bool too_large = fault == http::h1::kTooManyFields || fault == http::h1::kHeadTooLong;
  return too_large ? BackendFailure::kHeadTooLarge : BackendFailure::kMalformed;
}

class H1Backend final : public BackendSession, public BackendStream {
 public:
  explicit H1Backend(BackendConnection& connection) : connection_(connection) {}

  // BackendSession
  void serve(BackendEvents& events, bool reused) override;
  bool has_room() const override { return events_ == nullptr; }
  bool is_idle() const override { return events_ == nullptr; }
  void received(Bytes chunk) override;
  void ended() override;
  void drained() override;
  void failed(BackendFailure failure, std::string_view detail) override;
  void check(std::uint64_t now_ms) override;

  // BackendStream
  bool leads_here() const override { return connection_.leads_here(); }
  const Endpoint& address() const override { return connection_.endpoint(); }
  void send_head(const http::RequestHead& head, http::BodyLength body) override;
  void send_body(Bytes chunk) override;
  void send_end(const http::Fields& trailers) override;
  std::size_t unsent() const override { return connection_.stream().unsent(); }
  const net::Stream& carrier() const override { return connection_.stream(); }
  void stop_response() override;
  void resume_response() override;
  void release() override;

 private:
  void read(Bytes input);
  bool read_head(Bytes* input);
  bool is_late_timeout(unsigned status) const;
  bool read_body(Bytes* input);
  void complete(bool nothing_left);
  Output& output() { return connection_.context().output; }
  std::uint64_t now_ms() const { return connection_.context().loop.now_ms(); }

  BackendConnection& connection_;
  BackendEvents* events_ = nullptr;  // of the request under way
  http::h1::ResponseReader reader_;
  http::h1::BodyReader body_;
  std::vector<std::uint8_t> head_bytes_;  // of a head that has not come whole
  std::uint64_t sent_before_ = 0;  // of the stream's bytes: what the request adds is behind them
  std::uint64_t heard_ms_ = 0, looked_ms_ = 0;
  std::uint64_t mute_since_ms_ = 0;  // 0: it is not
  bool reused_ = false, to_head_ = false, chunked_ = false, stopped_ = false;
  bool request_done_ = false, in_body_ = false, response_done_ = false;
  bool keep_alive_ = false, upgrade_ = false, tunnel_ = false;
};

void H1Backend::serve(BackendEvents& events, bool reused) {
  events_ = &events;
  reused_ = reused;
  heard_ms_ = now_ms();
  request_done_ = in_body_ = response_done_ = keep_alive_ = false;
  events.backend_ready(*this);
}

void H1Backend::send_head(const http::RequestHead& head, http::BodyLength body) {
  to_head_ = head.method == "HEAD";
  upgrade_ = !head.protocol.empty();
  chunked_ = body.kind == http::BodyLength::Kind::kUnknown;
  request_done_ = body.kind == http::BodyLength::Kind::kNone ||
                  (body.kind == http::BodyLength::Kind::kKnown && body.bytes == 0);
  reader_.start(to_head_, head_limits(connection_.context().site->site->limits));
  net::Stream& stream = connection_.stream();
  sent_before_ = stream.sent_total();
  const MutableBytes room = output().room(stream, http::h1::request_size_max(head));
  const http::h1::Written written = http::h1::write_request(head, body, room);
  if (written.status != http::h1::WriteStatus::kWritten) {
    connection_.fail(BackendFailure::kNoUpgrade, "the request can't be written in HTTP/1.1");
    return;
  }
  output().commit(written.bytes);
}

void H1Backend::send_body(Bytes chunk) {
  net::Stream& stream = connection_.stream();
  if (!chunked_ || tunnel_) {
    output().add(stream, chunk);
    return;
  }
  if (chunk.empty()) return;
  output().add(stream, http::h1::ChunkSizeLine(chunk.size()).text());
  output().add(stream, chunk);
  output().add(stream, http::h1::kChunkEnd);
}

void H1Backend::send_end(const http::Fields& trailers) {
  net::Stream& stream = connection_.stream();
  request_done_ = true;
  if (tunnel_) {
    output().flush(stream);
    stream.finish();
    return;
  }
  if (!chunked_) return;
  std::size_t size = http::h1::kLastChunk.size();
  for (const http::Field& field : trailers) size += field.name.size() + field.value.size() + 4;
  const http::h1::Written written =
      http::h1::write_last_chunk(trailers, output().room(stream, size));
  if (written.status == http::h1::WriteStatus::kWritten) {
    output().commit(written.bytes);
  } else {
    output().add(stream, http::h1::kLastChunk);
  }
}

void H1Backend::stop_response() {
  stopped_ = true;
  connection_.stream().pause();
}

void H1Backend::resume_response() {
  if (std::exchange(stopped_, false)) connection_.stream().resume();
}

void H1Backend::release() {
  events_ = nullptr;
  const bool reusable = response_done_ && request_done_ && keep_alive_ && !tunnel_ &&
                        head_bytes_.empty() && unsent() == 0;
  if (reusable) resume_response();
  connection_.given_back(reusable);
}

void H1Backend::received(Bytes chunk) {
  if (events_ == nullptr) {  // nobody asked
    connection_.close();
    return;
  }
  heard_ms_ = now_ms();
  if (head_bytes_.empty()) {
    read(chunk);
    return;
  }
  std::vector<std::uint8_t> whole = std::exchange(head_bytes_, {});
  whole.insert(whole.end(), chunk.begin(), chunk.end());
  read(whole);
}

// Each step may end the request, which leaves events_ empty.
void H1Backend::read(Bytes input) {
  while (events_ != nullptr && !input.empty()) {
    if (tunnel_) {
      events_->response_body(input);
      return;
    }
    if (in_body_ ? !read_body(&input) : !read_head(&input)) return;
  }
}

// A backend that gives up an idle connection may say 408 first; a request that crosses it was not
// read (RFC 9110 section 15.5.9).
bool H1Backend::is_late_timeout(unsigned status) const {
  return status == 408 && reused_ && !reader_.keep_alive() && events_->may_repeat();
}

bool H1Backend::read_head(Bytes* input) {
  http::ResponseHead& head = events_->response_head();
  switch (reader_.read(*input, &head)) {
    case http::h1::Progress::kMore:
      head_bytes_.assign(input->begin(), input->end());
      return false;
    case http::h1::Progress::kFault:
      connection_.fail(failure_for(reader_.fault().reason),
                       reason_for(*input, reader_.fault().reason));
      return false;
    case http::h1::Progress::kDone:
      break;
  }
  *input = input->subspan(reader_.consumed());
  if (head.status < 200 && head.status != 101) {
    events_->interim_response();
    reader_.start(to_head_);
    return true;
  }
  if (is_late_timeout(head.status)) {
    connection_.fail(BackendFailure::kUnprocessed, "the backend took the connection for idle: 408");
    return false;
  }
  in_body_ = true;
  keep_alive_ = reader_.keep_alive();
  tunnel_ = head.status == 101 && upgrade_;
  body_.start(reader_.body());
  events_->response(reader_.body());
  if (events_ != nullptr && !tunnel_ && body_.done()) complete(input->empty());
  return true;
}

bool H1Backend::read_body(Bytes* input) {
  const http::h1::BodyPiece piece = body_.feed(*input);
  if (piece.progress == http::h1::Progress::kFault) {
    connection_.fail(BackendFailure::kMalformed, body_.fault().reason);
    return false;
  }
  *input = input->subspan(piece.consumed);
  if (!piece.payload.empty()) events_->response_body(piece.payload);
  if (events_ != nullptr && body_.done()) complete(input->empty());
  return true;
}

// Bytes behind a response belong to no request: the connection can't be trusted any more.
void H1Backend::complete(bool nothing_left) {
  response_done_ = true;
  keep_alive_ = keep_alive_ && nothing_left;
  events_->response_end(body_.trailers());
}

void H1Backend::ended() {
  if (events_ == nullptr) {
    connection_.close();
    return;
  }
  keep_alive_ = false;
  if (tunnel_) {
    events_->response_end(no_fields());
  } else if (in_body_ && connection_.stream().ended_without_notice()) {
    // RFC 9112 section 9.8
    connection_.fail(BackendFailure::kClosed,
                     "the backend closed the connection within the response, without close_notify");
  } else if (in_body_ && body_.end_of_input() == http::h1::Progress::kDone) {
    complete(true);
  } else {
    connection_.fail(BackendFailure::kClosed,
                     in_body_ ? "the backend closed the connection within the response"
                              : "the backend closed the connection without a response");
  }
}

void H1Backend::drained() {
  if (events_ != nullptr) events_->backend_drained();
}

// A node that vanished acknowledges nothing, and its system tries again for a quarter of an hour.
// Whether one that has acknowledged the request is still there the system asks by itself.
void H1Backend::check(std::uint64_t now_ms) {
  const bool quiet = events_ != nullptr && now_ms >= heard_ms_ + kQuietMs;
  if (quiet && now_ms < looked_ms_ + kLookMs) return;
  looked_ms_ = now_ms;
  if (!quiet || connection_.stream().unacknowledged_ms() < kQuietMs) {
    mute_since_ms_ = 0;
  } else if (mute_since_ms_ == 0) {
    mute_since_ms_ = now_ms;
  } else if (now_ms >= mute_since_ms_ + kMuteMs) {
    connection_.fail(BackendFailure::kClosed, "the backend's host has vanished");
  }
}

void H1Backend::failed(BackendFailure failure, std::string_view detail) {
  if (events_ == nullptr) return;
  BackendEvents* const events = std::exchange(events_, nullptr);
  const std::string text(detail);
  // It was closed before a byte of the request had left.
  const bool untouched = connection_.stream().sent_total() == sent_before_;
  if (failure == BackendFailure::kClosed && untouched) failure = BackendFailure::kUnprocessed;
  connection_.request_failed();
  // Who has begun to answer has seen the request.
  events->backend_failed(failure, text, reused_ && head_bytes_.empty());
}

}  // namespace

std::unique_ptr<BackendSession> make_h1_backend(BackendConnection& connection) {
  return std::make_unique<H1Backend>(connection);
}

}  // namespace postern::gateway
