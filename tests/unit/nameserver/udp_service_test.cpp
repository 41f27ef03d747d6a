#include "nameserver/udp_service.h"

#include <netinet/ip.h>
#include <netinet/udp.h>

#include <doctest/doctest.h>

#include "../sockets.h"
#include "echo_handler.h"

using postern::Endpoint;
using postern::nameserver::UdpService;
using postern::net::Loop;
using postern::test::EchoHandler;
using postern::test::endpoint;
using postern::test::run_for;
using postern::test::run_until;
using postern::test::TestSocket;

namespace {

std::unique_ptr<UdpService> serve(Loop& loop, EchoHandler& handler, std::string_view ip) {
  return std::move(
      UdpService::open(loop, postern::net::bind_udp(endpoint(ip)).value(), handler).value());
}

// A datagram from a port that no socket can have. False when raw sockets are not allowed here.
bool send_from_port0(const Endpoint& to, std::string_view data) {
  const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
  if (fd < 0) return false;
  udphdr header{};
  header.dest = htons(to.port);
  header.len = htons(static_cast<std::uint16_t>(sizeof header + data.size()));
  std::string packet(reinterpret_cast<const char*>(&header), sizeof header);
  packet += data;
  sockaddr_storage address{};
  Endpoint host = to;
  host.port = 0;
  const socklen_t size = host.to_sockaddr(address);
  const bool sent =
      sendto(fd, packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&address), size) > 0;
  close(fd);
  return sent;
}

}  // namespace

TEST_CASE("queries are answered at once, later, or not at all, and each is counted") {
  Loop loop;
  EchoHandler handler;
  auto service = serve(loop, handler, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.5");
  for (const char* query : {"now", "later1", "drop", "later2"}) {
    client.send_to(service->local(), query);
  }
  loop.run_once(true);
  CHECK(client.receive() == "re:now");
  CHECK(client.receive_now().empty());
  CHECK(handler.peers.at(0) == client.local());
  CHECK(service->waiting() == 2);
  handler.waiting[1].answer();
  handler.waiting[0].answer();
  CHECK(run_until(loop, [&] { return service->counts().replied == 3; }));
  CHECK(client.receive() == "re:later2");
  CHECK(client.receive() == "re:later1");
  CHECK(service->waiting() == 0);
  CHECK(service->counts().received == 4);
  CHECK(service->counts().dropped == 1);
}

TEST_CASE("a later reply from a wildcard service leaves from the address that was asked") {
  for (const auto& [wildcard, asked] : {std::pair{"0.0.0.0", "127.0.0.2"}, {"::", "::1"}}) {
    Loop loop;
    EchoHandler handler;
    auto service = serve(loop, handler, wildcard);
    TestSocket client(SOCK_DGRAM, std::string_view(asked) == "::1" ? "::1" : "127.0.0.1");
    const Endpoint server = endpoint(asked, service->local().port);
    client.send_to(server, "later");
    loop.run_once(true);
    REQUIRE(handler.waiting.size() == 1);
    handler.waiting[0].answer();
    CHECK(run_until(loop, [&] { return service->counts().replied == 1; }));
    Endpoint from;
    CHECK(client.receive(&from) == "re:later");
    CHECK(from == server);
  }
}

TEST_CASE("a query that ends without a reply is counted as dropped") {
  Loop loop;
  EchoHandler handler;
  auto service = serve(loop, handler, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  client.send_to(service->local(), "later");
  loop.run_once(true);
  handler.waiting.clear();
  CHECK(service->counts().dropped == 1);
  CHECK(service->waiting() == 0);
}

TEST_CASE("a way back answers once and does nothing when its service has gone") {
  Loop loop;
  EchoHandler handler;
  auto service = serve(loop, handler, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  for (const char* query : {"later1", "later2", "later3"}) client.send_to(service->local(), query);
  loop.run_once(true);
  REQUIRE(handler.waiting.size() == 3);
  handler.waiting[1].answer();
  handler.waiting[1].answer();
  loop.run_once(false);
  CHECK(client.receive() == "re:later2");
  CHECK(client.receive_now().empty());
  service.reset();
  handler.waiting[0].answer();
  handler.waiting.clear();
  loop.run_once(false);
  CHECK(client.receive_now().empty());
}

TEST_CASE("a query longer than any query is dropped unread") {
  Loop loop;
  EchoHandler handler;
  auto service = serve(loop, handler, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  client.send_to(service->local(), std::string(5000, 'x'));
  client.send_to(service->local(), "now");
  loop.run_once(true);
  CHECK(client.receive() == "re:now");
  CHECK(handler.calls == 1);
  CHECK(service->counts().truncated == 1);
  CHECK(service->counts().dropped == 1);
}

TEST_CASE("nothing is sent to port 0") {
  Loop loop;
  EchoHandler handler;
  auto service = serve(loop, handler, "127.0.0.1");
  if (!send_from_port0(service->local(), "now")) return;  // needs CAP_NET_RAW
  CHECK(run_until(loop, [&] { return service->counts().received == 1; }));
  CHECK(handler.calls == 0);
  CHECK(service->counts().source_port0 == 1);
  CHECK(service->counts().send_errors == 0);
}

TEST_CASE("a draining service turns new queries away and still sends what comes later") {
  Loop loop;
  EchoHandler handler;
  auto service = serve(loop, handler, "127.0.0.1");
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  client.send_to(service->local(), "later");
  loop.run_once(true);
  service->drain();
  TestSocket refused(SOCK_DGRAM, "127.0.0.1");
  refused.connect_to(service->local());
  refused.send_to(service->local(), "now");
  run_for(loop, 10);
  char byte = 0;
  CHECK(recv(refused.fd(), &byte, 1, 0) == -1);
  CHECK(errno == ECONNREFUSED);
  CHECK(handler.calls == 1);
  CHECK(service->waiting() == 1);
  handler.waiting[0].answer();
  run_for(loop, 10);
  CHECK(client.receive() == "re:later");
  CHECK(service->waiting() == 0);
}

TEST_CASE(
    "a draining service answers what came before, however much, and leaves the rest to others") {
  for (const std::string_view address : {"127.0.0.1", "0.0.0.0"}) {
    CAPTURE(address);
    Loop loop;
    EchoHandler handler;
    auto old = serve(loop, handler, address);
    const Endpoint asked = endpoint("127.0.0.1", old->local().port);
    TestSocket client(SOCK_DGRAM, "127.0.0.1");
    for (int i = 0; i < 300; ++i) client.send_to(asked, "now");
    old->drain();
    CHECK(handler.calls == 300);
    const Endpoint other = endpoint(address == "0.0.0.0" ? "127.0.0.1" : "0.0.0.0", asked.port);
    auto next =
        std::move(UdpService::open(loop, postern::net::bind_udp(other).value(), handler).value());
    client.send_to(asked, "later");
    CHECK(run_until(loop, [&] { return next->waiting() == 1; }));
    CHECK(old->waiting() == 0);
  }
}
