#include "http/h2_client.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <optional>

#include "http/h1_framing.h"
#include "http/h1_text.h"
#include "http/h2_endpoint.h"

namespace postern::http::h2 {
namespace {

class Client final : public ClientConnection, private Endpoint {
 public:
  explicit Client(const Settings& settings);

  bool receive(Bytes input, std::uint64_t now_ms) override {
    return Endpoint::receive(input, now_ms);
  }
  std::string_view fault() const override { return Endpoint::fault(); }
  std::size_t collect(MutableBytes out) override { return Endpoint::collect(out); }
  bool wants_write() const override { return Endpoint::wants_write(); }
  std::size_t streams() const override { return Endpoint::streams().size(); }
  bool has_room() const override;
  bool going_away() const override;
  bool allows_connect_protocol() const override;

  std::int32_t request(const RequestHead& head, BodyLength body, ClientStream& stream) override;
  void body(std::int32_t stream, Bytes chunk) override { Endpoint::body(stream, chunk); }
  void body_end(std::int32_t stream, const Fields& trailers) override {
    Endpoint::body_end(stream, trailers);
  }
  std::size_t unsent(std::int32_t stream) const override { return Endpoint::unsent(stream); }
  void cancel(std::int32_t stream) override;
  void consumed(std::int32_t stream, std::size_t bytes) override {
    Endpoint::consumed(stream, bytes);
  }
  void ping() override;
  void shut_down() override;
  void abandon() override { Endpoint::abandon(); }

 private:
  bool section_begins(std::int32_t id, bool opens) override;
  void field(Text name, Text value) override;
  void head_ends(Stream& stream, bool ends_stream) override;
  void ping_answered(Bytes) override {}
  void tell_body(Stream& stream, Bytes chunk) override;
  void tell_end(Stream& stream, const Fields& trailers) override;
  void tell_drained(Stream& stream) override { stream.client->drained(); }
  void tell_closed(Stream& stream, std::uint32_t error) override;

  void response(Stream& stream, bool ends_stream);

