// A client's connection: accepted, with TLS where the listener's port says so, then spoken to in
// HTTP/1.1 or HTTP/2 as ALPN agreed. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/address.h"
#include "gateway/context.h"
#include "gateway/delivery_watch.h"
#include "gateway/exchange.h"
#include "gateway/memory_budget.h"
#include "net/socket.h"
#include "net/stream.h"
#include "net/tls.h"

namespace postern::gateway {

class Connection;

/// What speaks the protocol, once connected.
class Session {
 public:
  virtual ~Session() = default;
  virtual void received(Bytes chunk) = 0;
  virtual void ended() = 0;
  virtual void drained() = 0;
  /// The connection is gone: requests under way are over.
  virtual void failed(std::string_view why) = 0;
  /// Every kSweepMs: time limits.
  virtual void check(std::uint64_t now_ms) = 0;
  /// End it gracefully: requests under way finish.
  virtual void shut_down() = 0;
  /// What is left to send is the connection's.
  virtual void lingers() {}
  /// Nothing came or left for a while: what is not needed until then may go.
  virtual void rest() {}
};

/// Who owns the connections: they tell it when they are over.
class Connections {
 public:
  virtual ~Connections() = default;
  virtual void closed(Connection& connection) = 0;
};

/// So long a client is waited for that broke the rules, or goes on sending: see read_within().
inline constexpr std::uint64_t kBrokenUnreadMs = 60'000;

class Connection final : public net::StreamReader, private HeldBytes {
 public:
  static Result<std::unique_ptr<Connection>> accept(Context& context, Connections& owner,
                                                    net::Fd fd, const Endpoint& peer,
                                                    const Endpoint& local, const Served& served);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void check(std::uint64_t now_ms);
  /// New requests are served by the context's site; a connection nobody listens for any more ends.
  void move_to_site();
  void shut_down();
  /// The gateway goes: what is under way is over. REQUIRES: it is destroyed soon.
  void cut();

  // For its session.
  Context& context() { return context_; }
  net::Stream& stream() { return *stream_; }
  const ClientInfo& info() const { return info_; }
  /// Closes at once.
  void close();
  /// Sends what is left and waits a moment for the client to read it and to close (RFC 9112
  /// section 9.6); what still comes is dropped.
  /// `uploads`: for longer, as long as the rest of a request's body comes.
  void close_gently(bool uploads = false);
  bool closing() const { return closed_ || lingering_; }
  /// A client that takes nothing of what was sent is waited for this long; 0: as by default.
  void read_within(std::uint64_t limit_ms);
  bool unread_too_long(std::uint64_t now_ms) const {
    return stream_->unsent() > 0 && now_ms >= read_ms_ + unread_max_ms_;
  }

  // StreamReader
  void connected() override;
  void received(Bytes chunk) override;
  void ended() override;
  void drained() override;
  void failed(const Error& error) override;

  std::size_t index = 0;           ///< of its owner
  bool came_before_drain = false;  ///< for its owner

 private:
  Connection(Context& context, Connections& owner, const Endpoint& peer, const Endpoint& local,
             const Served& served);
  Result<void> open(net::Fd fd, const Endpoint& peer);
  void count_handshake(const net::TlsStream& tls);
  void note_ech(std::string_view sni);
  void give_up_held() override;
  std::uint64_t moved() const override { return stream_->acknowledged_total(); }
  void give_up_handshake();
  void log_failed_handshake(const Error& error);
  void check_lingering(std::uint64_t now_ms);
  void rest_if_idle(bool moved);

  Context& context_;
  Connections& owner_;
  ClientInfo info_;
  Endpoint local_;
  bool closed_ = false, lingering_ = false, shut_down_ = false;
  bool frames_ = false;                 // HTTP/2: what waits is not of one response
  bool input_ended_ = false;            // the client has said all
  std::uint64_t deadline_ms_;           // of the handshake, of lingering
  bool received_ = false;               // since the last check
  std::uint64_t sent_ = 0;              // in all, at the last check
  std::uint64_t lingering_max_ms_ = 0;  // no client is waited for longer that goes on sending
  std::uint64_t read_ms_;               // the client read something, or there was nothing
  DeliveryWatch watch_;
  std::uint64_t unread_max_ms_;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<Session> session_;
};

std::unique_ptr<Session> make_h1_session(Connection& connection);
std::unique_ptr<Session> make_h2_session(Connection& connection);

}  // namespace postern::gateway
