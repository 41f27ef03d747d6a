#include "gateway/backend_connection.h"

#include <utility>

#include "gateway/loop_mark.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace postern::gateway {

Result<std::unique_ptr<BackendConnection>> BackendConnection::open(Backend& backend,
                                                                   const Endpoint& endpoint,
                                                                   bool http1_only,
                                                                   std::uint64_t tried) {
  std::unique_ptr<BackendConnection> connection(
      new BackendConnection(backend, endpoint, http1_only, tried));
  if (auto started = connection->connect(); !started) return tl::unexpected(started.error());
  return connection;
}

BackendConnection::BackendConnection(Backend& backend, const Endpoint& endpoint, bool http1_only,
                                     std::uint64_t tried)
    : backend_(backend),
      context_(backend.context()),
      endpoint_(endpoint),
      http1_only_(http1_only),
      tried_(tried) {}

BackendConnection::~BackendConnection() {
  if (stream_ != nullptr) context_.output.forget(*stream_);
}

Result<void> BackendConnection::connect() {
  net::Loop& loop = context_.loop;
  if (backend_.url().scheme != http::BackendScheme::kHttps) {
    net::TcpSettings settings;
    settings.connect_timeout_ms = Backend::kConnectTimeoutMs;
    settings.fd_end = context_.site->site->fd_end;
    auto stream = net::TcpStream::connect(loop, endpoint_, *this, settings);
    if (!stream) return tl::unexpected(stream.error());
    stream_ = std::move(*stream);
    return {};
  }
  net::TlsSettings settings;
  settings.connect_timeout_ms = Backend::kConnectTimeoutMs;
  settings.fd_end = context_.site->site->fd_end;
  auto stream = net::TlsStream::connect(loop, endpoint_, backend_.url().host, *this,
                                        backend_.tls(http1_only_), settings);
  if (!stream) return tl::unexpected(stream.error());
  stream_ = std::move(*stream);
  return {};
}

bool BackendConnection::agreed_on_h2() const {
  if (backend_.url().scheme == http::BackendScheme::kH2c) return true;
  const auto* const tls = dynamic_cast<const net::TlsStream*>(stream_.get());
  return tls != nullptr && tls->alpn() == "h2";
}

void BackendConnection::connected() {
  is_h2_ = agreed_on_h2();
  leads_here_ = gateway::leads_here(*context_.site->site, *stream_);
  session_ = is_h2_ ? make_h2_backend(*this) : make_h1_backend(*this);
  keep(context_.loop.now_ms());
  backend_.connected(*this);
}

void BackendConnection::serve(BackendEvents& events, bool reused) {
  ++requests_;
  session_->serve(events, reused);
}

void BackendConnection::given_back(bool reusable) {
  backend_.end_use();
  if (closed_) return;
  keep(context_.loop.now_ms());
  if (reusable && !is_last_) {
    backend_.available(*this);
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
    backend_.connect_failed(*this, error);
    return;
  }
  fail(BackendFailure::kClosed, error.detail);
}

void BackendConnection::close() {
  if (std::exchange(closed_, true)) return;
  context_.output.forget(*stream_);
  stream_->pause();
  backend_.closed(*this);
}

void BackendConnection::fail(BackendFailure failure, std::string_view detail) {
  if (closed_) return;
  context_.output.drop(*stream_);
  close();
  session_->failed(failure, detail);
}

}  // namespace postern::gateway