  ResponseHead* head_ = nullptr;  // of the section that arrives
  std::optional<std::uint64_t> length_;
  std::string_view length_text_;
  bool shut_down_ = false;
};

Client::Client(const Settings& settings) : Endpoint(Side::kClient, settings) {
  const std::array<nghttp2_settings_entry, 3> entries{{
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.stream_window_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
       static_cast<std::uint32_t>(std::min<std::size_t>(settings.header_bytes_max, UINT32_MAX))},
  }};
  nghttp2_submit_settings(session(), NGHTTP2_FLAG_NONE, entries.data(), entries.size());
  nghttp2_session_set_local_window_size(
      session(), NGHTTP2_FLAG_NONE, 0, static_cast<std::int32_t>(settings.connection_window_bytes));
}

bool Client::has_room() const {
  return !going_away() && nghttp2_session_check_request_allowed(session()) != 0 &&
         Endpoint::streams().size() < nghttp2_session_get_remote_settings(
                                          session(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

// Nothing may be requested for other reasons too, but these do not end either.
bool Client::going_away() const {
  return dead() || shut_down_ || nghttp2_session_check_request_allowed(session()) == 0;
}

bool Client::allows_connect_protocol() const {
  return nghttp2_session_get_remote_settings(session(), NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) ==
         1;
}

std::int32_t Client::request(const RequestHead& head, BodyLength body, ClientStream& owner) {
  if (!has_room()) return -1;
  const bool connects = !head.protocol.empty();
  const bool empty = !connects && (body.kind == BodyLength::Kind::kNone ||
                                   (body.kind == BodyLength::Kind::kKnown && body.bytes == 0));
  NameValues& list = NameValues::fresh();
  list.add(":method", connects ? "CONNECT" : head.method);
  if (connects) list.add(":protocol", head.protocol);
  if (connects || head.method != "CONNECT") {
    list.add(":scheme", head.scheme);
    list.add(":path", head.path);
  }
  if (!head.authority.empty()) list.add(":authority", head.authority);
  list.add_length(body);
  list.add_fields(head.fields, false);
  const std::int32_t id = submit_request(list, !empty);
  if (id < 0) return id;
  Stream& stream = Endpoint::streams().add(id);
  stream.client = &owner;
  stream.ended = empty;
  stream.to_head = head.method == "HEAD";
  stream.out.keep();
  return id;
}

void Client::cancel(std::int32_t id) {
  Stream* const stream = Endpoint::streams().find(id);
  if (stream == nullptr) return;
  reset(*stream, NGHTTP2_CANCEL);
  stream->client = nullptr;
  stream->reset = true;
}

void Client::ping() {
  if (!dead()) nghttp2_submit_ping(session(), NGHTTP2_FLAG_NONE, nullptr);
}

void Client::shut_down() {
  if (dead() || shut_down_) return;
  shut_down_ = true;
  nghttp2_submit_goaway(session(), NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, nullptr, 0);
}

bool Client::section_begins(std::int32_t id, bool) {
  Stream* const stream = Endpoint::streams().find(id);
  if (stream == nullptr || stream->over()) return false;
  section().stream = stream;
  section().is_trailers = stream->responded;
  if (section().is_trailers) return true;
  head_ = &stream->client->head();
  head_->clear();
  length_.reset();
  length_text_ = {};
  return true;
}

void Client::field(Text name, Text value) {
  Stream& stream = *section().stream;
  if (stream.over()) return;
  if (name.text.starts_with(':')) {
    // nghttp2 has seen to it that it is three digits, and the only one.
    const auto status = h1::parse_length(value.text);
    if (name.text != ":status" || !status || *status > 999) section().is_malformed = true;
    head_->status = static_cast<std::uint16_t>(status.value_or(0));
    return;
  }
  switch (h1::known_field(name.text)) {
    case h1::KnownField::kContentLength:
      length_ = h1::parse_length(value.text);
      length_text_ = copy_to(head_->arena, value);
      if (!length_) section().is_malformed = true;
      return;
    case h1::KnownField::kUpgrade:
    case h1::KnownField::kConnection:
    case h1::KnownField::kTransferEncoding:
      section().is_malformed = true;
      return;
    default:
      break;
  }
  const std::string_view copied = copy_to(head_->arena, name);
  head_->fields.add(copied, copy_to(head_->arena, value));
}

void Client::head_ends(Stream& stream, bool ends_stream) {
  stream.got_end = ends_stream;
  if (stream.over()) return;
  stream.out.forget();
  if (section().is_too_large) {
    refuse(stream, NGHTTP2_CANCEL);
  } else if (section().is_malformed || head_->status < 100 || head_->status == 101) {
    refuse(stream, NGHTTP2_PROTOCOL_ERROR);
  } else if (head_->status < 200) {
    stream.client->interim();
  } else {
    response(stream, ends_stream);
  }
}

void Client::response(Stream& stream, bool ends_stream) {
  stream.responded = true;
  const bool bodyless = stream.to_head || head_->status == 204 || head_->status == 304;
  if (length_ && (stream.to_head || head_->status == 304)) {
    head_->fields.add("content-length", length_text_);
  }
  // What END_STREAM may still come alone is of no interest; DATA is against the rules.
  stream.dropping = bodyless;
  BodyLength body{BodyLength::Kind::kUnknown, 0};
  if (ends_stream || bodyless) {
    body.kind = BodyLength::Kind::kNone;
  } else if (length_) {
    // Behind a body of no bytes there may be trailers; what says that it is empty ends with its
    // head.
    if (*length_ != 0) body = {BodyLength::Kind::kKnown, *length_};
    stream.counted = true;
    stream.left = *length_;
  }
  stream.client->response(body);
}

// nghttp2 holds most responses to their length, but not all of those to CONNECT (RFC 9113 section
// 8.1.1).
void Client::tell_body(Stream& stream, Bytes chunk) {
  if (stream.counted && chunk.size() > stream.left) {
    refuse(stream, NGHTTP2_PROTOCOL_ERROR);
    return;
  }
  if (stream.counted) stream.left -= chunk.size();
  stream.client->body(chunk);
}

void Client::tell_end(Stream& stream, const Fields& trailers) {
  if (stream.counted && stream.left != 0) {
    refuse(stream, NGHTTP2_PROTOCOL_ERROR);
    return;
  }
  stream.client->body_end(trailers);
}

void Client::tell_closed(Stream& stream, std::uint32_t error) {
  if (stream.client == nullptr) return;
  const bool unprocessed =
      !stream.head_sent || (error == NGHTTP2_REFUSED_STREAM && !stream.responded);
  if (unprocessed) {
    if (const auto body = stream.out.all()) stream.client->returned(*body);
  }
  if (!unprocessed && error != NGHTTP2_NO_ERROR && !stream.peer_reset) stream.client->refused();
  stream.client->closed(error, unprocessed);
}

}  // namespace

std::unique_ptr<ClientConnection> ClientConnection::make(const Settings& settings) {
  return std::make_unique<Client>(settings);
}

}  // namespace postern::http::h2
