#include "server/admin.h"

#include <doctest/doctest.h>

#include "../sockets.h"

namespace postern::server {
namespace {

using test::run_until;
using test::TestSocket;

constexpr std::string_view kRequest = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

struct Bench {
  Bench() {
    auto handler = [this](const AdminRequest& request, const AdminServer::Respond& respond) {
      if (request.path == "/later") {
        later = respond;
      } else {
        respond({200, "text/plain", "ok\n"});
      }
    };
    server = std::move(AdminServer::open(loop, test::endpoint("127.0.0.1"), handler).value());
  }

  std::unique_ptr<TestSocket> connect() const {
    auto client = std::make_unique<TestSocket>(SOCK_STREAM, "127.0.0.1");
    client->connect_to(server->local());
    return client;
  }
  // All that comes until the end; "" when the connection was refused.
  std::string receive(const TestSocket& client) {
    std::string text;
    bool ended = false;
    run_until(loop, [&] {
      char chunk[4096];
      const ssize_t size = recv(client.fd(), chunk, sizeof chunk, MSG_DONTWAIT);
      if (size > 0) text.append(chunk, static_cast<std::size_t>(size));
      ended = size == 0 || (size < 0 && errno != EAGAIN);
      return ended;
    });
    CHECK(ended);
    return text;
  }

  net::Loop loop;
  AdminServer::Respond later;
  std::unique_ptr<AdminServer> server;
};

}  // namespace

TEST_CASE("a connection that has ended leaves its place to the next") {
  Bench bench;
  for (std::size_t i = 0; i < 3 * AdminServer::kConnectionsMax; ++i) {
    auto client = bench.connect();
    client->send_all(std::string(kRequest));
    CHECK(bench.receive(*client).starts_with("HTTP/1.1 200 OK"));
    client.reset();
    bench.loop.run_once(false);
    bench.loop.run_once(false);
  }
  CHECK(bench.server->refused() == 0);
}

TEST_CASE("connections beyond the limit are refused and counted") {
  Bench bench;
  std::vector<std::unique_ptr<TestSocket>> clients;
  for (std::size_t i = 0; i < AdminServer::kConnectionsMax; ++i) {
    clients.push_back(bench.connect());
    bench.loop.run_once(false);
  }
  auto refused = bench.connect();
  CHECK(bench.receive(*refused).empty());
  CHECK(bench.server->refused() == 1);
}

TEST_CASE("a client that says no more still gets a reply that comes later") {
  Bench bench;
  auto client = bench.connect();
  client->send_all("GET /later HTTP/1.1\r\n\r\n");
  shutdown(client->fd(), SHUT_WR);
  CHECK(run_until(bench.loop, [&] { return bench.later != nullptr; }));
  test::run_for(bench.loop, 20);
  bench.later({200, "text/plain", "at last\n"});
  CHECK(bench.receive(*client).ends_with("at last\n"));
}

}  // namespace postern::server
