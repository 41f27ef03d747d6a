#include "gateway/connection.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "net/tcp.h"

namespace postern::gateway {
namespace {

constexpr std::uint64_t kLingerMs = 2000;       // a client that sends nothing more
constexpr std::uint64_t kLingerMaxMs = 30'000;  // one that goes on with its upload
// That goes on: OpenSSL's buffers, and what the client had us make room for.
constexpr std::size_t kHandshakeBytes = 64U << 10;
constexpr std::uint64_t kUnreadMs = 600'000;  // a client that reads nothing of what was sent

bool contains_name(const std::vector<std::string>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& known) { return http::same_name(known, name); });
}

constexpr std::string_view kPlainHttpAnswer =
    "HTTP/1.1 400 Bad Request\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 60\r\n"
    "Connection: close\r\n\r\n"
    "This port speaks HTTPS: write https:// in place of http://.\n";

}  // namespace

Result<std::unique_ptr<Connection>> Connection::accept(Context& context, Connections& owner,
                                                       net::Fd fd, const Endpoint& peer,
                                                       const Endpoint& local,
                                                       const Served& served) {
  std::unique_ptr<Connection> connection(new Connection(context, owner, peer, local, served));
  if (auto opened = connection->open(std::move(fd), peer); !opened) {
    return tl::unexpected(opened.error());
  }
  return connection;
}

Connection::Connection(Context& context, Connections& owner, const Endpoint& peer,
                       const Endpoint& local, const Served& served)
    : HeldBytes(context.memory),
      context_(context),
      owner_(owner),
      info_(http::Peer(peer.ip, served.listener->settings.forwarded)),
      local_(local),
      deadline_ms_(context.loop.now_ms() + context.site->site->limits.header_timeout_ms),
      read_ms_(context.loop.now_ms()),
      unread_max_ms_(kUnreadMs) {
  info_.site = context.site;
  info_.listener = served.listener;
  info_.tls = served.service == Service::kHttps;
  info_.port = local.port;
}

Connection::~Connection() {
  if (stream_ != nullptr) context_.output.forget(*stream_);
}

Result<void> Connection::open(net::Fd fd, const Endpoint& peer) {
  if (info_.tls) {
    net::TlsSettings settings;
    settings.plain_http_answer = kPlainHttpAnswer;
    settings.unsent_bytes_max = kUnsentBytesMax;
    auto stream = net::TlsStream::accepted(context_.loop, std::move(fd), peer, *this,
                                           info_.listener->tls, settings);
    if (!stream) return tl::unexpected(stream.error());
    stream_ = std::move(*stream);
    return {};
  }
  net::TcpSettings settings;
  settings.unsent_bytes_max = kUnsentBytesMax;
  auto stream = net::TcpStream::accepted(context_.loop, std::move(fd), peer, *this, settings);
  if (!stream) return tl::unexpected(stream.error());
  stream_ = std::move(*stream);
  session_ = make_h1_session(*this);
  return {};
}

void Connection::connected() {
  hold(0);
  const auto& tls = static_cast<const net::TlsStream&>(*stream_);
  info_.sni = tls.sni();
  count_handshake(tls);
  frames_ = tls.alpn() == "h2";
  session_ = frames_ ? make_h2_session(*this) : make_h1_session(*this);
  if (shut_down_) session_->shut_down();
}

void Connection::count_handshake(const net::TlsStream& tls) {
  if (tls.resumed()) {
    ++context_.counts.handshakes_resumed;
  } else {
    ++context_.counts.handshakes_full;
  }
  note_ech(tls.sni());
}

// The outer name of Encrypted Client Hello: only an HTTPS record from outside can have brought a
// browser to use it here.
void Connection::note_ech(std::string_view sni) {
  if (sni.empty() || !contains_name(context_.site->site->ech_public_names, sni)) return;
  ++context_.counts.ech_outer_sni;
  context_.ech_tried.add(info_.peer.address, context_.loop.now_ms());
  if (!context_.is_first_note(ClientEvent::kEchSeen, info_.peer.address)) return;
  ClientNote note;
  note.event = ClientEvent::kEchSeen;
  note.client = info_.peer.address;
  note.name = sni;
  context_.notes->tell(std::move(note));
}

void Connection::received(Bytes chunk) {
  if (closed_) return;
  if (lingering_) {
    const std::uint64_t later_ms = context_.loop.now_ms() + kLingerMs;
    deadline_ms_ = std::max(deadline_ms_, std::min(later_ms, lingering_max_ms_));
    return;
  }
  received_ = true;
  session_->received(chunk);
}

void Connection::ended() {
  if (closed_) return;
  input_ended_ = true;
  if (lingering_) {
    if (stream_->unsent() == 0) close();
    return;
  }
  session_->ended();
}

