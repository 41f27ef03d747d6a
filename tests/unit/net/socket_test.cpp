#include "net/socket.h"

#include <fcntl.h>

#include <doctest/doctest.h>

#include "../sockets.h"

using postern::Endpoint;
using postern::net::bind_udp;
using postern::net::connect_udp;
using postern::net::Fd;
using postern::net::has_packet_info;
using postern::net::listen_tcp;
using postern::net::local_endpoint;
using postern::net::peer_endpoint;
using postern::net::start_connect_tcp;
using postern::test::endpoint;
using postern::test::TestSocket;

namespace {

int option(const Fd& fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(fd.get(), level, name, &value, &size);
  return value;
}

}  // namespace

TEST_CASE("a bound UDP socket shares its port, does not block and is closed on exec") {
  const auto fd = bind_udp(endpoint("127.0.0.1"));
  REQUIRE(fd);
  CHECK(option(*fd, SOL_SOCKET, SO_REUSEPORT) == 1);
  CHECK((fcntl(fd->get(), F_GETFL) & O_NONBLOCK) != 0);
  CHECK((fcntl(fd->get(), F_GETFD) & FD_CLOEXEC) != 0);
  const Endpoint local = local_endpoint(*fd).value();
  CHECK(local.port != 0);
  CHECK(bind_udp(local));
}

TEST_CASE("packet info is on for wildcard sockets only") {
  CHECK_FALSE(has_packet_info(*bind_udp(endpoint("127.0.0.1"))));
  CHECK_FALSE(has_packet_info(*bind_udp(endpoint("::1"))));
  CHECK(has_packet_info(*bind_udp(endpoint("0.0.0.0"))));
  CHECK(has_packet_info(*bind_udp(endpoint("::"))));
}

// The port that the system gives for IPv6 may be another program's in IPv4; not every time.
TEST_CASE("the IPv4 and the IPv6 wildcard can be bound to the same port") {
  bool udp = false;
  bool tcp = false;
  for (int i = 0; i < 20; ++i) {
    const auto v6 = bind_udp(endpoint("::"));
    REQUIRE(v6);
    udp = udp || bind_udp(endpoint("0.0.0.0", local_endpoint(*v6)->port));
    const auto tcp6 = listen_tcp(endpoint("::"));
    REQUIRE(tcp6);
    tcp = tcp || listen_tcp(endpoint("0.0.0.0", local_endpoint(*tcp6)->port));
  }
  CHECK(udp);
  CHECK(tcp);
}

TEST_CASE("a port in use is an error that says how to find out by whom") {
  TestSocket other(SOCK_DGRAM, "127.0.0.1");  // without SO_REUSEPORT
  const auto fd = bind_udp(other.local());
  REQUIRE_FALSE(fd);
  CHECK(fd.error().code == postern::Code::kIo);
  const std::string expected =
      "cannot listen on " + other.local().to_string() +
      " (UDP): Address already in use; is another server there? see: ss -lunp sport = :" +
      std::to_string(other.local().port);
  CHECK(fd.error().detail == expected);
}

TEST_CASE("a connection is not begun when no descriptor below a limit is left") {
  TestSocket server(SOCK_STREAM, "127.0.0.1");
  const auto first = start_connect_tcp(server.local());
  REQUIRE(first);
  const int next = first->get() + 1;  // or more, when that is taken
  const auto none = start_connect_tcp(server.local(), next);
  REQUIRE_FALSE(none);
  CHECK(none.error().code == postern::Code::kLimit);
  CHECK(none.error().detail.find("Too many open files") != std::string::npos);
  CHECK(start_connect_tcp(server.local(), next + 100));
}

TEST_CASE("an address that this machine does not have is an error that says so") {
  const auto fd = listen_tcp(endpoint("192.0.2.1", 5353));
  REQUIRE_FALSE(fd);
  CHECK(fd.error().detail.find("does not have that address") != std::string::npos);
}

TEST_CASE("a connected UDP socket knows its peer and takes the source port that was asked for") {
  TestSocket peer(SOCK_DGRAM, "127.0.0.1");
  const auto fd = connect_udp(peer.local());
  REQUIRE(fd);
  CHECK(peer_endpoint(*fd).value() == peer.local());
  TestSocket free_port(SOCK_DGRAM, "127.0.0.1");
  const std::uint16_t port = free_port.local().port;
  free_port.close_now();
  const auto chosen = connect_udp(peer.local(), {.source_port = port});
  REQUIRE(chosen);
  CHECK(local_endpoint(*chosen)->port == port);
}

TEST_CASE("a descriptor is moved, never shared") {
  Fd first(dup(0));
  const int number = first.get();
  Fd second = std::move(first);
  CHECK(second.get() == number);
  second = Fd();
  CHECK(fcntl(number, F_GETFD) == -1);
}
