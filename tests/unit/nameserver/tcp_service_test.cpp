#include "nameserver/tcp_service.h"

#include <sys/ioctl.h>

#include <doctest/doctest.h>

#include "../sockets.h"
#include "echo_handler.h"

using postern::Endpoint;
using postern::nameserver::TcpService;
using postern::nameserver::TcpServiceSettings;
using postern::net::listen_tcp;
using postern::net::Loop;
using postern::test::EchoHandler;
using postern::test::endpoint;
using postern::test::run_for;
using postern::test::run_until;
using postern::test::TestSocket;

namespace {

std::string frame(std::string_view message) {
  std::string bytes;
  bytes += static_cast<char>(message.size() >> 8);
  bytes += static_cast<char>(message.size() & 0xff);
  return bytes + std::string(message);
}

std::vector<std::string> frames_in(std::string_view bytes) {
  std::vector<std::string> messages;
  while (bytes.size() >= 2) {
    const auto size = static_cast<std::size_t>(static_cast<unsigned char>(bytes[0]) << 8 |
                                               static_cast<unsigned char>(bytes[1]));
    messages.emplace_back(bytes.substr(2, size));
    bytes.remove_prefix(std::min(bytes.size(), 2 + size));
  }
  return messages;
}

struct Bench {
  explicit Bench(const TcpServiceSettings& settings = {}) : service(loop, handler, settings) {
    REQUIRE(service.listen(listen_tcp(endpoint("127.0.0.1")).value()));
    address = service.listening().at(0);
  }

