// The TCP side of the forwarder: truncation, pipelining, connections that end.
#include <doctest/doctest.h>

#include "forwarder_bench.h"
#include "nameserver/upstream_tcp.h"

using namespace postern::test;
namespace dns = postern::dns;
namespace nameserver = postern::nameserver;

namespace {

FakeUpstream::Answer truncated_by_udp(std::uint8_t last) {
  return [last](const Asked& asked) {
    return asked.by_tcp ? a_reply(asked, last) : reply(asked, 0x8380);
  };
}

}  // namespace

TEST_CASE("a truncated answer is fetched by TCP, on one connection for many") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(truncated_by_udp(6));
  upstream.listen_tcp();
  bench.start();
  std::vector<std::unique_ptr<Outcome>> outcomes;
  for (int i = 0; i < 20; ++i) outcomes.push_back(bench.ask("n" + std::to_string(i) + ".example"));
  for (const auto& outcome : outcomes) {
    REQUIRE(bench.wait_for(*outcome));
    CHECK(outcome->last_byte() == 6);
  }
  CHECK(upstream.asked.size() == 40);
  CHECK(upstream.connections == 1);
  CHECK(bench.fetch("later.example")->last_byte() == 6);
  CHECK(upstream.connections == 1);
}

TEST_CASE("a tcp:// upstream is never asked by UDP") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(address(3), true);
  upstream.listen_tcp();
  bench.start();
  CHECK(bench.fetch("www.example.com")->last_byte() == 3);
  CHECK(upstream.asked.size() == 1);
  CHECK(upstream.asked[0].by_tcp);
}

TEST_CASE("pipelined answers may come in any order and in any pieces") {
  ForwarderBench bench;
  std::vector<Asked> held;
  FakeUpstream& upstream = bench.add_upstream(
      [&](const Asked& asked) {
        held.push_back(asked);
        return held.size() < 3 ? ""s : a_reply(asked, 3);
      },
      true);
  upstream.listen_tcp();
  bench.start();
  const auto first = bench.ask("one.example"), second = bench.ask("two.example"),
             third = bench.ask("three.example");
  REQUIRE(bench.wait_for(*third));
  CHECK(third->last_byte() == 3);
  CHECK(first->times == 0);
  for (const auto& [asked, last] : {std::pair{held[1], 2}, std::pair{held[0], 1}}) {
    const std::string bytes = a_reply(asked, static_cast<std::uint8_t>(last));
    const std::string frame = u16_text(bytes.size()) + bytes;
    for (const char c : frame) {
      upstream.send_on_connection(0, std::string(1, c));
      bench.wait_ms(1);
    }
  }
  REQUIRE(bench.wait_for(*first));
  CHECK(first->last_byte() == 1);
  CHECK(second->last_byte() == 2);
  CHECK(upstream.connections == 1);
}

TEST_CASE("queries on a connection that ends are asked again on a new one") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(address(3), true);
  upstream.listen_tcp();
  upstream.close_after = 1;
  bench.start();
  const auto first = bench.ask("one.example"), second = bench.ask("two.example");
  REQUIRE(bench.wait_for(*first));
  REQUIRE(bench.wait_for(*second));
  CHECK_FALSE(first->failure);
  CHECK_FALSE(second->failure);
  CHECK(upstream.connections == 2);
}

TEST_CASE("a connection that is closed while idle costs the next question nothing") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(address(3), true);
  upstream.listen_tcp();
  bench.start();
  bench.fetch("one.example");
  upstream.close_connections();
  std::uint64_t took_ms = 0;
  CHECK(bench.fetch("two.example", &took_ms)->last_byte() == 3);
  CHECK(took_ms < 90);
}

TEST_CASE("an upstream that closes every connection at once fails, and the failure says so") {
  ForwarderBench bench;
  FakeUpstream* upstream = nullptr;
  upstream = &bench.add_upstream(
      [&](const Asked&) {
        upstream->close_current();
        return ""s;
      },
      true);
  upstream->listen_tcp();
  bench.start();
  const auto outcome = bench.fetch("one.example");
  CHECK(outcome->failure);
  CHECK(outcome->ede == 23);
  CHECK(outcome->ede_text == "tcp://" + upstream->address().to_string() + " closed the connection");
  CHECK(upstream->connections == 2);  // tried once more
}

TEST_CASE("refused TCP behind a truncated answer goes to the next upstream") {
  ForwarderBench bench;
  bench.add_upstream(truncated_by_udp(1));  // does not listen
  bench.add_upstream(address(2));
  bench.start();
  std::uint64_t took_ms = 0;
  CHECK(bench.fetch("www.example.com", &took_ms)->last_byte() == 2);
  CHECK(took_ms < 90);
}

