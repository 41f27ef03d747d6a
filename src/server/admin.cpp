#include "server/admin.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "net/timer.h"

namespace postern::server {
namespace {

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 422:
      return "Unprocessable Content";
    case 431:
      return "Request Header Fields Too Large";
    default:
      return "Service Unavailable";
  }
}

}  // namespace

std::string render_reply(const AdminReply& reply, bool with_body) {
  const std::string length =
      reply.opened ? "" : fmt::format("Content-Length: {}\r\n", reply.body.size());
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\n{}Cache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\n{}Connection: close\r\n\r\n{}",
      reply.status, reason(reply.status), reply.content_type, length, reply.fields,
      with_body ? std::string_view(reply.body) : std::string_view());
}

class AdminServer::Connection final : public net::StreamReader {
 public:
  Connection(AdminServer& server, std::uint64_t id)
      : server_(server), id_(id), timeout_(server.loop_, [this] { server_.close_later(id_); }) {
    timeout_.start_once(kRequestTimeoutMs);
  }
  ~Connection() override {
    if (closed_) closed_();
  }

  Result<void> open(net::Fd fd, const Endpoint& peer) {
    net::TcpSettings settings;
    settings.unsent_bytes_max = 64U << 20;
    auto stream = net::TcpStream::accepted(server_.loop_, std::move(fd), peer, *this, settings);
    if (!stream) return tl::unexpected(stream.error());
    stream_ = std::move(*stream);
    return {};
  }

  void respond(const AdminReply& reply) {
    if (!stream_->write(as_bytes(render_reply(reply, with_body_)))) {
      stream_->write(as_bytes(
          render_reply({503, "text/plain", "the answer is too long\n", {}, {}, {}}, with_body_)));
    }
    if (reply.opened && with_body_) return go_on(reply);
    stream_->finish();
    responded_ = true;
    timeout_.start_once(stream_->unsent() == 0 ? kLingerMs : kRequestTimeoutMs);
    close_when_done();
  }

  bool send(std::string_view text) {
    if (stream_->unsent() + text.size() > kStreamUnsentBytesMax) return false;
    return stream_->write(as_bytes(text));
  }

  void received(Bytes chunk) override {
    if (answered_) return;
    request_ += as_text(chunk);
    const std::size_t end = request_.find("\r\n\r\n");
    if (request_.size() > kRequestBytesMax) return refuse(431, "the request is too long\n");
    if (end == std::string::npos) return;
    answer(std::string_view(request_).substr(0, end));
  }
  void ended() override {
    ended_ = true;
    if (going_on_) server_.close_later(id_);
    close_when_done();
  }
  void drained() override {
    if (going_on_) return;
    timeout_.start_once(kLingerMs);
    close_when_done();
  }
  void failed(const Error&) override { server_.close_later(id_); }

 private:
  void go_on(const AdminReply& reply) {
    going_on_ = true;
    timeout_.stop();
    closed_ = reply.closed;
    AdminStream stream;
    stream.alive_ = server_.alive_;
    stream.server_ = &server_;
    stream.id_ = id_;
    reply.opened(stream);
    if (ended_) server_.close_later(id_);
  }

  // The client has said all it wanted and has what we say, or asked for nothing.
  void close_when_done() {
    if (!ended_ || (answered_ && !responded_) || stream_->unsent() > 0) return;
    server_.close_later(id_);
  }

  void refuse(int status, std::string text) {
    answered_ = true;
    respond({status, "text/plain; charset=utf-8", std::move(text)});
  }

  void answer(std::string_view head) {
    auto request = parse_admin_request(head);
    if (!request) return refuse(400, request.error().detail + "\n");
    with_body_ = request->method != "HEAD";
    if (request->method != "GET" && request->method != "HEAD" && request->method != "POST") {
      return refuse(405, "only GET, HEAD and POST\n");
    }
    request->peer = stream_->peer().ip;
    answered_ = true;
    timeout_.start_once(kAnswerTimeoutMs);
    server_.handler_(*request, [alive = std::weak_ptr<bool>(server_.alive_), &server = server_,
                                id = id_](const AdminReply& reply) {
      if (alive.expired()) return;
      const auto connection = server.connections_.find(id);
      if (connection != server.connections_.end()) connection->second->respond(reply);
    });
  }

  AdminServer& server_;
  std::uint64_t id_;
  net::Timer timeout_;
  std::unique_ptr<net::TcpStream> stream_;
  std::string request_;
  bool answered_ = false;   // the handler has the request, or it was refused
  bool responded_ = false;  // the reply is written
  bool ended_ = false;      // the client sends nothing more
  bool with_body_ = true;
  bool going_on_ = false;
  std::function<void()> closed_;
};

bool AdminStream::send(std::string_view text) const {
  if (alive_.expired()) return false;
  const auto connection = server_->connections_.find(id_);
  return connection != server_->connections_.end() && connection->second->send(text);
}

void AdminStream::close() const {
  if (!alive_.expired()) server_->close_later(id_);
}

AdminServer::AdminServer(net::Loop& loop, Handler handler)
    : loop_(loop), handler_(std::move(handler)), close_(loop, [this] {
        for (const std::uint64_t id : std::exchange(closing_, {})) connections_.erase(id);
      }) {}

AdminServer::~AdminServer() = default;

Result<std::unique_ptr<AdminServer>> AdminServer::open(net::Loop& loop, const Endpoint& endpoint,
                                                       Handler handler) {
  auto fd = net::listen_tcp(endpoint, 16);
  if (!fd) return tl::unexpected(fd.error());
  std::unique_ptr<AdminServer> server(new AdminServer(loop, std::move(handler)));
  auto listener = net::TcpListener::open(
      loop, std::move(*fd), [self = server.get()](net::Fd accepted, const Endpoint& peer) {
        self->accept(std::move(accepted), peer);
      });
  if (!listener) return tl::unexpected(listener.error());
  server->listener_ = std::move(*listener);
  return server;
}

void AdminServer::accept(net::Fd fd, const Endpoint& peer) {
  if (connections_.size() >= kConnectionsMax) return refuse(peer);  // closes it
  const std::uint64_t id = next_id_++;
  auto connection = std::make_unique<Connection>(*this, id);
  if (!connection->open(std::move(fd), peer)) return refuse(peer);
  connections_.emplace(id, std::move(connection));
}

void AdminServer::refuse(const Endpoint& peer) {
  ++refused_;
  std::uint64_t held_back = 0;
  if (!refused_log_.allow(loop_.now_ms(), &held_back)) return;
  log_warning("admin_refused", "a connection of {}: {} are open, the limit{}", peer.to_string(),
              connections_.size(), LogLimit::text(held_back));
}

void AdminServer::close_later(std::uint64_t id) {
  closing_.push_back(id);
  close_.schedule();
}

}  // namespace postern::server
