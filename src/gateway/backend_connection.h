// One connection to a backend: opened, with TLS where the URL says so, then spoken to in HTTP/1.1
// or HTTP/2. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/address.h"
#include "base/result.h"
#include "gateway/context.h"
#include "gateway/exchange_sides.h"
#include "http/url.h"
#include "net/stream.h"
#include "net/tls.h"

namespace postern::gateway {

class BackendConnection;

/// Who has opened connections to a backend, and keeps them.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual void connected(BackendConnection& connection) = 0;
  /// It is of no use any more; its memory must last until the end of the turn.
  virtual void connect_failed(BackendConnection& connection, const Error& error) = 0;
  /// It can take a request (again).
  virtual void available(BackendConnection& connection) = 0;
  /// One that was served is.
  virtual void request_over(bool failed) = 0;
  /// It is gone; its memory must last until the end of the turn.
  virtual void closed(BackendConnection& connection) = 0;
};

/// Where it leads, and how.
struct BackendPlace {
  const http::BackendUrl& url;
  Endpoint address;
  std::shared_ptr<const net::TlsClient> tls;  ///< for https://
};

/// What speaks the protocol, once connected.
class BackendSession {
 public:
  virtual ~BackendSession() = default;
  virtual void serve(BackendEvents& events, bool reused) = 0;
  virtual bool has_room() const = 0;  ///< for one more request
  virtual bool is_idle() const = 0;
  virtual void received(Bytes chunk) = 0;
  virtual void ended() = 0;
  virtual void drained() = 0;
  /// The connection is gone: tell those whose requests are under way.
  virtual void failed(BackendFailure failure, std::string_view detail) = 0;
  /// Every sweep: is the other side still there?
  virtual void check(std::uint64_t) {}
};

class BackendConnection final : public net::StreamReader {
 public:
  static constexpr std::uint32_t kConnectTimeoutMs = 5'000;

  /// What of it only the owner needs.
  struct Notes {
    bool http1_only = false;
    std::uint64_t tried = 0;  ///< the addresses of the backend that were, this one too, as bits
  };
  static Result<std::unique_ptr<BackendConnection>> open(Context& context, ConnectionOwner& owner,
                                                         const BackendPlace& place,
                                                         const Notes& notes);
  ~BackendConnection() override;

  const Endpoint& endpoint() const { return endpoint_; }
  const Notes& notes() const { return notes_; }
  bool is_h2() const { return is_h2_; }
  bool is_connecting() const { return session_ == nullptr; }
  bool leads_here() const { return leads_here_; }
  bool has_room() const { return session_ != nullptr && session_->has_room(); }
  bool is_idle() const { return session_ == nullptr || session_->is_idle(); }
  /// Something, or the end, has come that nobody asked for.
  bool has_input() const { return stream_->has_input(); }
  std::uint64_t requests() const { return requests_; }
  void serve(BackendEvents& events, bool reused);
  void keep(std::uint64_t now_ms) { kept_since_ms_ = now_ms; }
  std::uint64_t kept_since_ms() const { return kept_since_ms_; }

  void check(std::uint64_t now_ms) {
    if (!closed_ && session_ != nullptr) session_->check(now_ms);
  }
  /// Closes it; requests under way are not told.
  void close();
  /// Closes it and tells them.
  void fail(BackendFailure failure, std::string_view detail);

  // For its session.
  Context& context() { return context_; }
  net::Stream& stream() { return *stream_; }
  void note_room() { owner_.available(*this); }
  /// A request is over; whether the connection can take another.
  void given_back(bool reusable);
  /// It is over since it failed.
  void request_failed() { owner_.request_over(true); }

  // StreamReader
  void connected() override;
  void received(Bytes chunk) override;
  void ended() override;
  void drained() override;
  void failed(const Error& error) override;

 private:
  BackendConnection(Context& context, ConnectionOwner& owner, const BackendPlace& place,
                    const Notes& notes);
  Result<void> connect(const BackendPlace& place);
  bool agreed_on_h2() const;

  Context& context_;
  ConnectionOwner& owner_;
  Endpoint endpoint_;
  http::BackendScheme scheme_;
  Notes notes_;
  bool is_h2_ = false, closed_ = false, leads_here_ = false;
  std::uint64_t requests_ = 0;
  std::uint64_t kept_since_ms_ = 0;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<BackendSession> session_;
};

std::unique_ptr<BackendSession> make_h1_backend(BackendConnection& connection);
std::unique_ptr<BackendSession> make_h2_backend(BackendConnection& connection);

}  // namespace postern::gateway
