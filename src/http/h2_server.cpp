#include "http/h2_server.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "http/authority.h"
#include "http/h1_framing.h"
#include "http/h1_text.h"
#include "http/h2_endpoint.h"

namespace postern::http::h2 {
namespace {

constexpr std::array<std::uint8_t, 8> kShutdownPing{'s', 'h', 'u', 't', 'd', 'o', 'w', 'n'};
// That many heads at most wait for a client that does not read; the others are left out.
// Of one stream, that wait for a client which does not read; what comes then is left out.
constexpr std::size_t kInterimBytesMax = 64U << 10;
constexpr std::size_t kInterimOverhead = 256;  // of memory
constexpr nghttp2_extpri kFair{NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};

/// What the fields of a request say that are not passed on as they are.
struct Gathered {
  std::string_view host;
  bool has_host = false;
  bool has_priority = false;
  bool bad_length = false;
  std::optional<std::uint64_t> length;
  std::vector<std::string_view> cookies;  // with "; " between them

  void clear() {
    host = {};
    has_host = has_priority = bad_length = false;
    length.reset();
    cookies.clear();
  }
};

// What nghttp2 does not see to: it knows which pseudo-fields there have to be, and most of what
// they may consist of (RFC 9113 section 8.3.1).
bool is_valid(const RequestHead& head) {
  if (!h1::is_token(head.method)) return false;
  if (head.method == "CONNECT" && head.protocol.empty()) return head.path.empty();
  if (head.scheme != "http" && head.scheme != "https") return false;
  if (!h1::is_visible(head.path) || head.path.find('#') != std::string_view::npos) return false;
  return head.path.front() == '/' || (head.path == "*" && head.method == "OPTIONS");
}

// ":authority", or else Host; when there are both they have to say the same (section 8.3.1).
bool settle_authority(const Gathered& gathered, RequestHead* head) {
  if (gathered.has_host && head->authority.empty()) head->authority = gathered.host;
  const auto authority = parse_authority(head->authority);
  if (!authority) return false;
  head->authority = authority->text;
  if (!gathered.has_host) return true;
  const auto host = parse_authority(gathered.host);
  return host && same_name(host->text, authority->text);
}

class Server final : public ServerConnection, private Endpoint {
 public:
  Server(const Settings& settings, ServerEvents& events);

  bool receive(Bytes input, std::uint64_t now_ms) override {
    return Endpoint::receive(input, now_ms);
  }
  Abuse abuse() const override { return Endpoint::abuse(); }
  std::string_view fault() const override { return Endpoint::fault(); }
  std::size_t collect(MutableBytes out) override;
  bool wants_write() const override { return goaway_due_ || Endpoint::wants_write(); }
  void rest() override { Endpoint::rest(); }
  bool finished() const override;
  std::size_t streams() const override { return Endpoint::streams().size(); }

  void interim(std::int32_t stream, const ResponseHead& head) override;
  void respond(std::int32_t stream, const ResponseHead& head, BodyLength body) override;
  void body(std::int32_t stream, Bytes chunk) override { Endpoint::body(stream, chunk); }
  void lend(std::int32_t stream, Bytes chunk) override { Endpoint::lend(stream, chunk); }
  void keep(std::int32_t stream) override { Endpoint::keep(stream); }
  void body_end(std::int32_t stream, const Fields& trailers) override {
    Endpoint::body_end(stream, trailers);
  }
  std::size_t unsent(std::int32_t stream) const override { return Endpoint::unsent(stream); }
  bool has_window(std::int32_t stream) const override { return Endpoint::has_window(stream); }
  void reset(std::int32_t stream, std::uint32_t error) override;
  void reset_stalled(std::int32_t stream) override;
  void stop_request(std::int32_t stream) override;
  void consumed(std::int32_t stream, std::size_t bytes) override {
    Endpoint::consumed(stream, bytes);
  }
  void shut_down() override;
  bool shutting_down() const override { return shutdown_ != Shutdown::kNone; }

 private:
  enum class Shutdown : std::uint8_t { kNone, kNotified, kFinal };

  bool section_begins(std::int32_t id, bool opens) override;
  void field(Text name, Text value) override;
  void head_ends(Stream& stream, bool ends_stream) override;
  void ping_answered(Bytes opaque) override;
  void tell_body(Stream& stream, Bytes chunk) override { stream.server->body(chunk); }
  void tell_end(Stream& stream, const Fields& trailers) override {
    stream.server->body_end(trailers);
  }
  void tell_drained(Stream& stream) override { stream.server->drained(); }
  void tell_closed(Stream& stream, std::uint32_t error) override { stream.server->closed(error); }
  void tell_refused() override { events_.refused(); }