  std::unique_ptr<TestSocket> connect(std::string_view from = "127.0.0.1") {
    auto client = std::make_unique<TestSocket>(SOCK_STREAM, from);
    const std::size_t before = service.counts().accepted + refused();
    client->connect_to(address);
    CHECK(run_until(loop, [&] { return service.counts().accepted + refused() > before; }));
    return client;
  }
  std::uint64_t refused() const {
    return service.counts().refused_total + service.counts().refused_address;
  }
  void expect_calls(std::size_t calls) {
    CHECK(run_until(loop, [&] { return handler.calls >= calls; }));
    CHECK(handler.calls == calls);
  }
  // Turns the loop until the client was sent something or the connection ended.
  std::string receive(TestSocket& client) {
    run_until(loop, [&] { return readable(client); });
    return readable(client) ? client.receive() : std::string("(nothing)");
  }
  static bool readable(const TestSocket& client) {
    char byte = 0;
    const ssize_t n = recv(client.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || errno != EAGAIN;
  }

  Loop loop;
  EchoHandler handler;
  TcpService service;
  Endpoint address;
};

}  // namespace

TEST_CASE("pipelined queries of one read are answered in one write") {
  Bench bench;
  auto client = bench.connect();
  std::string queries;
  for (int i = 0; i < 200; ++i) queries += frame("q" + std::to_string(i));
  client->send_all(queries);
  bench.expect_calls(200);
  const auto replies = frames_in(client->receive());  // one segment train, read at once
  REQUIRE(replies.size() == 200);
  for (std::size_t i = 0; i < 200; ++i) CHECK(replies[i] == "re:q" + std::to_string(i));
  CHECK(bench.service.counts().replied == 200);
  CHECK(bench.handler.peers.at(0) == client->local());
}

TEST_CASE("later answers overtake each other and those of one turn come together") {
  Bench bench;
  auto client = bench.connect();
  client->send_all(frame("later1") + frame("later2") + frame("now") + frame("later3"));
  bench.expect_calls(4);
  CHECK(frames_in(bench.receive(*client)) == std::vector<std::string>{"re:now"});
  bench.handler.waiting[2].answer();
  bench.handler.waiting[0].answer();
  CHECK(frames_in(bench.receive(*client)) == std::vector<std::string>{"re:later3", "re:later1"});
  bench.handler.waiting[1].answer();
  CHECK(frames_in(bench.receive(*client)) == std::vector<std::string>{"re:later2"});
}

TEST_CASE("a frame may come byte by byte") {
  Bench bench;
  auto client = bench.connect();
  for (const char c : frame("slow") + frame("slower")) {
    client->send_all(std::string(1, c));
    run_for(bench.loop, 1);
  }
  bench.expect_calls(2);
  CHECK(frames_in(bench.receive(*client)) == std::vector<std::string>{"re:slow", "re:slower"});
}

TEST_CASE("a frame cut in two with whole frames before and after it") {
  Bench bench;
  auto client = bench.connect();
  const std::string bytes = frame("one") + frame("two") + frame("three");
  client->send_all(bytes.substr(0, 8));
  bench.expect_calls(1);
  client->send_all(bytes.substr(8));
  bench.expect_calls(3);
  run_for(bench.loop, 2);
  CHECK(frames_in(client->receive()) == std::vector<std::string>{"re:one", "re:two", "re:three"});
}

TEST_CASE("queries and answers of the full 65535 bytes pass") {
  Bench bench;
  auto client = bench.connect();
  const std::string query = "later" + std::string(65530, 'q');
  client->send_all(frame("big") + frame(query));
  std::string got;
  CHECK(run_until(bench.loop, [&] {
    if (Bench::readable(*client)) got += client->receive();
    return got.size() == 65537 && bench.handler.waiting.size() == 1;
  }));
  CHECK(got == frame(std::string(65535, 'b')));
  CHECK(bench.handler.waiting.at(0).query == query);
}

TEST_CASE("an empty frame ends the connection") {
  Bench bench;
  auto client = bench.connect();
  client->send_all(frame(""));
  CHECK(bench.receive(*client).empty());
  CHECK(bench.service.clients() == 0);
  CHECK(bench.service.counts().closed_malformed == 1);
}

TEST_CASE("a client that has shut down its side still gets what is outstanding, then the end") {
  Bench bench;
  auto client = bench.connect();
  client->send_all(frame("now") + frame("later") + "\x01");  // and half a length
  shutdown(client->fd(), SHUT_WR);
  bench.expect_calls(2);
  run_for(bench.loop, 10);
  CHECK(bench.service.clients() == 1);
  bench.handler.waiting.at(0).answer();
  run_for(bench.loop, 10);
  CHECK(frames_in(client->receive()) == std::vector<std::string>{"re:now", "re:later"});
  CHECK(client->receive().empty());
  CHECK(bench.service.clients() == 0);
}

TEST_CASE("a client that shuts down and whose query is dropped is closed") {
  Bench bench;
  auto client = bench.connect();
  client->send_all(frame("later"));
  shutdown(client->fd(), SHUT_WR);
  bench.expect_calls(1);
  bench.handler.waiting.clear();
  CHECK(run_until(bench.loop, [&] { return bench.service.clients() == 0; }));
  CHECK(bench.service.counts().dropped == 1);
}

TEST_CASE("a reply for a client that has gone does nothing") {
  Bench bench;
  auto client = bench.connect();
  client->send_all(frame("later1") + frame("later2"));
  bench.expect_calls(2);
  const linger reset{1, 0};
  setsockopt(client->fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  client->close_now();
  CHECK(run_until(bench.loop, [&] { return bench.service.clients() == 0; }));
  bench.handler.waiting[0].answer();
  bench.handler.waiting.clear();
  run_for(bench.loop, 5);
}

TEST_CASE("a late reply to a client that closed while it waited ends the connection") {
  Bench bench;
  auto client = bench.connect();
  client->send_all(frame("later1") + frame("later2"));
  bench.expect_calls(2);
  client->close_now();  // FIN: could be a half-close
  run_for(bench.loop, 5);
  CHECK(bench.service.clients() == 1);
  bench.handler.waiting[0].answer();
  run_for(bench.loop, 5);
  bench.handler.waiting[1].answer();
  CHECK(run_until(bench.loop, [&] { return bench.service.clients() == 0; }));
}

TEST_CASE("an idle connection is closed, one with a query under way is not") {
  Bench bench({.idle_timeout_ms = 40});
  auto idle = bench.connect();
  auto busy = bench.connect();
  busy->send_all(frame("later"));
  bench.expect_calls(1);
  CHECK(bench.receive(*idle).empty());
  run_for(bench.loop, 60);
  CHECK(bench.service.clients() == 1);
  CHECK(bench.service.counts().closed_idle == 1);
  bench.handler.waiting[0].answer();
  CHECK(frames_in(bench.receive(*busy)) == std::vector<std::string>{"re:later"});
  CHECK(bench.receive(*busy).empty());
  CHECK(bench.service.counts().closed_idle == 2);
}

TEST_CASE("a byte now and then does not keep a connection from being idle") {
  Bench bench({.idle_timeout_ms = 60});
  auto client = bench.connect();
  client->send_all(std::string("\xff\xff", 2));
  for (int i = 0; i < 20 && bench.service.clients() == 1; ++i) {
    send(client->fd(), "x", 1, MSG_NOSIGNAL);
    run_for(bench.loop, 10);
  }
  CHECK(bench.service.counts().closed_idle == 1);
}

TEST_CASE("beyond the limit the connection quiet for longest gives way, busy ones do not") {
  Bench bench({.clients_max = 2});
  auto first = bench.connect();
  auto second = bench.connect();
  first->send_all(frame("later1"));  // now the second is the quiet one
  bench.expect_calls(1);
  auto third = bench.connect();
  CHECK(bench.receive(*second).empty());
  CHECK(bench.service.counts().closed_for_room == 1);
  third->send_all(frame("later2"));
  bench.expect_calls(2);
  auto fourth = bench.connect();
  CHECK(bench.receive(*fourth).empty());
  CHECK(bench.service.counts().refused_total == 1);
  CHECK(bench.service.clients() == 2);
}

TEST_CASE("one address has a limit of its own, and only its own connections give way") {
  Bench bench({.clients_per_address_max = 2});
  auto other = bench.connect("127.0.0.9");
  auto first = bench.connect();
  auto second = bench.connect();
  auto third = bench.connect();
  CHECK(bench.receive(*first).empty());
  CHECK(bench.service.counts().closed_for_room == 1);
  second->send_all(frame("later"));
  third->send_all(frame("later"));
  bench.expect_calls(2);
  auto fourth = bench.connect();
  CHECK(bench.receive(*fourth).empty());
  CHECK(bench.service.counts().refused_address == 1);
  other->send_all(frame("hello"));
  CHECK(frames_in(bench.receive(*other)) == std::vector<std::string>{"re:hello"});
}

TEST_CASE("no more queries are taken than may be outstanding; the rest waits its turn") {
  Bench bench({.outstanding_max = 3});
  auto client = bench.connect();
  std::string queries;
  for (int i = 0; i < 8; ++i) queries += frame("later" + std::to_string(i));
  client->send_all(queries);
  run_for(bench.loop, 10);
  CHECK(bench.handler.calls == 3);
  CHECK(bench.service.counts().held_back == 1);
  for (std::size_t i = 0; i < 8; ++i) {
    REQUIRE(bench.handler.waiting.size() > i);
    bench.handler.waiting[i].answer();
    run_for(bench.loop, 4);
  }
  CHECK(frames_in(client->receive()).size() == 8);
}

TEST_CASE("a client that does not read is not read from either, and gets everything in the end") {
  Bench bench({.unsent_bytes_max = 100'000});
  auto client = bench.connect();
  std::string queries;
  for (int i = 0; i < 200; ++i) queries += frame("big");
  client->send_all(queries);
  run_for(bench.loop, 30);
  const std::size_t taken = bench.handler.calls;
  CHECK(taken < 200);
  CHECK(bench.service.counts().held_back >= 1);
  std::size_t got = 0;
  CHECK(run_until(bench.loop, [&] {
    while (Bench::readable(*client)) got += client->receive().size();
    return got == 200UL * 65537;
  }));
  CHECK(bench.handler.calls == 200);
  client->send_all(frame("hello"));
  CHECK(frames_in(bench.receive(*client)) == std::vector<std::string>{"re:hello"});
}

TEST_CASE("a client that takes nothing for too long is closed") {
  Bench bench({.stall_timeout_ms = 50, .unsent_bytes_max = 100'000});
  auto client = bench.connect();
  std::string queries;
  for (int i = 0; i < 200; ++i) queries += frame("big");
  client->send_all(queries);
  CHECK(run_until(bench.loop, [&] { return bench.service.clients() == 0; }));
  CHECK(bench.service.counts().closed_stalled == 1);
}

TEST_CASE("late answers to a client that does not read have a limit") {
  Bench bench({.unsent_bytes_max = 50'000});
  auto client = bench.connect();
  std::string queries;
  for (int i = 0; i < 120; ++i) queries += frame("later");
  client->send_all(queries);
  bench.expect_calls(120);
  const std::string big(65'000, 'b');
  for (const auto& waiting : bench.handler.waiting) {
    waiting.path->send(postern::as_bytes(big));
    bench.loop.run_once(false);
  }
  CHECK(run_until(bench.loop, [&] { return bench.service.clients() == 0; }));
  CHECK(bench.service.counts().closed_stalled == 1);
}

TEST_CASE("draining: no new connection, idle ones end, replies under way arrive first") {
  Bench bench;
  auto idle = bench.connect();
  idle->send_all(frame("now"));
  CHECK(frames_in(bench.receive(*idle)) == std::vector<std::string>{"re:now"});
  auto busy = bench.connect();
  busy->send_all(frame("later"));
  bench.expect_calls(2);
  bench.service.drain();
  CHECK_FALSE(bench.service.drained());
  CHECK(bench.receive(*idle).empty());
  busy->send_all(frame("too late"));
  run_for(bench.loop, 10);
  CHECK(bench.handler.calls == 2);
  bench.handler.waiting[0].answer();
  CHECK(run_until(bench.loop, [&] { return bench.service.drained(); }));
  CHECK(frames_in(busy->receive()) == std::vector<std::string>{"re:later"});
  CHECK(busy->receive().empty());
  TestSocket refused(SOCK_STREAM, "127.0.0.1");
  sockaddr_storage address{};
  const socklen_t size = bench.address.to_sockaddr(address);
  CHECK(connect(refused.fd(), reinterpret_cast<sockaddr*>(&address), size) == -1);
}

TEST_CASE("draining: whoever has just connected may still ask one question, and soon") {
  Bench bench;
  auto asks = bench.connect();
  auto silent = bench.connect();
  CHECK(run_until(bench.loop, [&] { return bench.service.clients() == 2; }));
  bench.service.drain();
  CHECK_FALSE(bench.service.drained());
  asks->send_all(frame("now"));
  CHECK(frames_in(bench.receive(*asks)) == std::vector<std::string>{"re:now"});
  CHECK(bench.receive(*asks).empty());
  CHECK_FALSE(bench.service.drained());
  CHECK(run_until(bench.loop, [&] { return bench.service.drained(); }));
}

TEST_CASE("draining: connections that wait to be accepted are served") {
  Bench bench;
  TestSocket early(SOCK_STREAM, "127.0.0.1");
  early.connect_to(bench.address);  // by the system; the loop does not turn
  early.send_all(frame("now"));
  bench.service.drain();
  CHECK(frames_in(bench.receive(early)) == std::vector<std::string>{"re:now"});
}

TEST_CASE("an address that is no longer listened on drains its own connections and no others") {
  Bench bench;
  REQUIRE(bench.service.listen(listen_tcp(endpoint("127.0.0.2")).value()));
  const Endpoint removed = bench.service.listening().at(1);
  auto kept = bench.connect();
  TestSocket leaving(SOCK_STREAM, "127.0.0.1");
  leaving.connect_to(removed);
  leaving.send_all(frame("later"));
  bench.expect_calls(1);
  bench.service.stop_listening(removed);
  CHECK(bench.service.listening() == std::vector<Endpoint>{bench.address});
  kept->send_all(frame("now"));
  CHECK(frames_in(bench.receive(*kept)) == std::vector<std::string>{"re:now"});
  bench.handler.waiting[0].answer();
  CHECK(frames_in(bench.receive(leaving)) == std::vector<std::string>{"re:later"});
  CHECK(bench.receive(leaving).empty());
  leaving.close_now();
  CHECK(run_until(bench.loop, [&] { return bench.service.clients() == 1; }));
}

TEST_CASE("a service that goes takes its connections along; ways back that are left do nothing") {
  Loop loop;
  EchoHandler handler;
  TestSocket client(SOCK_STREAM, "127.0.0.1");
  {
    TcpService service(loop, handler);
    REQUIRE(service.listen(listen_tcp(endpoint("127.0.0.1")).value()));
    client.connect_to(service.listening().at(0));
    client.send_all(frame("later1") + frame("later2"));
    CHECK(run_until(loop, [&] { return handler.calls == 2; }));
    handler.waiting[1].answer();
  }
  handler.waiting[0].answer();
  handler.waiting.clear();
  loop.run_once(false);
  CHECK(client.receive().empty());
}

TEST_CASE("one service listens on several addresses, IPv6 too") {
  Bench bench;
  REQUIRE(bench.service.listen(listen_tcp(endpoint("::1")).value()));
  TestSocket client(SOCK_STREAM, "::1");
  client.connect_to(bench.service.listening().at(1));
  client.send_all(frame("hello"));
  CHECK(frames_in(bench.receive(client)) == std::vector<std::string>{"re:hello"});
}
