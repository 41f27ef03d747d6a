#include "gateway/quic_service.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "../sockets.h"
#include "quic_bytes.h"

namespace postern::gateway {
namespace {

using test::client_initial;
using test::endpoint;
using test::run_until;
using test::TestSocket;

/// A rejecter, and what it says for the log.
struct Bench {
  net::Loop loop;
  std::vector<std::string> clients;
  std::vector<std::string> names;
  ClientNotes notes{[this](const ClientNote& note) {
    clients.push_back(note.client.to_string());
    names.push_back(note.name);
  }};
  QuicShared shared;
  std::unique_ptr<QuicRejecter> rejecter;

  Bench() {
    shared.notes = &notes;
    rejecter =
        QuicRejecter::open(loop, net::bind_udp(endpoint("127.0.0.1")).value(), shared).value();
  }
  /// From this address, in their order, and all looked at.
  void send(const char* from, const std::vector<std::string_view>& datagrams) {
    const std::uint64_t before = shared.counts.refused;
    TestSocket client(SOCK_DGRAM, from);
    for (const std::string_view hex : datagrams) {
      client.send_to(rejecter->local(), test::padded(test::from_hex(hex)));
    }
    REQUIRE(run_until(loop, [&] { return shared.counts.refused == before + datagrams.size(); }));
  }
};

using Names = std::vector<std::string>;

/// What the rejecter does with this datagram as if it came from there.
void receive_from(Bench* bench, std::string_view address, const std::string& datagram) {
  std::vector<std::uint8_t> reply(2048);
  net::UdpDatagram received;
  received.data = as_bytes(datagram);
  received.peer = endpoint(address, 4433);
  bench->rejecter->received(received, reply);
}

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

TEST_CASE("the name is in the second datagram, or in both") {
  Bench bench;
  bench.send("127.0.0.1", {test::kHead, test::kRestWithName, test::kRestWithName});
  CHECK(bench.names == Names{"llama.vanillax.me"});
  bench.send("127.0.0.2", {test::kOtherHalfName, test::kHalfName});
  CHECK(bench.names == Names{"llama.vanillax.me", "llama.vanillax.me"});
  bench.send("127.0.0.1", {test::kHead, test::kHead});
  test::run_for(bench.loop, 2 * QuicRejecter::kNameWaitMs);
  CHECK(bench.names.size() == 2);
}

TEST_CASE("a probe with a reserved version is answered and counted, but takes no line of the log") {
  Bench bench;
  bench.send("127.0.0.1", {"c01a2a3a5a", "c00a0a0a0a", "c0fafafafa"});
  CHECK(bench.clients.empty());
  CHECK(bench.shared.clients.entries(bench.loop.now_ms()).empty());
  bench.send("127.0.0.1", {test::kHead, "c01a2a3a5a", test::kRestWithName});
  CHECK(bench.names == Names{"llama.vanillax.me"});
  CHECK(bench.shared.clients.entries(bench.loop.now_ms()).size() == 1);
  bench.send("127.0.0.2", {"c01a2a3a5b"});
  CHECK(bench.clients == Names{"127.0.0.1", "127.0.0.2"});
}

TEST_CASE("each device of an IPv6 network is named, though one limit holds for all of them") {
  Bench bench;
  for (const char* address : {"2001:db8::1", "2001:db8::2", "2001:db8::1", "2001:db8:0:1::1"}) {
    receive_from(&bench, address, test::padded(test::from_hex("c000000001")));
  }
  CHECK(bench.clients == Names{"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"});
}

TEST_CASE("made-up addresses do not fill the log") {
  Bench bench;
  bench.shared.limits = QuicLimits({50, 5'000'000, 4096});
  const std::string datagram = test::padded(test::from_hex("c000000001"));
  for (unsigned i = 0; i < 3 * DailyClients::kClientsMax; ++i) {
    receive_from(&bench, fmt::format("10.0.{}.{}", i / 256, i % 256), datagram);
  }
  CHECK(bench.shared.counts.refused == 3 * DailyClients::kClientsMax);
  CHECK(bench.names.size() == DailyClients::kClientsMax);
}

TEST_CASE("a name that never comes is waited for a short while") {
  Bench bench;
  bench.send("127.0.0.1", {test::kHead});
  CHECK(bench.names.empty());
  bench.send("127.0.0.2", {test::kHead, test::kHalfName});
  CHECK(run_until(bench.loop, [&] { return bench.names.size() == 2; }));
  CHECK(bench.names == Names{"", ""});
}

TEST_CASE("clients that wait for a name are named without one when the listener goes") {
  Bench bench;
  bench.send("127.0.0.1", {test::kHead});
  bench.send("127.0.0.2", {test::kHead, test::kRestWithName});
  bench.send("127.0.0.3", {test::kHalfName});
  CHECK(bench.names == Names{"llama.vanillax.me"});
  bench.rejecter.reset();
  CHECK(bench.names == Names{"llama.vanillax.me", "", ""});
  test::run_for(bench.loop, 2 * QuicRejecter::kNameWaitMs);
  CHECK(bench.names.size() == 3);
}

TEST_CASE(
    "what cannot be read is named at once, what goes on without a name after some datagrams") {
  Bench bench;
  bench.send("127.0.0.1", {"c000000001"});
  CHECK(bench.names.size() == 1);
  bench.send("127.0.0.2",
             std::vector<std::string_view>(QuicRejecter::kDatagramsMax, test::kHalfName));
  CHECK(bench.names == Names{"", ""});
}

TEST_CASE("clients beyond those that wait are named at once") {
  Bench bench;
  for (std::size_t i = 0; i < QuicRejecter::kWaitingMax + 3; ++i) {
    bench.send(("127.0.1." + std::to_string(i)).c_str(), {test::kHead});
  }
  CHECK(bench.names.size() == 3);
}

TEST_CASE("a client over the limit is not answered") {
  net::Loop loop;
  QuicShared shared{QuicLimits({3, 5000, 4096}), {}};
  auto rejecter =
      QuicRejecter::open(loop, net::bind_udp(endpoint("127.0.0.1")).value(), shared).value();
  TestSocket client(SOCK_DGRAM, "127.0.0.1");
  for (int i = 0; i < 5; ++i) client.send_to(rejecter->local(), client_initial());
  REQUIRE(run_until(loop, [&] { return shared.counts.refused + shared.counts.limited == 5; }));
  CHECK(shared.counts.refused == 3);
  CHECK(shared.counts.limited == 2);
}

}  // namespace postern::gateway