TEST_CASE("refused TCP is named as such") {
  ForwarderBench bench;
  const FakeUpstream& upstream = bench.add_upstream(truncated_by_udp(1));
  bench.start();
  const auto outcome = bench.fetch("www.example.com");
  CHECK(outcome->ede_text == "tcp://" + upstream.address().to_string() + " refused the connection");
}

TEST_CASE("out of descriptors a truncated answer is not called malformed") {
  ForwarderBench bench;
  const FakeUpstream& upstream = bench.add_upstream(truncated_by_udp(6));
  bench.start();
  bench.fetch("opens-a-port.example");
  const OutOfDescriptors nothing_left;
  CHECK(bench.fetch("www.example.com")->ede_text ==
        "tcp://" + upstream.address().to_string() +
            " was not asked: this machine cannot open a socket (no descriptors, memory or ports)");
}

TEST_CASE("more queries than connections may carry are refused and counted") {
  struct Owner final : nameserver::ExchangeOwner {
    void replied(nameserver::Exchange&, postern::Bytes) override {}
    void broke(nameserver::Exchange&, nameserver::AttemptEnd) override {}
    void case_lost(nameserver::Exchange&) override {}
    void edns_refused(nameserver::Exchange&) override {}
  };
  FakeUpstream upstream(silence());
  upstream.listen_tcp();
  postern::net::Loop loop;
  nameserver::Random random;
  nameserver::TcpConnectionSettings settings;
  settings.connections_max = 2;
  settings.pipeline_min = 1;
  settings.pipeline_max = 2;
  Owner owner;
  std::array<nameserver::Exchange, 5> exchanges;
  const std::string name = "\7example\0"s;
  nameserver::TcpConnections connections(loop, random, upstream.address(), settings);
  for (nameserver::Exchange& exchange : exchanges) {
    exchange.owner = &owner;
    exchange.question = {dns::NameView(postern::as_bytes(name)),
                         dns::RrType::kA,
                         dns::RrClass::kIn,
                         false,
                         false,
                         true};
    const bool is_last = &exchange == &exchanges.back();
    CHECK(connections.send(exchange) ==
          (is_last ? nameserver::AttemptEnd::kFull : nameserver::AttemptEnd::kWaiting));
  }
  CHECK(connections.counts().queries_refused == 1);
  CHECK(connections.counts().connections_full == 3);
}

TEST_CASE("a slow name is asked once by TCP, and its connection stays in use") {
  ForwarderBench bench;
  std::vector<Asked> held;
  FakeUpstream& upstream = bench.add_upstream(
      [&](const Asked& asked) {
        held.push_back(asked);
        return held.size() == 1 ? ""s : a_reply(asked, 4);
      },
      true);
  upstream.listen_tcp();
  bench.start();
  const auto slow = bench.ask("slow.example");
  bench.wait_ms(900);
  CHECK(held.size() == 1);
  const std::string bytes = a_reply(held[0], 3);
  upstream.send_on_connection(0, u16_text(bytes.size()) + bytes);
  REQUIRE(bench.wait_for(*slow));
  CHECK(slow->last_byte() == 3);
  CHECK(bench.fetch("next.example")->last_byte() == 4);
  CHECK(upstream.connections == 1);
  CHECK(bench.forwarder->upstreams().at(0).failures == 0);
}

TEST_CASE("a connection that fell silent for two seconds is not used again") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(address(3), true);
  upstream.listen_tcp();
  bench.forward.timeout_ms = 2800;
  bench.start();
  bench.fetch("one.example");
  upstream.set_answer(
      [](const Asked& asked) { return asked.connection == 1 ? ""s : a_reply(asked, 4); });
  CHECK(bench.fetch("two.example")->last_byte() == 4);
  CHECK(upstream.connections == 2);
}

TEST_CASE("garbage by TCP is counted and the answer behind it is found") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(silence(), true);
  upstream.listen_tcp();
  bench.start();
  const auto outcome = bench.ask("www.example.com");
  REQUIRE(bench.wait_for([&] { return !upstream.asked.empty(); }));
  upstream.send_on_connection(0, "\0\0\0\3abc"s);
  Asked other = upstream.asked[0];
  other.bytes[13] = 'x';
  const std::string wrong = a_reply(other, 66), right = a_reply(upstream.asked[0], 5);
  upstream.send_on_connection(0, u16_text(wrong.size()) + wrong + u16_text(right.size()) + right);
  REQUIRE(bench.wait_for(*outcome));
  CHECK(outcome->last_byte() == 5);
  CHECK(bench.forwarder->counts().exchanges.mismatched == 3);
}
