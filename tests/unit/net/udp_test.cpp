#include "net/udp.h"

#include <cerrno>
#include <functional>
#include <set>

#include <doctest/doctest.h>

#include "../sockets.h"

using postern::Bytes;
using postern::Endpoint;
using postern::MutableBytes;
using postern::net::bind_udp;
using postern::net::connect_udp;
using postern::net::kUdpBatchMax;
using postern::net::kUdpDatagramMax;
using postern::net::Loop;
using postern::net::UdpDatagram;
using postern::net::UdpReader;
using postern::net::UdpReturn;
using postern::net::UdpSettings;
using postern::net::UdpSocket;
using postern::test::endpoint;
using postern::test::run_for;
using postern::test::run_until;
using postern::test::TestSocket;
using postern::test::text_of;

namespace {

std::size_t put(MutableBytes room, std::string_view text) {
  std::copy(text.begin(), text.end(), room.begin());
  return text.size();
}

struct Reader : UdpReader {
  std::function<std::size_t(const UdpDatagram&, MutableBytes)> on_received =
      [](const UdpDatagram& d, MutableBytes room) { return put(room, "re:" + text_of(d.data)); };
  std::function<void(int)> on_failed = [](int) {};

  std::size_t received(const UdpDatagram& datagram, MutableBytes reply) override {
    return on_received(datagram, reply);
  }
  void failed(int error_number) override { on_failed(error_number); }
};

std::unique_ptr<UdpSocket> bound(Loop& loop, UdpReader& reader, std::string_view ip,
                                 const UdpSettings& settings = {}) {
  return std::move(UdpSocket::open(loop, bind_udp(endpoint(ip)).value(), reader, settings).value());
}

std::unique_ptr<UdpSocket> connected(Loop& loop, UdpReader& reader, const Endpoint& peer) {
  return std::move(UdpSocket::open(loop, connect_udp(peer).value(), reader).value());
}

}  // namespace

