#include "gateway/tcp_relay.h"

#include <atomic>
#include <random>

#include <doctest/doctest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "relay_bench.h"

namespace postern::gateway {
namespace {

using namespace std::string_literals;
using test::DeadPort;
using test::endpoint;
using test::receive_now;
using test::Received;
using test::RelayBench;
using test::TestBackend;
using test::TestSocket;

std::uint64_t fnv(std::uint64_t hash, std::string_view bytes) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

struct Tally {
  std::uint64_t hash = 14695981039346656037ULL;
  std::uint64_t bytes = 0;
  bool ended = false;
};

// Pieces of one byte to 200 kB.
Tally send_random(const TestSocket& socket, std::uint64_t seed, std::uint64_t size) {
  std::mt19937_64 random(seed);
  Tally tally;
  std::string piece;
  while (tally.bytes < size) {
    piece.resize(std::min<std::uint64_t>(1 + random() % 200'000, size - tally.bytes));
    for (std::size_t i = 0; i < piece.size(); i += 97) piece[i] = static_cast<char>(random());
    std::string_view rest = piece;
    while (!rest.empty()) {
      const ssize_t n = send(socket.fd(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (n <= 0) return tally;
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    tally.hash = fnv(tally.hash, piece);
    tally.bytes += piece.size();
  }
  shutdown(socket.fd(), SHUT_WR);
  return tally;
}

Tally receive_to_the_end(const TestSocket& socket) {
  Tally tally;
  char buffer[100'000];
  for (;;) {
    const ssize_t n = recv(socket.fd(), buffer, sizeof buffer, 0);
    if (n <= 0) {
      tally.ended = n == 0;
      return tally;
    }
    tally.hash = fnv(tally.hash, {buffer, static_cast<std::size_t>(n)});
    tally.bytes += static_cast<std::uint64_t>(n);
  }
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// One backend, one connection through to it.
struct Joined : RelayBench {
  TestBackend backend;
  std::unique_ptr<TestSocket> client, server;

  explicit Joined(const std::function<void(RelayBench&)>& change = {}) {
    add_backend("127.0.0.1", backend.port());
    if (change) change(*this);
    start();
    client = connect();
    server = wait_for_connection(backend);
    REQUIRE(wait_for([&] { return relay->counts().backends.at(0).connects == 1; }));
  }
  std::string backend_text() const { return "127.0.0.1:" + std::to_string(backend.port()); }
};

// A listener whose client is a trusted proxy.
struct Proxied : RelayBench {
  TestBackend backend;
  std::unique_ptr<TestSocket> client;

  Proxied() {
    add_backend("127.0.0.1", backend.port());
    listener_settings().proxy_protocol = true;
    listener_settings().forwarded.trusted_proxies = {Network::parse("127.0.0.0/8").value()};
    settings.header_ms = 100;
    start();
    client = connect();
  }
};

void reset(TestSocket& socket) {
  const linger at_once{1, 0};
  setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  socket.close_now();
}

std::size_t unacknowledged(const TestSocket& socket) {
  int bytes = 0;
  ioctl(socket.fd(), SIOCOUTQ, &bytes);
  return static_cast<std::size_t>(bytes);
}

// Says `size` bytes, or as much as anybody takes; how much of it has arrived at the relay.
std::size_t say(RelayBench& bench, const TestSocket& socket, std::size_t size) {
  const std::string piece(10'000, 'x');
  std::size_t sent = 0;
  const auto say_more = [&] {
    if (sent < size) {
      const ssize_t n = send(socket.fd(), piece.data(), std::min(piece.size(), size - sent),
                             MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) sent += static_cast<std::size_t>(n);
    }
    return sent - unacknowledged(socket);
  };
  std::size_t arrived = 0;
  int quiet_turns = 0;
  REQUIRE(bench.wait_for([&] {
    const std::size_t before = std::exchange(arrived, say_more());
    quiet_turns = arrived == before ? quiet_turns + 1 : 0;
    return arrived == size || quiet_turns > 50;
  }));
  return arrived;
}

}  // namespace

TEST_CASE("messages go both ways and the log tells how much") {
  Joined joined;
  joined.client->send_all("question");
  CHECK(joined.receive(*joined.server, 8).bytes == "question");
  joined.server->send_all("the answer");
  CHECK(joined.receive(*joined.client, 10).bytes == "the answer");
  CHECK(joined.relay->connections() == 1);
  joined.client->close_now();
  CHECK(joined.receive_all(*joined.server).ended);
  CHECK(joined.relay->connections() == 1);
  joined.server->close_now();
  REQUIRE(joined.wait_for_log(1));
  CHECK(joined.log[0] == "done 8/10 " + joined.backend_text());
  CHECK(joined.relay->connections() == 0);
  const RelayCounts counts = joined.relay->counts();
  CHECK(counts.accepted == 1);
  CHECK(counts.bytes_in == 8);
  CHECK(counts.bytes_out == 10);
  CHECK(counts.backends.at(0).connections == 0);
  CHECK(counts.backends.at(0).connects == 1);
}

TEST_CASE("100 MiB each way at the same time arrive as they were sent") {
  Joined joined;
  constexpr std::uint64_t kSize = 100ULL << 20;
  Tally client_sent, server_sent, client_got, server_got;
  std::atomic<int> left = 4;
  std::vector<std::thread> threads;
  threads.emplace_back([&] { client_sent = send_random(*joined.client, 1, kSize), --left; });
  threads.emplace_back([&] { server_sent = send_random(*joined.server, 2, kSize), --left; });
  threads.emplace_back([&] { client_got = receive_to_the_end(*joined.client), --left; });
  threads.emplace_back([&] { server_got = receive_to_the_end(*joined.server), --left; });
  CHECK(joined.wait_for([&] { return left == 0; }, 60'000));
  for (std::thread& thread : threads) thread.join();
  CHECK(client_sent.bytes == kSize);
  CHECK(server_got.ended);
  CHECK(server_got.bytes == kSize);
  CHECK(server_got.hash == client_sent.hash);
  CHECK(client_got.ended);
  CHECK(client_got.bytes == kSize);
  CHECK(client_got.hash == server_sent.hash);
  REQUIRE(joined.wait_for_log(1));
  CHECK(joined.log[0].starts_with("done 104857600/104857600"));
}

TEST_CASE("a side that has ended still gets what the other one says") {
  Joined joined;
  joined.client->send_all("all I have to say");
  shutdown(joined.client->fd(), SHUT_WR);
  const Received received = joined.receive_all(*joined.server);
  CHECK(received.bytes == "all I have to say");
  CHECK(received.ended);
  joined.server->send_all("so listen");
  CHECK(joined.receive(*joined.client, 9).bytes == "so listen");
  joined.server->close_now();
  CHECK(joined.receive_all(*joined.client).ended);
  REQUIRE(joined.wait_for_log(1));
  CHECK(joined.log[0].starts_with("done 17/9"));
}

TEST_CASE("a half-closed connection does not keep the loop busy") {
  Joined joined;
  shutdown(joined.server->fd(), SHUT_WR);
  CHECK(joined.receive_all(*joined.client).ended);
  const double before = cpu_seconds();
  net::Timer end(joined.loop, [&] { joined.loop.stop(); });
  end.start_once(200);
  joined.loop.run();
  CHECK(cpu_seconds() - before < 0.1);
  CHECK(joined.relay->connections() == 1);
}

TEST_CASE("a slow reader stops the writer and costs little memory") {
  Joined joined;
  const std::string megabyte(1 << 20, 'x');
  std::uint64_t sent = 0;
  // The writer goes on for as long as anybody takes something.
  const auto send_some = [&] {
    const ssize_t n =
        send(joined.server->fd(), megabyte.data(), megabyte.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<std::uint64_t>(n);
    return n > 0;
  };
  int quiet_turns = 0;
  CHECK(joined.wait_for([&] { return (quiet_turns = send_some() ? 0 : quiet_turns + 1) > 20; }));
  const std::uint64_t stood_at = joined.relay->counts().bytes_out;
  test::run_for(joined.loop, 20);
  CHECK(joined.relay->counts().bytes_out == stood_at);
  // All of it arrives when the reader goes on.
  std::uint64_t got = 0;
  CHECK(joined.wait_for([&] {
    got += receive_now(*joined.client).bytes.size();
    return got == sent;
  }));
}

TEST_CASE("a reset of the backend is a reset for the client, after what was said before") {
  Joined joined;
  joined.server->send_all("FATAL: going down");
  reset(*joined.server);
  const Received received = joined.receive_all(*joined.client);
  CHECK(received.bytes == "FATAL: going down");
  CHECK(received.reset);
  CHECK(joined.log.at(0).starts_with("backend reset 0/17"));
}

TEST_CASE("a reset of the client is a reset for the backend") {
  Joined joined;
  joined.client->send_all("x");
  CHECK(joined.receive(*joined.server).bytes == "x");
  reset(*joined.client);
  CHECK(joined.receive_all(*joined.server).reset);
  CHECK(joined.log.at(0).starts_with("client reset 1/0"));
  CHECK(joined.relay->counts().aborted_by_client == 1);
}

TEST_CASE("a backend that goes while the client is sending") {
  Joined joined;
  const std::string megabyte(1 << 20, 'x');
  joined.server->send_all("413 too much");
  joined.server->close_now();  // with bytes unread or on their way: a reset
  std::string got;
  bool cut = false;
  CHECK(joined.wait_for([&] {
    const ssize_t n =
        send(joined.client->fd(), megabyte.data(), megabyte.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    cut = n < 0 && errno != EAGAIN;
    got += receive_now(*joined.client).bytes;
    return cut;
  }));
  CHECK(got == "413 too much");
  REQUIRE(joined.wait_for_log(1));
  CHECK(joined.log[0].starts_with("backend reset"));
}

TEST_CASE("a reset does not overtake what was said before, however late it is read") {
  for (const std::size_t size : {300'000U, 1U << 30}) {
    for (const bool to_client : {true, false}) {
      for (const bool other_sends : {false, true}) {
        CAPTURE(size);
        CAPTURE(to_client);
        CAPTURE(other_sends);
        Joined joined;
        TestSocket& from = to_client ? *joined.server : *joined.client;
        TestSocket& to = to_client ? *joined.client : *joined.server;
        const std::size_t said = say(joined, from, size);
        reset(from);
        for (int i = 0; i < 2; ++i) {
          if (other_sends) send(to.fd(), "x", 1, MSG_NOSIGNAL);
          test::run_for(joined.loop, 20);
        }
        const Received received = joined.receive_all(to);
        CHECK(received.bytes.size() >= said);
        CHECK((received.reset && !received.ended));
        REQUIRE(joined.wait_for_log(1));
        CHECK(joined.log[0].starts_with(to_client ? "backend reset" : "client reset"));
      }
    }
  }
}

TEST_CASE("an end that came before the reset stays an end") {
  Joined joined;
  const std::size_t said = say(joined, *joined.server, 300'000);
  joined.server->close_now();
  test::run_for(joined.loop, 20);
  for (int i = 0; i < 2; ++i) {
    send(joined.client->fd(), "x", 1, MSG_NOSIGNAL);  // the answer to the first is a reset
    test::run_for(joined.loop, 20);
  }
  const Received received = joined.receive_all(*joined.client);
  CHECK(received.bytes.size() == said);
  CHECK(received.ended);
  REQUIRE(joined.wait_for_log(1));
  CHECK(joined.log[0].starts_with("backend reset"));
}

TEST_CASE("who does not read the last bytes is not waited for without end") {
  for (const std::size_t size : {300'000U, 1U << 30}) {
    Joined joined([](RelayBench& bench) { bench.settings.last_bytes_ms = 50; });
    say(joined, *joined.server, size);
    reset(*joined.server);
    joined.client->send_all("x");
    REQUIRE(joined.wait_for_log(1));
    CHECK(joined.log[0].starts_with("backend reset"));
    CHECK(joined.receive_all(*joined.client).reset);
    CHECK(joined.relay->connections() == 0);
  }
}

TEST_CASE("who goes away before the last bytes ends it") {
  for (const std::size_t size : {300'000U, 1U << 30}) {
    Joined joined;
    say(joined, *joined.server, size);
    reset(*joined.server);
    joined.client->send_all("x");
    test::run_for(joined.loop, 20);
    reset(*joined.client);
    REQUIRE(joined.wait_for_log(1));
    CHECK(joined.relay->connections() == 0);
  }
}

TEST_CASE("a backend that refuses is passed over and left alone for a while") {
  RelayBench bench;
  const DeadPort dead;
  TestBackend alive;
  bench.add_backend("127.0.0.1", dead.port());
  bench.add_backend("127.0.0.1", alive.port());
  bench.start();
  std::vector<std::unique_ptr<TestSocket>> clients, servers;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(bench.connect());
    servers.push_back(bench.wait_for_connection(alive));
  }
  const RelayCounts counts = bench.relay->counts();
  CHECK(counts.backends.at(0).failures == 1);  // then it rests
  CHECK_FALSE(counts.backends.at(0).healthy());
  CHECK(counts.backends.at(0).connections == 0);
  CHECK(counts.backends.at(1).connections == 4);
  CHECK(counts.failed == 0);
}

TEST_CASE("a backend that is left out is tried all the same when there is no other") {
  RelayBench bench;
  auto dead = std::make_unique<DeadPort>();
  const std::uint16_t port = dead->port();
  bench.add_backend("127.0.0.1", port);
  bench.start();
  const auto first = bench.connect();
  CHECK(bench.receive_all(*first).reset);
  CHECK_FALSE(bench.relay->counts().backends.at(0).healthy());
  dead.reset();
  TestSocket listener(SOCK_STREAM);
  const int on = 1;
  setsockopt(listener.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  listener.bind_to(endpoint("127.0.0.1", port));
  REQUIRE(listen(listener.fd(), 8) == 0);
  const auto second = bench.connect();
  second->send_all("x");
  CHECK(bench.wait_for([&] { return bench.relay->counts().bytes_in > 0; }));
  CHECK(bench.relay->counts().backends.at(0).healthy());
}

TEST_CASE("when no backend is left the client is reset at once") {
  RelayBench bench;
  const DeadPort dead, dead_too;
  bench.add_backend("127.0.0.1", dead.port());
  bench.add_backend("127.0.0.1", dead_too.port());
  bench.start();
  const auto client = bench.connect();
  CHECK(bench.receive_all(*client).reset);
  CHECK(bench.log.at(0) == "no backend 0/0 ");
  CHECK(bench.unreached ==
        fmt::format("127.0.0.1:{}: cannot connect: Connection refused", dead_too.port()));
  CHECK(bench.relay->counts().failed == 1);
}

TEST_CASE("a backend that does not answer takes no longer than the limit") {
  RelayBench bench;
  bench.settings.connect_ms = 60;
  TestSocket deaf(SOCK_STREAM, "127.0.0.1");  // its queue is full: SYNs are dropped
  REQUIRE(listen(deaf.fd(), 0) == 0);
  TestSocket filler(SOCK_STREAM);
  filler.connect_to(deaf.local());
  TestBackend alive;
  bench.add_backend("127.0.0.1", deaf.local().port);
  bench.add_backend("127.0.0.1", alive.port());
  bench.start();
  const auto client = bench.connect();
  const auto server = bench.wait_for_connection(alive);
  CHECK(bench.relay->counts().backends.at(0).failures == 1);
}

TEST_CASE("the backend with the fewest connections is next") {
  RelayBench bench;
  TestBackend one, two;
  bench.add_backend("127.0.0.1", one.port());
  bench.add_backend("127.0.0.1", two.port());
  bench.start();
  std::vector<std::unique_ptr<TestSocket>> clients;
  for (std::uint64_t i = 1; i <= 6; ++i) {
    clients.push_back(bench.connect());
    REQUIRE(bench.wait_for([&] {
      const auto counts = bench.relay->counts();
      return counts.backends[0].connects + counts.backends[1].connects == i;
    }));
  }
  const RelayCounts counts = bench.relay->counts();
  CHECK(counts.backends.at(0).connections == 3);
  CHECK(counts.backends.at(1).connections == 3);
}

TEST_CASE("names are resolved, all their addresses tried, and resolved again after their TTL") {
  RelayBench bench;
  TestBackend backend;
  bench.add_backend("db.home.arpa", backend.port());
  // Nobody listens at 127.0.0.9.
  bench.resolver.hosts["db.home.arpa"] = {{endpoint("127.0.0.9").ip, endpoint("127.0.0.1").ip}, 1};
  bench.start();
  const auto first = bench.connect(), second = bench.connect();
  const auto one = bench.wait_for_connection(backend), two = bench.wait_for_connection(backend);
  CHECK(bench.resolver.asked == 1);
  test::run_for(bench.loop, 1001);
  const auto third = bench.connect();
  const auto three = bench.wait_for_connection(backend);
  CHECK(bench.resolver.asked == 2);
  CHECK(bench.relay->counts().backends.at(0).failures == 0);
  bench.resolver.hosts.clear();
  SUBCASE("it is gone") {
    test::run_for(bench.loop, 1001);
    const auto fourth = bench.connect();
    CHECK(bench.wait_for([&] { return bench.relay->counts().failed == 1; }));
    return;
  }
  bench.resolver.otherwise = Code::kIo;
  test::run_for(bench.loop, 1001);
  const auto fourth = bench.connect();  // the former addresses are better than nothing
  const auto four = bench.wait_for_connection(backend);
  CHECK(bench.resolver.asked == 3);
}

TEST_CASE("a name without an address is a failed backend") {
  RelayBench bench;
  TestBackend backend;
  bench.add_backend("nowhere.home.arpa", 5432);
  bench.add_backend("127.0.0.1", backend.port());
  bench.start();
  const auto client = bench.connect(), second = bench.connect();
  const auto server = bench.wait_for_connection(backend);
  const auto other = bench.wait_for_connection(backend);
  CHECK(bench.relay->counts().backends.at(0).failures == 1);
}

TEST_CASE("a connection that goes while its backend is being looked up leaves nothing behind") {
  RelayBench bench;
  bench.add_backend("nowhere.home.arpa", 5432);
  bench.start();
  const auto client = bench.connect();
  CHECK(bench.wait_for([&] { return bench.relay->counts().accepted == 1; }));
  bench.relay.reset();
  CHECK(bench.log.size() == 1);
}

TEST_CASE("a backend that a reload removes while it is being looked up") {
  RelayBench bench;
  bench.resolver.hold = true;
  bench.add_backend("nowhere.home.arpa", 5432);
  bench.start();
  const auto client = bench.connect(), second = bench.connect();
  CHECK(bench.wait_for([&] { return bench.relay->counts().accepted == 2; }));
  bench.listener_settings().backends.clear();
  bench.relay->configure(bench.site);
  bench.resolver.let_go();
  CHECK(bench.receive_all(*client).reset);
  CHECK(bench.receive_all(*second).reset);
}

TEST_CASE("the PROXY header stands before the first byte, with the client's address") {
  Joined joined([](RelayBench& bench) { bench.listener_settings().proxy_protocol = true; });
  joined.client->send_all("hello");
  const std::string expected_head = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1"s;
  const auto port_text = [](std::uint16_t port) {
    return std::string{static_cast<char>(port >> 8), static_cast<char>(port & 255)};
  };
  CHECK(joined.receive(*joined.server, 33).bytes ==
        expected_head + port_text(joined.client->local().port) +
            port_text(joined.listener->local().port) + "hello");
}

TEST_CASE("a trusted proxy's header says who the client is, and is passed on") {
  Proxied proxied;
  const std::string header =
      "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\x15\x38"s;
  proxied.client->send_all(header.substr(0, 20));
  test::run_for(proxied.loop, 10);
  CHECK(proxied.backend.take() == nullptr);  // not before the header is there
  proxied.client->send_all(header.substr(20) + "\4\0\0hello"s);
  const auto server = proxied.wait_for_connection(proxied.backend);
  std::string passed_on = header + "hello";
  passed_on[15] = '\x0c';  // without the extension
  CHECK(proxied.receive(*server, 33).bytes == passed_on);
  server->close_now();
  proxied.client->close_now();
  REQUIRE(proxied.wait_for_log(1));
  CHECK(proxied.clients.at(0).to_string() == "192.0.2.1:40000");
}

TEST_CASE("a trusted proxy that sends no header is cut off") {
  Proxied proxied;
  proxied.client->send_all("GET / HTTP/1.1\r\n");
  CHECK(proxied.receive_all(*proxied.client).reset);
  CHECK(proxied.log.at(0).starts_with("no PROXY header 0/0"));
  const auto silent = proxied.connect();
  CHECK(proxied.receive_all(*silent).reset);
  CHECK(proxied.log.at(1).starts_with("no PROXY header 0/0"));
  CHECK(proxied.relay->counts().failed == 2);
  CHECK(proxied.backend.take() == nullptr);
}

TEST_CASE("an idle connection is ended in its time") {
  Joined joined([](RelayBench& bench) { bench.listener_settings().idle_ms = 500; });
  for (int i = 0; i < 14; ++i) {
    joined.client->send_all("x");
    test::run_for(joined.loop, 50);
  }
  CHECK(joined.relay->connections() == 1);
  CHECK(joined.receive_all(*joined.client).ended);
  CHECK(joined.log.at(0).starts_with("idle 14/0"));
  CHECK(joined.relay->counts().idle_timeouts == 1);
}

TEST_CASE("draining refuses the new and keeps the old") {
  Joined joined;
  joined.relay->drain();
  const auto late = joined.connect();
  CHECK(joined.receive_all(*late).ended);
  joined.client->send_all("still here");
  CHECK(joined.receive(*joined.server, 10).bytes == "still here");
  joined.relay.reset();
  CHECK(joined.log.at(0).starts_with("stopped 10/0"));
  CHECK(joined.receive_all(*joined.client).reset);
}

TEST_CASE("a reload leaves connections and the health of backends alone") {
  Joined joined;
  joined.add_backend("127.0.0.1", 1);
  joined.relay->configure(joined.site);
  CHECK(joined.relay->counts().backends.at(0).connections == 1);
  joined.client->send_all("x");
  CHECK(joined.receive(*joined.server).bytes == "x");
  joined.site.listeners.clear();
  joined.relay->configure(joined.site);
  joined.server->send_all("y");
  CHECK(joined.receive(*joined.client).bytes == "y");
}

}  // namespace postern::gateway
