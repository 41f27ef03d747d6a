// The admin address: a small HTTP/1.1 responder for metrics and health. One request for each
// connection, GET and HEAD only, everything bounded. Main thread's loop.
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

namespace postern::server {

struct AdminReply {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

/// What stands in a request line (RFC 9112 section 3).
struct AdminRequest {
  std::string method;
  std::string path;  ///< without query
};

/// Malformed: not a request line of HTTP/1.x.
Result<AdminRequest> parse_request_line(std::string_view line);
std::string render_reply(const AdminReply& reply, bool with_body);

class AdminServer {
 public:
  static constexpr std::size_t kRequestBytesMax = 8192;
  static constexpr std::size_t kConnectionsMax = 64;
  static constexpr std::uint64_t kRequestTimeoutMs = 5000;
  static constexpr std::uint64_t kLingerMs = 500;  ///< for the client to close, after the reply
  static constexpr std::uint64_t kRefusedLogMs = 60'000;

  using Respond = std::function<void(AdminReply)>;
  /// Calls `respond` once, now or later, also when the connection is gone by then.
  using Handler = std::function<void(const std::string& path, Respond respond)>;

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