TEST_CASE("a batch of datagrams is received by one call and answered by one call") {
  Loop loop;
  Reader reader;
  auto socket = bound(loop, reader, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  for (int i = 0; i < 40; ++i) client.send_to(socket->local(), "q" + std::to_string(i));
  loop.run_once(true);
  for (int i = 0; i < 40; ++i) CHECK(client.receive() == "re:q" + std::to_string(i));
  CHECK(socket->counts().received == 40);
  CHECK(socket->counts().sent == 40);
  CHECK(socket->counts().receive_calls == 1);
  CHECK(socket->counts().send_calls == 1);
}

TEST_CASE("full batches are read on up to a number of rounds, then the loop's other work runs") {
  Loop loop;
  Reader reader;
  auto socket = bound(loop, reader, "127.0.0.1", {.batch_max = 4, .rounds_max = 2});
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  for (int i = 0; i < 11; ++i) client.send_to(socket->local(), "q");
  loop.run_once(true);
  CHECK(socket->counts().received == 8);
  loop.run_once(true);
  CHECK(socket->counts().received == 11);
  CHECK(socket->counts().receive_calls == 3);
}

TEST_CASE("a batch of replies of full size leaves whole, in more calls") {
  Loop loop;
  Reader reader;
  reader.on_received = [](const UdpDatagram& d, MutableBytes room) {
    CHECK(room.size() == kUdpDatagramMax);
    std::fill(room.begin(), room.end(), d.data[0]);
    return room.size();
  };
  auto socket = bound(loop, reader, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  const int size = 1 << 20;
  setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  for (std::size_t i = 0; i < kUdpBatchMax; ++i) {
    client.send_to(socket->local(), std::string(1, static_cast<char>('0' + i)));
  }
  loop.run_once(true);
  CHECK(socket->counts().sent == kUdpBatchMax);
  CHECK(socket->counts().send_calls > 1);
  for (int i = 0; i < 20; ++i) {
    CHECK(client.receive() == std::string(kUdpDatagramMax, static_cast<char>('0' + i)));
  }
}

TEST_CASE("a wildcard socket answers from the address that was asked") {
  for (const auto& row :
       {std::pair{"0.0.0.0", "127.0.0.1"}, {"0.0.0.0", "127.0.0.2"}, {"::", "::1"}}) {
    const char* const wildcard = row.first;
    const char* const asked = row.second;
    CAPTURE(asked);
    Loop loop;
    Reader reader;
    UdpReturn later;
    reader.on_received = [&](const UdpDatagram& d, MutableBytes room) {
      later = d.way_back();
      return put(room, "now");
    };
    auto socket = bound(loop, reader, wildcard);
    const std::string_view own = std::string_view(wildcard) == "::" ? "::1" : "127.0.0.1";
    TestSocket client(SOCK_DGRAM, own);
    const Endpoint server = endpoint(asked, socket->local().port);
    client.send_to(server, "q");
    loop.run_once(true);
    Endpoint from;
    CHECK(client.receive(&from) == "now");
    CHECK(from == server);
    socket->queue(later, postern::as_bytes("later"));
    run_until(loop, [&] { return socket->counts().sent == 2; });
    CHECK(client.receive(&from) == "later");
    CHECK(from == server);
  }
}

TEST_CASE("the reader sees who asked, and gets only the start of a datagram that is too long") {
  Loop loop;
  Reader reader;
  Endpoint peer;
  std::vector<std::pair<std::size_t, bool>> seen;
  reader.on_received = [&](const UdpDatagram& d, MutableBytes) {
    peer = d.peer;
    seen.emplace_back(d.data.size(), d.truncated);
    return std::size_t{0};
  };
  auto socket = bound(loop, reader, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.3");
  client.send_to(socket->local(), std::string(kUdpDatagramMax, 'x'));
  client.send_to(socket->local(), std::string(kUdpDatagramMax + 1, 'x'));
  loop.run_once(true);
  CHECK(peer == client.local());
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == std::pair{kUdpDatagramMax, false});
  CHECK(seen[1] == std::pair{kUdpDatagramMax, true});
  CHECK(socket->counts().truncated == 1);
}

TEST_CASE("what is queued during one turn of the loop leaves in one call per socket") {
  Loop loop;
  TestSocket upstream(SOCK_DGRAM, "127.0.0.1");
  Reader upstream_reader;
  auto to_upstream = connected(loop, upstream_reader, upstream.local());
  Reader reader;
  std::vector<UdpReturn> waiting;
  reader.on_received = [&](const UdpDatagram& d, MutableBytes) {
    waiting.push_back(d.way_back());
    to_upstream->queue(d.data);
    return std::size_t{0};
  };
  auto socket = bound(loop, reader, "127.0.0.1");
  upstream_reader.on_received = [&](const UdpDatagram& d, MutableBytes) {
    socket->queue(waiting.at(static_cast<std::size_t>(d.data[0] - 'a')), d.data);
    return std::size_t{0};
  };
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  for (char c = 'a'; c < 'k'; ++c) client.send_to(socket->local(), std::string(1, c));
  loop.run_once(true);
  CHECK(to_upstream->counts().send_calls == 1);
  CHECK(to_upstream->counts().sent == 10);
  Endpoint from;
  for (int i = 0; i < 10; ++i) {
    const std::string query = upstream.receive(&from);
    upstream.send_to(from, query);
  }
  loop.run_once(true);
  CHECK(socket->counts().send_calls == 1);
  for (char c = 'a'; c < 'k'; ++c) CHECK(client.receive() == std::string(1, c));
}

TEST_CASE("a queue longer than a batch, or than the shared memory, still leaves whole") {
  Loop loop;
  Reader reader;
  TestSocket first_peer(SOCK_DGRAM, "127.0.0.1");
  TestSocket second_peer(SOCK_DGRAM, "127.0.0.1");
  auto first = connected(loop, reader, first_peer.local());
  auto second = connected(loop, reader, second_peer.local());
  const std::string big(kUdpDatagramMax, 'b');
  for (int i = 0; i < 70; ++i) {
    first->queue(postern::as_bytes("small" + std::to_string(i)));
    second->queue(postern::as_bytes(big));
    if (i % 8 == 7) {
      while (!second_peer.receive_now().empty()) continue;
    }
  }
  run_until(loop, [&] { return second->counts().sent == 70; });
  CHECK(first->counts().sent == 70);
  CHECK(first->counts().send_calls <= 3);
  for (int i = 0; i < 70; ++i) CHECK(first_peer.receive() == "small" + std::to_string(i));
}

TEST_CASE("a closed port is told to the owner of a connected socket, which can go on using it") {
  Loop loop;
  Reader reader;
  std::vector<int> errors;
  std::string heard;
  reader.on_failed = [&](int number) { errors.push_back(number); };
  reader.on_received = [&](const UdpDatagram& d, MutableBytes) {
    heard = text_of(d.data);
    return std::size_t{0};
  };
  TestSocket peer(SOCK_DGRAM, "127.0.0.1");
  const Endpoint address = peer.local();
  peer.close_now();
  auto socket = connected(loop, reader, address);
  const Endpoint own = socket->local();
  socket->queue(postern::as_bytes("q"));
  CHECK(run_until(loop, [&] { return !errors.empty(); }));
  CHECK(errors == std::vector<int>{ECONNREFUSED});

  TestSocket again(SOCK_DGRAM);
  again.bind_to(address);
  again.send_to(own, "back");
  CHECK(run_until(loop, [&] { return !heard.empty(); }));
  CHECK(heard == "back");
}

TEST_CASE("an error found while sending does not lose the datagram that found it") {
  Loop loop;
  Reader reader;
  int errors = 0;
  reader.on_failed = [&](int) { ++errors; };
  TestSocket peer(SOCK_DGRAM, "127.0.0.1");
  const Endpoint address = peer.local();
  peer.close_now();
  auto socket = connected(loop, reader, address);
  socket->queue(postern::as_bytes("lost"));
  socket->flush();
  TestSocket again(SOCK_DGRAM);
  again.bind_to(address);
  socket->queue(postern::as_bytes("kept"));
  socket->flush();
  CHECK(errors == 0);  // never from inside queue() or flush()
  CHECK(again.receive() == "kept");
  CHECK(run_until(loop, [&] { return errors > 0; }));
}

TEST_CASE("an idle socket in error does not keep the loop busy") {
  Loop loop;
  Reader reader;
  int errors = 0;
  reader.on_failed = [&](int) { ++errors; };
  TestSocket peer(SOCK_DGRAM, "127.0.0.1");
  const Endpoint address = peer.local();
  peer.close_now();
  auto socket = connected(loop, reader, address);
  socket->queue(postern::as_bytes("q"));
  run_for(loop, 50);
  CHECK(errors == 1);
  CHECK(socket->counts().receive_calls <= 2);
}

TEST_CASE("a socket may be destroyed by its reader in the middle of a batch") {
  Loop loop;
  Reader reader;
  std::unique_ptr<UdpSocket> socket;
  int calls = 0;
  reader.on_received = [&](const UdpDatagram&, MutableBytes room) {
    if (++calls == 2) socket.reset();
    return put(room, "r");
  };
  socket = bound(loop, reader, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  for (int i = 0; i < 5; ++i) client.send_to(socket->local(), "q");
  loop.run_once(true);
  CHECK(calls == 2);
  CHECK_FALSE(socket);
  loop.run_once(false);
}

TEST_CASE("after a reader destroyed its socket, another socket of the loop starts a clean batch") {
  Loop loop;
  Reader dying;
  Reader living;
  std::unique_ptr<UdpSocket> socket;
  dying.on_received = [&](const UdpDatagram& d, MutableBytes room) {
    if (d.data[0] == '2') socket.reset();
    return put(room, "gone");
  };
  socket = bound(loop, dying, "127.0.0.1");
  auto other = bound(loop, living, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  client.send_to(socket->local(), "1");
  client.send_to(socket->local(), "2");
  loop.run_once(true);
  client.send_to(other->local(), "q");
  loop.run_once(true);
  CHECK(client.receive() == "re:q");
  CHECK(client.receive_now().empty());
}

TEST_CASE("a socket may be destroyed with datagrams queued and by its error") {
  Loop loop;
  Reader reader;
  TestSocket peer(SOCK_DGRAM, "127.0.0.1");
  const Endpoint address = peer.local();
  {
    auto socket = connected(loop, reader, address);
    socket->queue(postern::as_bytes("never"));
  }
  loop.run_once(false);
  CHECK(peer.receive_now().empty());
  peer.close_now();
  std::unique_ptr<UdpSocket> socket;
  reader.on_failed = [&](int) { socket.reset(); };
  socket = connected(loop, reader, address);
  socket->queue(postern::as_bytes("q"));
  CHECK(run_until(loop, [&] { return !socket; }));
}

TEST_CASE("a socket that turns datagrams away still sends") {
  Loop loop;
  Reader reader;
  int calls = 0;
  UdpReturn to;
  reader.on_received = [&](const UdpDatagram& d, MutableBytes) {
    ++calls;
    to = d.way_back();
    return std::size_t{0};
  };
  auto socket = bound(loop, reader, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  client.send_to(socket->local(), "q");
  loop.run_once(true);
  socket->turn_away();
  client.send_to(socket->local(), "q");
  socket->queue(to, postern::as_bytes("later"));
  run_for(loop, 20);
  CHECK(calls == 1);
  CHECK(client.receive() == "later");
}

TEST_CASE("what a shared socket turns away waits for those who hold it, too") {
  Loop loop;
  Reader reader;
  int calls = 0;
  UdpReturn to;
  reader.on_received = [&](const UdpDatagram& d, MutableBytes) {
    ++calls;
    to = d.way_back();
    return std::size_t{0};
  };
  TestSocket bound_before(SOCK_DGRAM, "127.0.0.1");
  const postern::net::Fd held(bound_before.release());
  auto socket = UdpSocket::open(loop, postern::net::adopt_udp(held).value(), reader).value();
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  client.send_to(socket->local(), "first");
  CHECK(run_until(loop, [&] { return calls == 1; }));
  socket->turn_away();
  client.send_to(socket->local(), "second");
  socket->queue(to, postern::as_bytes("later"));
  run_for(loop, 20);
  CHECK(calls == 1);
  CHECK(client.receive() == "later");
  socket.reset();
  auto next = UdpSocket::open(loop, postern::net::adopt_udp(held).value(), reader).value();
  CHECK(run_until(loop, [&] { return calls == 2; }));
}

TEST_CASE("a reply that the system refuses does not hold up the others") {
  Loop loop;
  Reader reader;
  UdpReturn good;
  reader.on_received = [&](const UdpDatagram& d, MutableBytes) {
    good = d.way_back();
    return std::size_t{0};
  };
  auto socket = bound(loop, reader, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  client.send_to(socket->local(), "q");
  loop.run_once(true);
  UdpReturn bad = good;
  reinterpret_cast<sockaddr_in*>(&bad.peer)->sin_port = 0;  // EINVAL
  socket->queue(good, postern::as_bytes("1"));
  socket->queue(bad, postern::as_bytes("x"));
  socket->queue(good, postern::as_bytes("2"));
  socket->flush();
  CHECK(client.receive() == "1");
  CHECK(client.receive() == "2");
  CHECK(socket->counts().send_errors == 1);
  CHECK(socket->counts().sent == 2);
}