  bool open(std::int32_t id);
  void pseudo_field(std::string_view name, std::string_view value);
  void cookie(Text value);
  void join_cookies();
  void announce(Stream& stream, bool ends_stream);

  ServerEvents& events_;
  RequestHead* head_ = nullptr;  // of the section that arrives
  Gathered gathered_;
  Shutdown shutdown_ = Shutdown::kNone;
  bool goaway_due_ = false;  // the second, with the last stream when it leaves
};

Server::Server(const Settings& settings, ServerEvents& events)
    : Endpoint(Side::kServer, settings), events_(events) {
  const auto bytes_max =
      static_cast<std::uint32_t>(std::min<std::size_t>(settings.header_bytes_max, UINT32_MAX));
  const std::array<nghttp2_settings_entry, 5> entries{{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings.streams_max},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.stream_window_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, bytes_max},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},  // RFC 9218 instead
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
  }};
  const std::size_t count = entries.size() - (settings.connect_protocol ? 0 : 1);
  nghttp2_submit_settings(session(), NGHTTP2_FLAG_NONE, entries.data(), count);
  nghttp2_session_set_local_window_size(
      session(), NGHTTP2_FLAG_NONE, 0, static_cast<std::int32_t>(settings.connection_window_bytes));
}

bool Server::section_begins(std::int32_t id, bool opens) {
  if (opens) return open(id);
  section().stream = Endpoint::streams().find(id);
  section().is_trailers = true;
  return section().stream != nullptr;
}

