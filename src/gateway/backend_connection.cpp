#include "gateway/backend_connection.h"

#include <utility>

#include "gateway/loop_mark.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace postern::gateway {

Result<std::unique_ptr<BackendConnection>> BackendConnection::open(Context& context,
                                                                   ConnectionOwner& owner,
                                                                   const BackendPlace& place,
                                                                   const Notes& notes) {
  std::unique_ptr<BackendConnection> connection(
      new BackendConnection(context, owner, place, notes));
  if (auto started = connection->connect(place); !started) return tl::unexpected(started.error());
  return connection;
}

BackendConnection::BackendConnection(Context& context, ConnectionOwner& owner,
                                     const BackendPlace& place, const Notes& notes)
    : context_(context),
      owner_(owner),
      endpoint_(place.address),
      scheme_(place.url.scheme),
      notes_(notes) {}

BackendConnection::~BackendConnection() {
  if (stream_ != nullptr) context_.output.forget(*stream_);
}

Result<void> BackendConnection::connect(const BackendPlace& place) {
  net::Loop& loop = context_.loop;
  if (scheme_ != http::BackendScheme::kHttps) {
    net::TcpSettings settings;
    settings.unsent_bytes_max = kUnsentBytesMax;
    settings.connect_timeout_ms = kConnectTimeoutMs;
    settings.fd_end = context_.site->site->fd_end;
    auto stream = net::TcpStream::connect(loop, endpoint_, *this, settings);
    if (!stream) return tl::unexpected(stream.error());
    stream_ = std::move(*stream);
    return {};
  }
  net::TlsSettings settings;
  settings.unsent_bytes_max = kUnsentBytesMax;
  settings.connect_timeout_ms = kConnectTimeoutMs;
  settings.fd_end = context_.site->site->fd_end;
  auto stream =
      net::TlsStream::connect(loop, endpoint_, place.url.host, *this, place.tls, settings);
  if (!stream) return tl::unexpected(stream.error());
  stream_ = std::move(*stream);
  return {};
}

bool BackendConnection::agreed_on_h2() const {
  if (scheme_ == http::BackendScheme::kH2c) return true;
  const auto* const tls = dynamic_cast<const net::TlsStream*>(stream_.get());
  return tls != nullptr && tls->alpn() == "h2";
}

void BackendConnection::connected() {
  if (closed_) return;
  is_h2_ = agreed_on_h2();
  leads_here_ = gateway::leads_here(*context_.site->site, *stream_);
  session_ = is_h2_ ? make_h2_backend(*this) : make_h1_backend(*this);
  keep(context_.loop.now_ms());
  owner_.connected(*this);
}

void BackendConnection::serve(BackendEvents& events, bool reused) {
  ++requests_;
  session_->serve(events, reused);
}

void BackendConnection::given_back(bool reusable) {
  owner_.request_over(false);
  if (closed_) return;
  keep(context_.loop.now_ms());
  if (reusable) {
    owner_.available(*this);
  } else {
    close();
  }
}

void BackendConnection::received(Bytes chunk) {
  if (!closed_) session_->received(chunk);
}

void BackendConnection::ended() {
  if (!closed_) session_->ended();
}

void BackendConnection::drained() {
  if (!closed_) session_->drained();
}

void BackendConnection::failed(const Error& error) {
  if (closed_) return;
  if (session_ == nullptr) {
    closed_ = true;
    const bool no_tls = error.code == Code::kMalformed && scheme_ == http::BackendScheme::kHttps;
    owner_.connect_failed(
        *this,
        no_tls ? Error{error.code, error.detail + "; for one without TLS write http://"} : error);
    return;
  }
  fail(BackendFailure::kClosed, error.detail);
}

void BackendConnection::close() {
  if (std::exchange(closed_, true)) return;
  context_.output.forget(*stream_);
  stream_->pause();
  owner_.closed(*this);
}

void BackendConnection::fail(BackendFailure failure, std::string_view detail) {
  if (closed_) return;
  context_.output.drop(*stream_);
  close();
  session_->failed(failure, detail);
}

}  // namespace postern::gateway
