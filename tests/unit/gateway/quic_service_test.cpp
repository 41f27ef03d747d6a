#include "gateway/quic_service.h"

#include <doctest/doctest.h>

#include "../sockets.h"
#include "quic_bytes.h"

namespace postern::gateway {
namespace {

using test::client_initial;
using test::endpoint;
using test::run_until;
using test::TestSocket;

}  // namespace

TEST_CASE("a QUIC client is refused, everything else is ignored, and each is counted") {
  net::Loop loop;
  QuicShared shared;
  auto rejecter =
      QuicRejecter::open(loop, net::bind_udp(endpoint("127.0.0.1")).value(), shared).value();
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  client.send_to(rejecter->local(), client_initial());
  client.send_to(rejecter->local(), "hello");
  client.send_to(rejecter->local(), test::padded(client_initial(), 1500));
  REQUIRE(run_until(loop, [&] { return shared.counts.refused + shared.counts.ignored == 3; }));
  CHECK(shared.counts.refused == 2);
  CHECK(shared.counts.ignored == 1);
  for (int i = 0; i < 2; ++i) {
    const std::string reply = client.receive();
    REQUIRE(reply.size() == 19);
    CHECK((static_cast<unsigned char>(reply[0]) & 0xc0) == 0xc0);
    CHECK(reply.substr(1, 14) == test::from_hex("0000000000088394c8f03e515708"));
  }
  CHECK(client.receive_now().empty());
}

TEST_CASE("what a Version Negotiation packet says is not answered: no loop between two of us") {
  net::Loop loop;
  QuicShared shared;
  auto one = QuicRejecter::open(loop, net::bind_udp(endpoint("127.0.0.1")).value(), shared).value();
  auto two = QuicRejecter::open(loop, net::bind_udp(endpoint("127.0.0.1")).value(), shared).value();
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  client.send_to(one->local(), client_initial());
  REQUIRE(run_until(loop, [&] { return shared.counts.refused == 1; }));
  client.send_to(two->local(), test::padded(client.receive()));
  REQUIRE(run_until(loop, [&] { return shared.counts.ignored == 1; }));
}

TEST_CASE("a client over the limit is not answered") {
  net::Loop loop;
  QuicShared shared{QuicLimits({3, 5000, 200, 4096}), {}};
  auto rejecter =
      QuicRejecter::open(loop, net::bind_udp(endpoint("127.0.0.1")).value(), shared).value();
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  for (int i = 0; i < 5; ++i) client.send_to(rejecter->local(), client_initial());
  REQUIRE(run_until(loop, [&] { return shared.counts.refused + shared.counts.limited == 5; }));
  CHECK(shared.counts.refused == 3);
  CHECK(shared.counts.limited == 2);
}

}  // namespace postern::gateway
