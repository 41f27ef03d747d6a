#include "net/tcp.h"

#include <functional>
#include <optional>

#include <sys/resource.h>

#include <doctest/doctest.h>

#include "../sockets.h"

using postern::Bytes;
using postern::Endpoint;
using postern::Error;
using postern::net::Fd;
using postern::net::listen_tcp;
using postern::net::Loop;
using postern::net::StreamReader;
using postern::net::TcpListener;
using postern::net::TcpSettings;
using postern::net::TcpStream;
using postern::test::endpoint;
using postern::test::run_for;
using postern::test::run_until;
using postern::test::TestSocket;
using postern::test::text_of;

namespace {

struct Reader : StreamReader {
  std::string heard;
  int connections = 0, ends = 0, drains = 0;
  std::optional<std::string> error;
  std::function<void()> after_each = [] {};

  void connected() override {
    ++connections;
    after_each();
  }
  void received(Bytes chunk) override {
    heard += text_of(chunk);
    after_each();
  }
  void ended() override {
    ++ends;
    after_each();
  }
  void drained() override {
    ++drains;
    after_each();
  }
  void failed(const Error& e) override {
    error = e.detail;
    after_each();
  }
};

// A server socket that accepts by hand, and a stream that connects to it.
struct Pair {
  explicit Pair(const TcpSettings& settings = {}) {
    REQUIRE(listen(server.fd(), 8) == 0);
    stream = std::move(TcpStream::connect(loop, server.local(), reader, settings).value());
  }
  ~Pair() {
    if (accepted >= 0) close(accepted);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  void accept_one() {
    accepted = accept4(server.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    REQUIRE(accepted >= 0);
    const timeval limit{2, 0};
    setsockopt(accepted, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    CHECK(run_until(loop, [this] { return reader.connections == 1 || !stream; }));
  }
  std::string read_now() {
    std::string buffer(1 << 20, '\0');
    const ssize_t n = recv(accepted, buffer.data(), buffer.size(), MSG_DONTWAIT);
    buffer.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return buffer;
  }
  bool peer_sees_end() {
    char byte = 0;
    return recv(accepted, &byte, 1, MSG_DONTWAIT) == 0;
  }
  void say(std::string_view text) {
    REQUIRE(send(accepted, text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
  }
  void reset_from_peer() {
    const linger reset{1, 0};
    setsockopt(accepted, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(accepted);
    accepted = -1;
  }

  TestSocket server{SOCK_STREAM, "127.0.0.1"};
  Loop loop;
  Reader reader;
  std::unique_ptr<TcpStream> stream;
  int accepted = -1;
};

}  // namespace

TEST_CASE("what is written before the connection stands arrives first") {
  Pair pair;
  CHECK(pair.stream->write(postern::as_bytes("one ")));
  CHECK(pair.stream->unsent() == 4);
  pair.accept_one();
  CHECK(pair.stream->write(postern::as_bytes("two")));
  run_for(pair.loop, 5);
  CHECK(pair.read_now() == "one two");
  CHECK(pair.stream->unsent() == 0);
  CHECK(pair.stream->sent_total() == 7);
  CHECK(pair.stream->peer() == pair.server.local());
  CHECK(pair.stream->local().ip == endpoint("127.0.0.1").ip);
}

TEST_CASE("what stands behind urgent data is read without waiting for more") {
  Pair pair;
  pair.accept_one();
  pair.say("before ");
  REQUIRE(send(pair.accepted, "!", 1, MSG_OOB | MSG_NOSIGNAL) == 1);
  pair.say("behind");
  CHECK(run_until(pair.loop, [&] { return pair.reader.heard == "before behind"; }));
  pair.say(", and more");
  CHECK(run_until(pair.loop, [&] { return pair.reader.heard == "before behind, and more"; }));
}

TEST_CASE("bytes come in, then the end, and the other direction stays open") {
  Pair pair;
  pair.accept_one();
  pair.say("hello");
  CHECK(run_until(pair.loop, [&] { return pair.reader.heard == "hello"; }));
  shutdown(pair.accepted, SHUT_WR);
  CHECK(run_until(pair.loop, [&] { return pair.reader.ends == 1; }));
  CHECK(pair.stream->write(postern::as_bytes("still here")));
  CHECK(pair.read_now() == "still here");
  run_for(pair.loop, 5);
  CHECK(pair.reader.ends == 1);
}

TEST_CASE("a port that nobody listens on is told as refused") {
  TestSocket closed(SOCK_STREAM, "127.0.0.1");  // bound, not listening
  Loop loop;
  Reader reader;
  auto stream = TcpStream::connect(loop, closed.local(), reader).value();
  CHECK(run_until(loop, [&] { return reader.error.has_value(); }));
  CHECK(reader.error == "Connection refused");
  CHECK(reader.connections == 0);
  CHECK_FALSE(stream->write(postern::as_bytes("x")));
}

TEST_CASE("a peer that does not answer is given up after the connect timeout") {
  TestSocket server(SOCK_STREAM, "127.0.0.1");
  REQUIRE(listen(server.fd(), 0) == 0);
  std::vector<std::unique_ptr<TestSocket>> filling;  // the backlog is full: SYNs are ignored
  for (int i = 0; i < 4; ++i) {
    filling.push_back(std::make_unique<TestSocket>(SOCK_STREAM | SOCK_NONBLOCK));
    sockaddr_storage address{};
    const socklen_t size = server.local().to_sockaddr(address);
    static_cast<void>(connect(filling.back()->fd(), reinterpret_cast<sockaddr*>(&address), size));
  }
  Loop loop;
  Reader reader;
  auto stream =
      TcpStream::connect(loop, server.local(), reader, {.connect_timeout_ms = 40}).value();
  const auto begin = loop.now_ms();
  CHECK(run_until(loop, [&] { return reader.error.has_value(); }));
  CHECK(reader.error == "Connection timed out");
  CHECK(loop.now_ms() - begin >= 40);
  CHECK(loop.now_ms() - begin < 1000);
}

TEST_CASE("what the peer does not take is kept up to a limit and leaves when it reads") {
  Pair pair({.unsent_bytes_max = 8U << 20});
  pair.accept_one();
  const std::string chunk(1 << 20, 'x');
  std::size_t written = 0;
  while (pair.stream->write(postern::as_bytes(chunk))) written += chunk.size();
  CHECK(pair.stream->unsent() <= 8U << 20);
  CHECK(pair.stream->unsent() + chunk.size() > 8U << 20);
  CHECK(pair.stream->sent_total() + pair.stream->unsent() == written);
  std::size_t got = 0;
  CHECK(run_until(pair.loop, [&] {
    got += pair.read_now().size();
    return got == written;
  }));
  CHECK(pair.reader.drains == 1);
  CHECK(pair.stream->unsent() == 0);
}

TEST_CASE("finish() lets the peer see the end after the last byte") {
  Pair pair({.unsent_bytes_max = 16U << 20});
  pair.accept_one();
  const std::vector<std::uint8_t> much(10'000'000, 'x');
  CHECK(pair.stream->write(much));
  pair.stream->finish();
  CHECK_FALSE(pair.stream->write(postern::as_bytes("no more")));
  std::size_t got = 0;
  CHECK(run_until(pair.loop, [&] {
    got += pair.read_now().size();
    return got == 10'000'000 && pair.peer_sees_end();
  }));
  pair.say("answer");
  CHECK(run_until(pair.loop, [&] { return pair.reader.heard == "answer"; }));
}

TEST_CASE("nothing is read while paused") {
  Pair pair;
  pair.accept_one();
  pair.stream->pause();
  pair.say("hello");
  run_for(pair.loop, 10);
  CHECK(pair.reader.heard.empty());
  pair.stream->resume();
  CHECK(run_until(pair.loop, [&] { return pair.reader.heard == "hello"; }));
}

TEST_CASE("a reset is told after what arrived before it, and only once") {
  Pair pair;
  pair.accept_one();
  pair.say("last words");
  pair.reset_from_peer();
  CHECK(run_until(pair.loop, [&] { return pair.reader.error.has_value(); }));
  CHECK(pair.reader.heard == "last words");
  CHECK(pair.reader.error == "Connection reset by peer");
  pair.reader.error.reset();
  run_for(pair.loop, 10);
  CHECK_FALSE(pair.reader.error);
}

TEST_CASE("a write that finds the connection reset fails, and failed() follows from the loop") {
  for (const bool paused : {false, true}) {
    Pair pair;
    pair.accept_one();
    if (paused) pair.stream->pause();
    pair.reset_from_peer();
    CHECK_FALSE(pair.stream->write(postern::as_bytes("x")));
    CHECK_FALSE(pair.reader.error);
    CHECK(run_until(pair.loop, [&] { return pair.reader.error.has_value(); }));
  }
}

TEST_CASE("a stream may be destroyed by any of its events") {
  SUBCASE("connected") {
    Pair pair;
    pair.reader.after_each = [&] { pair.stream.reset(); };
    pair.accept_one();
    CHECK_FALSE(pair.stream);
  }
  SUBCASE("received") {
    Pair pair;
    pair.accept_one();
    pair.reader.after_each = [&] { pair.stream.reset(); };
    pair.say("x");
    CHECK(run_until(pair.loop, [&] { return !pair.stream; }));
  }
  SUBCASE("ended") {
    Pair pair;
    pair.accept_one();
    pair.reader.after_each = [&] { pair.stream.reset(); };
    shutdown(pair.accepted, SHUT_WR);
    CHECK(run_until(pair.loop, [&] { return !pair.stream; }));
  }
  SUBCASE("drained") {
    Pair pair;
    CHECK(pair.stream->write(postern::as_bytes("x")));
    pair.reader.after_each = [&] {
      if (pair.reader.drains > 0) pair.stream.reset();
    };
    pair.accept_one();
    CHECK(run_until(pair.loop, [&] { return !pair.stream; }));
    CHECK(pair.read_now() == "x");
  }
  SUBCASE("failed") {
    Pair pair;
    pair.accept_one();
    pair.reader.after_each = [&] { pair.stream.reset(); };
    pair.reset_from_peer();
    CHECK(run_until(pair.loop, [&] { return !pair.stream; }));
  }
  SUBCASE("failed by the connect timeout") {
    Pair pair({.connect_timeout_ms = 0});
    pair.reader.after_each = [&] { pair.stream.reset(); };
    CHECK(run_until(pair.loop, [&] { return !pair.stream; }));
  }
}

TEST_CASE("a stream that is destroyed while connecting tells nothing") {
  Pair pair;
  pair.stream.reset();
  run_for(pair.loop, 10);
  CHECK(pair.reader.connections == 0);
  CHECK_FALSE(pair.reader.error);
}

TEST_CASE("a listener hands over each connection with its peer") {
  Loop loop;
  std::vector<Endpoint> peers;
  auto listener = TcpListener::open(loop, listen_tcp(endpoint("127.0.0.1")).value(),
                                    [&](Fd, const Endpoint& peer) { peers.push_back(peer); })
                      .value();
  TestSocket first(SOCK_STREAM, "127.0.0.2");
  TestSocket second(SOCK_STREAM, "127.0.0.3");
  first.connect_to(listener->local());
  second.connect_to(listener->local());
  CHECK(run_until(loop, [&] { return peers.size() == 2; }));
  CHECK(peers[0] == first.local());
  CHECK(peers[1] == second.local());
}

TEST_CASE("a listener that another holder has shut down rests until it listens again") {
  Loop loop;
  int accepted = 0;
  Fd ours = listen_tcp(endpoint("127.0.0.1")).value();
  const Fd theirs(dup(ours.get()));
  auto listener =
      TcpListener::open(loop, std::move(ours), [&](Fd, const Endpoint&) { ++accepted; }).value();
  loop.run_once(false);
  REQUIRE(shutdown(theirs.get(), SHUT_RDWR) == 0);
  int turns = 0;
  for (const auto begin = loop.now_ms(); loop.now_ms() < begin + 250; ++turns) loop.run_once(true);
  CHECK(turns < 20);
  REQUIRE(listen(theirs.get(), 8) == 0);  // at a new port
  TestSocket client(SOCK_STREAM, "127.0.0.1");
  const std::uint16_t port = listener->local().port;
  client.connect_to(endpoint("127.0.0.1", port));
  CHECK(run_until(loop, [&] { return accepted == 1; }));
}

TEST_CASE("a listener without descriptors left rests and goes on when there are some again") {
  Loop loop;
  int accepted = 0;
  auto listener =
      TcpListener::open(loop, listen_tcp(endpoint("127.0.0.1")).value(), [&](Fd, const Endpoint&) {
        ++accepted;
      }).value();
  TestSocket client(SOCK_STREAM, "127.0.0.1");
  client.connect_to(listener->local());
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{3, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  run_for(loop, 20);
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(accepted == 0);
  CHECK(listener->exhausted() == 1);
  CHECK(run_until(loop, [&] { return accepted == 1; }));
}
