// The admin address: a small HTTP/1.1 responder for metrics, health, the API and the status page.
// One request for each connection, without a body; a reply may go on for as long as the client
// stays (server-sent events). Everything bounded. Main thread's loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/log.h"
#include "base/result.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "server/admin_request.h"

namespace postern::server {

class AdminServer;

/// The open end of a reply that goes on. A value; outlives the connection and the server.
class AdminStream {
 public:
  /// False: not taken, because too much waits to be sent already, or the client is gone.
  bool send(std::string_view text) const;
  void close() const;

 private:
  friend class AdminServer;
  std::weak_ptr<bool> alive_;
  AdminServer* server_ = nullptr;
  std::uint64_t id_ = 0;
};

struct AdminReply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::string fields{};  ///< further fields, each with its CRLF
  /// Set: the reply goes on behind `body`. Called once, in respond(), unless the client is gone.
  std::function<void(AdminStream)> opened{};
  std::function<void()> closed{};  ///< the client of an opened one has gone
};

std::string render_reply(const AdminReply& reply, bool with_body);

class AdminServer {
 public:
  static constexpr std::size_t kRequestBytesMax = 8192;
  static constexpr std::size_t kConnectionsMax = 64;
  static constexpr std::uint64_t kRequestTimeoutMs = 5000;
  static constexpr std::uint64_t kAnswerTimeoutMs = 60'000;         ///< a reload takes its time
  static constexpr std::size_t kStreamUnsentBytesMax = 256U << 10;  ///< of a reply that goes on
  static constexpr std::uint64_t kLingerMs = 500;  ///< for the client to close, after the reply
  static constexpr std::uint64_t kRefusedLogMs = 60'000;

  using Respond = std::function<void(AdminReply)>;
  /// Calls `respond` once, now or later, also when the connection is gone by then.
  using Handler = std::function<void(const AdminRequest& request, Respond respond)>;

  static Result<std::unique_ptr<AdminServer>> open(net::Loop& loop, const Endpoint& endpoint,
                                                   Handler handler);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  Endpoint local() const { return listener_->local(); }
  /// Connections closed at once: kConnectionsMax, or no descriptor was left.
  std::uint64_t refused() const { return refused_; }

 private:
  class Connection;
  friend class AdminStream;

  AdminServer(net::Loop& loop, Handler handler);
  void accept(net::Fd fd, const Endpoint& peer);
  void refuse(const Endpoint& peer);
  void close_later(std::uint64_t id);

  net::Loop& loop_;
  Handler handler_;
  std::unique_ptr<net::TcpListener> listener_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::uint64_t> closing_;
  net::Deferred close_;
  std::uint64_t next_id_ = 1;
  std::uint64_t refused_ = 0;
  LogLimit refused_log_{kRefusedLogMs};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for replies that come later
};

}  // namespace postern::server