void Connection::drained() {
  if (closed_ || session_ == nullptr) return;
  hold(0);
  if (lingering_) {
    deadline_ms_ = context_.loop.now_ms() + kLingerMs;
    if (input_ended_) close();
    return;
  }
  session_->drained();
}

void Connection::failed(const Error& error) {
  if (closed_) return;
  if (session_ != nullptr) {
    session_->failed("the client closed the connection");
  } else {
    ++context_.counts.handshakes_failed;
    if (error.code == Code::kNotFound) ++context_.counts.unknown_sni;
    note_ech(static_cast<const net::TlsStream&>(*stream_).sni());
    log_failed_handshake(error);
  }
  close();
}

// Clients that go away in the middle are no news; those that speak something else are.
void Connection::log_failed_handshake(const Error& error) {
  std::uint64_t held_back = 0;
  if (error.code == Code::kIo ||
      !context_.handshake_log.allow(context_.loop.now_ms(), &held_back)) {
    log_debug("handshake_failed", "client {}: {}", info_.peer.text, error.detail);
    return;
  }
  log_info("handshake_failed", "client {} on {}: {}{}", info_.peer.text, local_.to_string(),
           error.detail, LogLimit::text(held_back));
}

void Connection::check(std::uint64_t now_ms) {
  if (closed_) return;
  if (session_ == nullptr) {
    if (static_cast<const net::TlsStream&>(*stream_).has_begun()) hold(kHandshakeBytes);
    if (now_ms >= deadline_ms_) give_up_handshake();
    return;
  }
  const std::uint64_t sent = stream_->sent_total();
  const bool read = std::exchange(sent_, sent) != sent;
  if (read || stream_->unsent() == 0 || watch_.look(*stream_, now_ms - read_ms_, unread_max_ms_)) {
    read_ms_ = now_ms;
    watch_.restart(*stream_);
  }
  if (lingering_) {
    check_lingering(now_ms);
  } else {
    if (frames_) hold(stream_->unsent());
    session_->check(now_ms);
    if (!closing()) rest_if_idle(read);
  }
}

void Connection::give_up_handshake() {
  ++context_.counts.header_timeouts;
  ++context_.counts.handshakes_failed;
  close();
}

void Connection::give_up_held() {
  if (closed_) return;
  if (session_ == nullptr) return give_up_handshake();
  if (!lingering_) session_->failed("memory short");
  close();
}

void Connection::rest_if_idle(bool moved) {
  if (std::exchange(received_, false) || moved) return;
  session_->rest();
  stream_->rest();
}

// As long as the client goes on reading, what was sent is waited for.
void Connection::check_lingering(std::uint64_t now_ms) {
  hold(stream_->unsent());
  if (stream_->unsent() == 0) {
    if (now_ms >= deadline_ms_) close();
  } else if (unread_too_long(now_ms)) {
    ++context_.counts.idle_timeouts;
    close();
  }
}

void Connection::read_within(std::uint64_t limit_ms) {
  unread_max_ms_ = limit_ms == 0 ? kUnreadMs : limit_ms;
}

void Connection::move_to_site() {
  if (closed_) return;
  const Served served = context_.site->site->find(local_);
  const bool same_kind = served.listener != nullptr &&
                         (served.service == Service::kHttps) == info_.tls &&
                         served.service != Service::kTcp;
  if (!same_kind) {
    shut_down();
    return;
  }
  info_.site = context_.site;
  info_.listener = served.listener;
  info_.peer = http::Peer(info_.peer.address, served.listener->settings.forwarded);
}

void Connection::shut_down() {
  shut_down_ = true;
  if (session_ != nullptr && !closing()) session_->shut_down();
}

// A response without a length must not look complete.
void Connection::cut() {
  if (session_ == nullptr || closed_) return;
  if (lingering_) {
    if (stream_->unsent() > 0) stream_->reset_on_close();
    return;
  }
  stream_->reset_on_close();
  session_->failed("the gateway was stopped");
}

void Connection::close() {
  if (std::exchange(closed_, true)) return;
  hold(0);
  context_.output.forget(*stream_);
  if (stream_->unsent() > 0) stream_->reset_on_close();  // what is cut must not look complete
  stream_->pause();
  owner_.closed(*this);
}

void Connection::close_gently(bool uploads) {
  if (closing()) return;
  lingering_ = true;
  session_->lingers();
  context_.output.flush(*stream_);
  deadline_ms_ = context_.loop.now_ms() + kLingerMs;
  lingering_max_ms_ = uploads ? context_.loop.now_ms() + kLingerMaxMs : 0;
  if (uploads) unread_max_ms_ = std::min(unread_max_ms_, kBrokenUnreadMs);
  stream_->finish();
  if (input_ended_ && stream_->unsent() == 0) {
    close();
  } else {
    stream_->resume();
  }
}

}  // namespace postern::gateway