bool Server::open(std::int32_t id) {
  ServerStream* const owner = dead() ? nullptr : events_.opened(id);
  if (owner == nullptr) {
    nghttp2_submit_rst_stream(session(), NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    return false;
  }
  Stream& stream = Endpoint::streams().add(id);
  stream.server = owner;
  section().stream = &stream;
  head_ = &owner->head();
  head_->clear();
  gathered_.clear();
  return true;
}

void Server::field(Text name, Text value) {
  if (name.text.starts_with(':')) {
    pseudo_field(name.text, copy_to(head_->arena, value));
    return;
  }
  switch (h1::known_field(name.text)) {
    case h1::KnownField::kHost:
      gathered_.host = copy_to(head_->arena, value);
      gathered_.has_host = true;
      return;
    case h1::KnownField::kContentLength:
      gathered_.length = h1::parse_length(value.text);
      gathered_.bad_length = !gathered_.length;
      return;
    case h1::KnownField::kUpgrade:
    case h1::KnownField::kConnection:
    case h1::KnownField::kTransferEncoding:
      section().is_malformed = true;
      return;
    default:
      break;
  }
  if (name.text == "cookie") {
    cookie(value);
    return;
  }
  if (name.text == "priority") gathered_.has_priority = true;
  const std::string_view copied = copy_to(head_->arena, name);
  head_->fields.add(copied, copy_to(head_->arena, value));
}

void Server::pseudo_field(std::string_view name, std::string_view value) {
  if (name == ":method") {
    head_->method = value;
  } else if (name == ":path") {
    head_->path = value;
  } else if (name == ":scheme") {
    head_->scheme = value;
  } else if (name == ":authority") {
    head_->authority = value;
  } else if (name == ":protocol") {
    head_->protocol = value;
  } else {
    section().is_malformed = true;
  }
}

void Server::cookie(Text value) {
  if (!gathered_.cookies.empty()) gathered_.cookies.emplace_back("; ");
  gathered_.cookies.push_back(copy_to(head_->arena, value));
}

// Several lines of it are one in HTTP/1.1 (RFC 9113 section 8.2.3).
void Server::join_cookies() {
  if (gathered_.cookies.empty()) return;
  head_->fields.add("cookie", gathered_.cookies.size() == 1 ? gathered_.cookies.front()
                                                            : head_->arena.join(gathered_.cookies));
  gathered_.cookies.clear();
}

void Server::head_ends(Stream& stream, bool ends_stream) {
  stream.got_end = ends_stream;
  if (stream.over()) return;
  if (section().is_too_large) {
    stream.dropping = stream.stop_behind = true;
    stream.server->head_too_large(section().fields > settings().fields_max);
    return;
  }
  join_cookies();
  if (section().is_malformed || gathered_.bad_length || !is_valid(*head_) ||
      !settle_authority(gathered_, head_)) {
    refuse(stream, NGHTTP2_PROTOCOL_ERROR);
    return;
  }
  announce(stream, ends_stream);
}

void Server::announce(Stream& stream, bool ends_stream) {
  // Who says nothing about priority gets an equal share, not its turn (RFC 9218 section 4.2).
  if (!gathered_.has_priority) {
    nghttp2_session_change_extpri_stream_priority(session(), stream.id, &kFair, 0);
  }
  BodyLength body{BodyLength::Kind::kUnknown, 0};
  if (ends_stream) {
    body.kind = BodyLength::Kind::kNone;
  } else if (gathered_.length) {
    body = {BodyLength::Kind::kKnown, *gathered_.length};
  }
  stream.server->request(body);
}

void Server::ping_answered(Bytes opaque) {
  if (shutdown_ == Shutdown::kNotified && equal_bytes(opaque, kShutdownPing)) shut_down();
}

bool Server::finished() const {
  if (dead()) return true;
  const bool going = shutdown_ == Shutdown::kFinal || nghttp2_session_want_read(session()) == 0;
  return going && Endpoint::streams().empty();
}

void Server::interim(std::int32_t id, const ResponseHead& head) {
  Stream* const stream = Endpoint::streams().find(id);
  if (stream == nullptr || stream->over() || stream->responded || head.status / 100 != 1) return;
  if (stream->interim_bytes > kInterimBytesMax) return;
  NameValues& list = NameValues::fresh();
  list.add_status(head.status);
  list.add_fields(head.fields, false);
  ++stream->interims;
  stream->interim_bytes += kInterimOverhead;
  for (const Field& pair : list.pairs()) {
    stream->interim_bytes += pair.name.size() + pair.value.size();
  }
  submit_interim(id, list);
}

void Server::respond(std::int32_t id, const ResponseHead& head, BodyLength body) {
  Stream* const stream = Endpoint::streams().find(id);
  if (stream == nullptr || stream->over() || stream->responded) return;
  stream->responded = true;
  const bool empty = body.kind == BodyLength::Kind::kNone ||
                     (body.kind == BodyLength::Kind::kKnown && body.bytes == 0);
  stream->ended = empty;
  NameValues& list = NameValues::fresh();
  list.add_status(head.status);
  list.add_length(body);
  list.add_fields(head.fields, body.kind == BodyLength::Kind::kNone);
  submit_response(id, list, !empty);
}

void Server::reset(std::int32_t id, std::uint32_t error) {
  Stream* const stream = Endpoint::streams().find(id);
  if (stream != nullptr) Endpoint::reset(*stream, error);
}

void Server::reset_stalled(std::int32_t id) {
  Stream* const stream = Endpoint::streams().find(id);
  if (stream != nullptr) Endpoint::reset_stalled(*stream);
}

void Server::stop_request(std::int32_t id) {
  Stream* const stream = Endpoint::streams().find(id);
  if (stream == nullptr || stream->over() || stream->got_end) return;
  stream->dropping = true;
  if (stream->sent_end) {
    Endpoint::reset(*stream, NGHTTP2_NO_ERROR);
  } else {
    stream->stop_behind = true;
  }
}

void Server::shut_down() {
  if (dead() || shutdown_ == Shutdown::kFinal) return;
  if (shutdown_ == Shutdown::kNone) {
    shutdown_ = Shutdown::kNotified;
    nghttp2_submit_shutdown_notice(session());
    nghttp2_submit_ping(session(), NGHTTP2_FLAG_NONE, kShutdownPing.data());
    return;
  }
  shutdown_ = Shutdown::kFinal;
  goaway_due_ = true;
}

// What is taken until the second GOAWAY leaves is not left out by it (RFC 9113 section 6.8): the
// client would send it again.
std::size_t Server::collect(MutableBytes out) {
  if (std::exchange(goaway_due_, false)) {
    nghttp2_submit_goaway(session(), NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session()), NGHTTP2_NO_ERROR,
                          nullptr, 0);
  }
  return Endpoint::collect(out);
}

}  // namespace

std::unique_ptr<ServerConnection> ServerConnection::make(const Settings& settings,
                                                         ServerEvents& events) {
  return std::make_unique<Server>(settings, events);
}

}  // namespace postern::http::h2
