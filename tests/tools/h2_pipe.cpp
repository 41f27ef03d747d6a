// HTTP/2 on standard input and output, for peers in other languages.
//   h2_pipe serve           answers with the request's method, path and cookie as fields, its body
//                           and its trailers
//   h2_pipe fetch SIZE...   posts a body of each size; says on standard error for each: status,
//                           bytes that came back, whether they are those that were sent, trailer
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "http/h2_client.h"
#include "http/h2_server.h"

namespace postern::http::h2 {
namespace {

constexpr std::size_t kUnsentMax = 100'000;

/// Writes all there is. False when the peer is gone.
template <class Connection>
bool flush(Connection& connection) {
  std::array<std::uint8_t, 32768> out;
  while (const std::size_t size = connection.collect(out)) {
    for (std::size_t at = 0; at < size;) {
      const ssize_t written = write(STDOUT_FILENO, out.data() + at, size - at);
      if (written <= 0) return false;
      at += static_cast<std::size_t>(written);
    }
  }
  return true;
}

/// What came; empty at the end.
Bytes read_some() {
  static std::array<std::uint8_t, 32768> in;
  const ssize_t size = read(STDIN_FILENO, in.data(), in.size());
  return Bytes(in).first(size > 0 ? static_cast<std::size_t>(size) : 0);
}

class Echo final : public ServerStream {
 public:
  Echo(ServerConnection& connection, std::int32_t id) : connection_(connection), id_(id) {}

  RequestHead& head() override { return head_; }
  void request(BodyLength body) override {
    ResponseHead response;
    response.status = 200;
    response.fields.add("X-Method", head_.method);
    response.fields.add("X-Path", head_.path);
    response.fields.add("X-Cookie", head_.fields.value("cookie"));
    connection_.respond(id_, response, body);
  }
  void head_too_large(bool) override {
    ResponseHead response;
    response.status = 431;
    connection_.respond(id_, response, {});
  }
  void body(Bytes chunk) override {
    connection_.body(id_, chunk);
    held_ += chunk.size();
    if (connection_.unsent(id_) < kUnsentMax) drained();
  }
  void body_end(const Fields& trailers) override { connection_.body_end(id_, trailers); }
  void drained() override {
    connection_.consumed(id_, held_);
    held_ = 0;
  }
  void closed(std::uint32_t) override { gone = true; }

  bool gone = false;

 private:
  ServerConnection& connection_;
  std::int32_t id_;
  RequestHead head_;
  std::size_t held_ = 0;
};

class EchoServer final : public ServerEvents {
 public:
  EchoServer() : connection_(ServerConnection::make({}, *this)) {}

  ServerStream* opened(std::int32_t stream) override {
    std::erase_if(streams_, [](const auto& echo) { return echo->gone; });
    return streams_.emplace_back(std::make_unique<Echo>(*connection_, stream)).get();
  }
  int run() {
    while (flush(*connection_) && !connection_->finished()) {
      const Bytes input = read_some();
      if (input.empty()) return 0;
      connection_->receive(input, 0);
    }
    std::fprintf(stderr, "%s\n", std::string(connection_->fault()).c_str());
    return 1;
  }

 private:
  std::unique_ptr<ServerConnection> connection_;
  std::vector<std::unique_ptr<Echo>> streams_;
};

class Fetch final : public ClientStream {
 public:
  Fetch(ClientConnection& connection, std::size_t size) : connection_(connection), sent_(size, 0) {
    for (std::size_t i = 0; i < size; ++i) sent_[i] = static_cast<std::uint8_t>(i * i / 7);
    RequestHead head;
    head.method = "POST";
    head.scheme = "http";
    head.authority = "a.example";
    head.path = "/echo";
    id_ = connection.request(head, {BodyLength::Kind::kKnown, size}, *this);
    connection.body(id_, sent_);
    connection.body_end(id_, {});
  }

  ResponseHead& head() override { return head_; }
  void interim() override {}
  void response(BodyLength) override { status_ = head_.status; }
  void body(Bytes chunk) override {
    came_.insert(came_.end(), chunk.begin(), chunk.end());
    connection_.consumed(id_, chunk.size());
  }
  void body_end(const Fields& trailers) override { sum_ = trailers.value("x-sum"); }
  void drained() override {}
  void closed(std::uint32_t error, bool unprocessed) override {
    std::fprintf(stderr, "%u %zu %s %s error=%u%s\n", status_, came_.size(),
                 came_ == sent_ ? "same" : "other", sum_.c_str(), error,
                 unprocessed ? " unprocessed" : "");
    gone = true;
  }

  bool gone = false;

 private:
  ClientConnection& connection_;
  std::int32_t id_ = 0;
  ResponseHead head_;
  unsigned status_ = 0;
  std::string sum_;
  std::vector<std::uint8_t> sent_, came_;
};

int fetch(int count, char** sizes) {
  const auto connection = ClientConnection::make({});
  std::vector<std::unique_ptr<Fetch>> streams;
  for (int i = 0; i < count; ++i) {
    streams.push_back(std::make_unique<Fetch>(*connection, std::strtoull(sizes[i], nullptr, 10)));
  }
  while (flush(*connection) && connection->streams() != 0) {
    const Bytes input = read_some();
    if (input.empty() || !connection->receive(input, 0)) return 1;
  }
  connection->shut_down();
  flush(*connection);
  return 0;
}

}  // namespace
}  // namespace postern::http::h2

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "serve") return postern::http::h2::EchoServer().run();
  if (mode == "fetch") return postern::http::h2::fetch(argc - 2, argv + 2);
  std::fprintf(stderr, "usage: h2_pipe serve | fetch SIZE...\n");
  return 2;
}
