// One connection to a backend: opened, with TLS where the URL says so, then spoken to in HTTP/1.1
// or HTTP/2. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/address.h"
#include "base/result.h"
#include "gateway/backend.h"
#include "gateway/exchange_sides.h"
#include "net/stream.h"

namespace postern::gateway {

class BackendConnection;

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
  /// `tried`: the addresses of the backend that were tried, this one among them, as bits.
  static Result<std::unique_ptr<BackendConnection>> open(Backend& backend, const Endpoint& endpoint,
                                                         bool http1_only, std::uint64_t tried);
  ~BackendConnection() override;

  const Endpoint& endpoint() const { return endpoint_; }
  std::uint64_t tried() const { return tried_; }
  bool http1_only() const { return http1_only_; }
  bool is_h2() const { return is_h2_; }
  bool is_connecting() const { return session_ == nullptr; }
  bool leads_here() const { return leads_here_; }
  bool has_room() const { return session_ != nullptr && session_->has_room(); }
  bool is_idle() const { return session_ == nullptr || session_->is_idle(); }
  /// Something, or the end, has come that nobody asked for.
  bool has_input() const { return stream_->has_input(); }
  std::uint64_t requests() const { return requests_; }
  void serve(BackendEvents& events, bool reused);
  /// The request that it gets is the last one.
  void make_last() { is_last_ = true; }
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
  Backend& backend() { return backend_; }
  net::Stream& stream() { return *stream_; }
  /// A request is over; whether the connection can take another.
  void given_back(bool reusable);

  // StreamReader
  void connected() override;
  void received(Bytes chunk) override;
  void ended() override;
  void drained() override;
  void failed(const Error& error) override;

 private:
  BackendConnection(Backend& backend, const Endpoint& endpoint, bool http1_only,
                    std::uint64_t tried);
  Result<void> connect();
  bool agreed_on_h2() const;

  Backend& backend_;
  Context& context_;  // may be needed when the backend is gone
  Endpoint endpoint_;
  bool http1_only_;
  bool is_h2_ = false, closed_ = false, leads_here_ = false, is_last_ = false;
  std::uint64_t tried_;
  std::uint64_t requests_ = 0;
  std::uint64_t kept_since_ms_ = 0;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<BackendSession> session_;
};

std::unique_ptr<BackendSession> make_h1_backend(BackendConnection& connection);
std::unique_ptr<BackendSession> make_h2_backend(BackendConnection& connection);

}  // namespace postern::gateway
