#include "nameserver/forwarder.h"

#include <set>

#include <doctest/doctest.h>

#include "forwarder_bench.h"

using namespace postern::test;
using postern::Bytes;
using postern::Endpoint;
namespace dns = postern::dns;
namespace nameserver = postern::nameserver;

TEST_CASE("an answer reaches the listener and the cache") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(address(7));
  bench.start();
  const auto outcome = bench.fetch("www.example.com");
  CHECK_FALSE(outcome->failure);
  CHECK(outcome->last_byte() == 7);
  CHECK(upstream.asked.size() == 1);
  CHECK(lower(upstream.asked[0].name()) == "\3www\7example\3com\0"s);
  const auto question = bench.question("www.example.com");
  std::array<std::uint8_t, 512> body;
  dns::CacheHit hit;
  bench.cache.find(question.key(), static_cast<std::uint32_t>(bench.loop.now_ms() / 1000), body,
                   &hit);
  CHECK(hit.state == dns::CacheHit::State::kFresh);
}

TEST_CASE("ids, ports and the case of the name are drawn anew") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(address(1));
  bench.start();
  for (int i = 0; i < 200; ++i) bench.fetch("long-enough-label" + std::to_string(i) + ".example");
  std::set<std::uint16_t> ids, ports;
  std::set<std::string> cases;
  for (const Asked& asked : upstream.asked) {
    ids.insert(asked.id());
    ports.insert(asked.from.port);
    cases.insert(asked.name().substr(0, 17));
  }
  CHECK(upstream.asked.size() == 200);
  CHECK(ids.size() > 190);
  CHECK(ports.size() >= 15);
  CHECK(cases.size() > 190);
}

TEST_CASE("equal questions ask once and everybody is told") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(address(1));
  bench.start();
  std::vector<std::unique_ptr<Outcome>> outcomes;
  for (int i = 0; i < 10; ++i) outcomes.push_back(bench.ask("WWW.example.com"));
  auto with_do = bench.question("www.example.com");
  with_do.dnssec_ok = true;
  outcomes.push_back(bench.ask(with_do));
  CHECK(bench.forwarder->outstanding() == 2);
  for (const auto& outcome : outcomes) CHECK(bench.wait_for(*outcome));
  CHECK(upstream.asked.size() == 2);  // DO is another question
  CHECK(bench.forwarder->counts().joined == 9);
  CHECK(bench.forwarder->outstanding() == 0);
}

TEST_CASE("who drops the ticket is told nothing, and the answer is cached all the same") {
  ForwarderBench bench;
  bench.add_upstream(address(1));
  bench.start();
  auto dropped = bench.ask("www.example.com");
  auto kept = bench.ask("www.example.com");
  dropped->ticket.drop();
  REQUIRE(bench.wait_for(*kept));
  CHECK(dropped->times == 0);
  bench.forwarder->refresh(bench.question("background.example"), nullptr);
  CHECK(bench.wait_for([&] { return bench.forwarder->counts().answered == 2; }));
}

TEST_CASE("a listener may drop another one's ticket and ask again while being told") {
  struct Meddler final : nameserver::FetchListener {
    ForwarderBench* bench = nullptr;
    Outcome* other = nullptr;
    std::unique_ptr<Outcome> again;
    nameserver::Forwarder::Ticket ticket;
    void fetched(const dns::ForwardQuestion&, const dns::ImageView&) override {
      other->ticket.drop();
      ticket.drop();
      again = bench->ask("www.example.com");
    }
  };
  ForwarderBench bench;
  bench.add_upstream(address(1));
  bench.start();
  Meddler meddler;
  meddler.bench = &bench;
  meddler.ticket = bench.forwarder->ask(bench.question("www.example.com"), nullptr, meddler);
  const auto other = bench.ask("www.example.com");
  meddler.other = other.get();
  CHECK(bench.wait_for([&] { return meddler.again != nullptr && meddler.again->times == 1; }));
  CHECK(other->times == 0);
}

TEST_CASE("when the first upstream is silent the next one answers within the timeout") {
  ForwarderBench bench;
  bench.add_upstream(silence());
  bench.add_upstream(silence());
  bench.add_upstream(address(3));
  bench.start();
  std::uint64_t took_ms = 0;
  const auto outcome = bench.fetch("www.example.com", &took_ms);
  CHECK(outcome->last_byte() == 3);
  CHECK(took_ms < 1150);
  CHECK(took_ms >= 200);
}

TEST_CASE("a late answer is taken while another upstream is being asked") {
  ForwarderBench bench;
  std::string late;
  Endpoint to;
  FakeUpstream& slow = bench.add_upstream([&](const Asked& asked) {
    if (late.empty()) {
      late = a_reply(asked, 9);
      to = asked.from;
    }
    return ""s;
  });
  FakeUpstream& silent = bench.add_upstream(silence());
  bench.start();
  const auto outcome = bench.ask("www.example.com");
  REQUIRE(bench.wait_for([&] { return !silent.asked.empty(); }));
  slow.send(to, late);
  REQUIRE(bench.wait_for(*outcome));
  CHECK(outcome->last_byte() == 9);
}

TEST_CASE("sequential waits for the first upstream until its share of the time is over") {
  ForwarderBench bench;
  FakeUpstream& first = bench.add_upstream(silence());
  FakeUpstream& second = bench.add_upstream(rcode(3));
  bench.start();
  const auto outcome = bench.ask("nas.internal.example");
  bench.wait_ms(530);
  CHECK(first.asked.size() == 2);  // once more after 400 ms: packets get lost
  CHECK(second.asked.empty());
  first.send(first.asked[0].from, a_reply(first.asked[0], 1));
  REQUIRE(bench.wait_for(*outcome));
  CHECK(outcome->last_byte() == 1);
  std::uint64_t took_ms = 0;
  CHECK_FALSE(bench.fetch("silent.example", &took_ms)->failure);
  CHECK(took_ms >= 590);
  CHECK(took_ms < 700);
}

TEST_CASE("nobody there: the failure comes at the timeout and says who was silent") {
  ForwarderBench bench;
  bench.forward.timeout_ms = 400;
  const FakeUpstream& upstream = bench.add_upstream(silence());
  bench.start();
  std::uint64_t took_ms = 0;
  const auto outcome = bench.fetch("www.example.com", &took_ms);
  CHECK(outcome->failure);
  CHECK(outcome->rcode == dns::Rcode::kServFail);
  CHECK(outcome->ede == 22);
  CHECK(outcome->ede_text == "udp://" + upstream.address().to_string() + " timed out");
  CHECK(upstream.asked.size() >= 2);  // asked again: packets get lost
  CHECK(took_ms >= 390);
  CHECK(took_ms < 500);
}

TEST_CASE("a refused port fails over at once and is told from silence") {
  ForwarderBench bench;
  FakeUpstream& closed = bench.add_upstream(address(1));
  bench.add_upstream(address(2));
  closed.close_udp();
  bench.start();
  std::uint64_t took_ms = 0;
  CHECK(bench.fetch("www.example.com", &took_ms)->last_byte() == 2);
  CHECK(took_ms < 90);
}

TEST_CASE("an upstream that is being restarted is asked again after 200 ms") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(address(3));
  upstream.close_udp();
  bench.start();
  std::uint64_t took_ms = 0;
  const auto outcome = bench.ask("www.example.com");
  bench.wait_ms(100);
  CHECK(outcome->times == 0);
  upstream.open_udp();
  const std::uint64_t began_ms = bench.loop.now_ms();
  REQUIRE(bench.wait_for(*outcome));
  took_ms = bench.loop.now_ms() - began_ms;
  CHECK(outcome->last_byte() == 3);
  CHECK(took_ms >= 50);
  CHECK(took_ms < 250);
  CHECK(bench.forwarder->upstreams().at(0).failures == 1);
}

TEST_CASE("all ports refused: EDE 23 after a few rounds") {
  ForwarderBench bench;
  FakeUpstream& closed = bench.add_upstream(address(1));
  const std::string text = "udp://" + closed.address().to_string();
  closed.close_udp();
  bench.start();
  std::uint64_t took_ms = 0;
  const auto outcome = bench.fetch("www.example.com", &took_ms);
  CHECK(outcome->ede == 23);
  CHECK(outcome->ede_text == text + " refused the connection");
  CHECK(took_ms >= 590);  // 0, 200, 600 ms; the next one would be too late
  CHECK(took_ms < 700);
  CHECK(bench.forwarder->upstreams().at(0).queries == 3);
}

TEST_CASE("SERVFAIL goes to the next upstream, and to the client when all say it") {
  ForwarderBench bench;
  FakeUpstream& first = bench.add_upstream(rcode(2));
  FakeUpstream& second = bench.add_upstream(address(2));
  bench.start();
  CHECK(bench.fetch("a.example")->last_byte() == 2);
  second.set_answer(rcode(5));
  const auto outcome = bench.fetch("b.example");
  CHECK(outcome->failure);
  CHECK(outcome->ede == 0);
  CHECK(outcome->ede_text == "udp://" + first.address().to_string() + " answered SERVFAIL; udp://" +
                                 second.address().to_string() + " answered REFUSED");
  CHECK(first.asked.size() == 2);  // who has said no is not asked again
}

TEST_CASE("a referral is called lame, and an extended rcode is told by its name") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream([](const Asked& asked) {
    return u16_text(asked.id()) + "\x80\0\0\1\0\0\0\1\0\0"s + asked.question() +
           "\xc0\x0c\0\2\0\1\0\0\x01\x2c\0\4\1n\xc0\x0c"s;
  });
  bench.start();
  const std::string who = "udp://" + upstream.address().to_string();
  CHECK(bench.fetch("a.example")->ede_text == who + " pointed elsewhere (lame)");
  upstream.set_answer([](const Asked& asked) {
    return u16_text(asked.id()) + "\x80\0\0\1\0\0\0\0\0\1"s + asked.question() +
           "\0\0\x29\x04\xd0\1\0\0\0\0\0"s;
  });
  CHECK(bench.fetch("b.example")->ede_text == who + " answered BADVERS");
}

TEST_CASE("an answer that cannot be read goes to the next upstream") {
  ForwarderBench bench;
  bench.add_upstream([](const Asked& asked) {
    return reply(asked, 0x8180, 1, "\xc0\x0c\0\1\0\1\0\0\x01\x2c\0\x40\xc0\0\2\1"s);
  });
  bench.add_upstream(address(2));
  bench.start();
  CHECK(bench.fetch("www.example.com")->last_byte() == 2);
}

TEST_CASE("forged and garbled packets are ignored and counted, and the answer is awaited") {
  ForwarderBench bench;
  FakeUpstream stranger(silence());
  FakeUpstream& upstream = bench.add_upstream(silence());
  bench.start();
  const auto outcome = bench.ask("www.example.com");
  REQUIRE(bench.wait_for([&] { return !upstream.asked.empty(); }));
  const Asked asked = upstream.asked[0];
  Asked wrong_id = asked;
  wrong_id.bytes[0] = static_cast<char>(wrong_id.bytes[0] ^ 1);
  Asked wrong_name = asked;
  wrong_name.bytes[13] = 'x';
  Asked wrong_type = asked;
  wrong_type.bytes[12 + asked.name_size() + 1] = 28;
  for (const Asked& forged : {wrong_id, wrong_name, wrong_type}) {
    upstream.send(asked.from, a_reply(forged, 66));
  }
  upstream.send(asked.from, reply(asked, 0x0180));  // not a response
  upstream.send(asked.from, a_reply(asked, 66).substr(0, 11));
  upstream.send(asked.from, ""s + asked.bytes[0] + asked.bytes[1]);
  stranger.send(asked.from, a_reply(asked, 66));  // right in all but the address it comes from
  CHECK_FALSE(bench.wait_for([&] { return outcome->times > 0; }, 50));
  CHECK(bench.forwarder->counts().exchanges.mismatched == 6);
  upstream.send(asked.from, a_reply(asked, 5));
  REQUIRE(bench.wait_for(*outcome));
  CHECK(outcome->last_byte() == 5);
}

TEST_CASE("out of descriptors the open ports serve on; with none open the failure says why") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(address(4));
  bench.start();
  bench.fetch("first.example");
  FakeUpstream& second = bench.add_upstream(address(5));
  {
    const OutOfDescriptors nothing_left;
    for (int i = 0; i < 40; ++i) {
      CHECK(bench.fetch("n" + std::to_string(i) + ".example")->last_byte() == 4);
    }
    CHECK(bench.forwarder->counts().exchanges.sockets_failed > 0);
    bench.forward.upstreams.erase(bench.forward.upstreams.begin());
    bench.forwarder->reconfigure(bench.cache, bench.settings());
    const auto outcome = bench.fetch("second.example");
    CHECK(outcome->ede == 14);
    CHECK(outcome->ede_text.find("this machine cannot open a socket") != std::string::npos);
    CHECK(bench.forwarder->upstreams().back().failures == 0);
  }
  CHECK(second.asked.empty());
  CHECK(upstream.asked.size() == 41);
  CHECK(bench.fetch("later.example")->last_byte() == 5);
}

TEST_CASE("an upstream that cannot do EDNS is asked without it, and remembered") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(
      [](const Asked& asked) { return asked.edns() ? reply(asked, 0x8181) : a_reply(asked, 4); });
  bench.start();
  CHECK(bench.fetch("a.example")->last_byte() == 4);
  CHECK(upstream.asked.size() == 2);
  CHECK(bench.fetch("b.example")->last_byte() == 4);
  CHECK(upstream.asked.size() == 3);
  CHECK_FALSE(bench.forwarder->upstreams().at(0).edns);
}

TEST_CASE("a bare FORMERR without the question leads to plain DNS, and thrice to no more EDNS") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream([](const Asked& asked) {
    const std::string bare = u16_text(asked.id()) + "\x80\x01\0\0\0\0\0\0\0\0"s;
    return asked.edns() ? bare : a_reply(asked, 4);
  });
  bench.start();
  std::uint64_t took_ms = 0;
  for (int i = 0; i < 3; ++i) {
    CHECK(bench.forwarder->upstreams().at(0).edns);
    CHECK(bench.fetch("n" + std::to_string(i) + ".example", &took_ms)->last_byte() == 4);
    CHECK(took_ms < 90);
  }
  CHECK(upstream.asked.size() == 6);
  CHECK_FALSE(bench.forwarder->upstreams().at(0).edns);
  bench.fetch("plain.example");
  CHECK(upstream.asked.size() == 7);
}

TEST_CASE("a forged bare FORMERR costs one query and the answer is awaited") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(silence());
  bench.start();
  const auto outcome = bench.ask("www.example.com");
  REQUIRE(bench.wait_for([&] { return !upstream.asked.empty(); }));
  const Asked asked = upstream.asked[0];
  for (int i = 0; i < 3; ++i) {
    upstream.send(asked.from, u16_text(asked.id()) + "\x80\x01\0\0\0\0\0\0\0\0"s);
  }
  bench.wait_ms(100);
  CHECK(upstream.asked.size() == 2);
  upstream.send(asked.from, a_reply(asked, 5));
  REQUIRE(bench.wait_for(*outcome));
  CHECK(outcome->last_byte() == 5);
  CHECK(bench.forwarder->upstreams().at(0).edns);
}

TEST_CASE(
    "an upstream that lowers the case is asked by TCP, and 0x20 goes after repeated evidence") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream([](const Asked& asked) {
    Asked lowered = asked;
    lowered.bytes = asked.bytes.substr(0, 12) + lower(asked.bytes.substr(12));
    return a_reply(asked.by_tcp ? asked : lowered, 4);
  });
  upstream.listen_tcp();
  bench.start();
  for (int i = 0; i < 3; ++i) {
    CHECK(bench.forwarder->upstreams().at(0).mixed_case);
    CHECK(bench.fetch("a-long-label-with-letters" + std::to_string(i) + ".example")->last_byte() ==
          4);
    CHECK(upstream.asked.back().by_tcp);
  }
  CHECK_FALSE(bench.forwarder->upstreams().at(0).mixed_case);
  CHECK(bench.fetch("a-long-label-with-letters.example")->last_byte() == 4);
  CHECK_FALSE(upstream.asked.back().by_tcp);
  CHECK(upstream.asked.back().name() == lower(upstream.asked.back().name()));
}

TEST_CASE("without TCP a lost case leads to a query without 0x20") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream([](const Asked& asked) {
    Asked lowered = asked;
    lowered.bytes = asked.bytes.substr(0, 12) + lower(asked.bytes.substr(12));
    return a_reply(lowered, 4);
  });
  bench.start();
  std::uint64_t took_ms = 0;
  CHECK(bench.fetch("a-long-label-with-letters.example", &took_ms)->last_byte() == 4);
  CHECK(took_ms < 90);
  REQUIRE(upstream.asked.size() == 2);
  CHECK(upstream.asked[1].id() != upstream.asked[0].id());
  CHECK(upstream.asked[1].name() == lower(upstream.asked[0].name()));
  CHECK(bench.forwarder->upstreams().at(0).mixed_case);
}

TEST_CASE("a forger with the wrong case neither answers nor switches 0x20 off") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream(silence());
  bench.start();
  for (int i = 0; i < 5; ++i) {
    upstream.asked.clear();
    const auto outcome = bench.ask("a-long-label-with-letters" + std::to_string(i) + ".example");
    REQUIRE(bench.wait_for([&] { return !upstream.asked.empty(); }));
    const Asked asked = upstream.asked[0];
    Asked forged = asked;
    forged.bytes = asked.bytes.substr(0, 12) + lower(asked.bytes.substr(12));
    upstream.send(asked.from, a_reply(forged, 66));
    upstream.send(asked.from, a_reply(asked, 5));
    REQUIRE(bench.wait_for(*outcome));
    CHECK(outcome->last_byte() == 5);
  }
  CHECK(bench.forwarder->upstreams().at(0).mixed_case);
}

TEST_CASE("a dead upstream is rested, then probed, and comes back") {
  ForwarderBench bench;
  FakeUpstream& first = bench.add_upstream(silence());
  bench.add_upstream(address(2));
  bench.start();
  for (int i = 0; i < 3; ++i) bench.fetch("x" + std::to_string(i) + ".example");
  CHECK(bench.wait_for([&] { return bench.forwarder->upstreams().at(0).resting; }));
  CHECK(bench.forwarder->upstreams().at(0).failures == 3);
  const std::size_t asked_before = first.asked.size();
  std::uint64_t took_ms = 0;
  CHECK(bench.fetch("resting.example", &took_ms)->last_byte() == 2);
  CHECK(took_ms < 90);
  CHECK(first.asked.size() == asked_before);

  first.set_answer(address(1));
  bench.wait_ms(1050);
  CHECK(bench.fetch("probe.example", &took_ms)->last_byte() >= 1);
  CHECK(took_ms < 90);  // nobody waits for the trial
  CHECK(bench.wait_for([&] { return !bench.forwarder->upstreams().at(0).resting; }));
  CHECK(bench.fetch("back.example")->last_byte() == 1);
}

TEST_CASE("a name that takes its time puts no living upstream to rest") {
  ForwarderBench bench;
  FakeUpstream& upstream = bench.add_upstream([](const Asked& asked) {
    return lower(asked.name()).substr(1, 4) == "slow" ? ""s : a_reply(asked, 1);
  });
  bench.add_upstream([](const Asked& asked) {
    return lower(asked.name()).substr(1, 4) == "slow" ? ""s : a_reply(asked, 2);
  });
  bench.forward.timeout_ms = 500;
  bench.start();
  bench.fetch("warm.example");
  std::vector<std::unique_ptr<Outcome>> slow;
  for (int i = 0; i < 10; ++i) slow.push_back(bench.ask("slow" + std::to_string(i) + ".example"));
  for (int i = 0; i < 40; ++i) {
    bench.fetch("fast" + std::to_string(i) + ".example");
    bench.wait_ms(15);
  }
  for (const auto& outcome : slow) CHECK(bench.wait_for(*outcome));
  CHECK_FALSE(bench.forwarder->upstreams().at(0).resting);
  CHECK(upstream.asked.size() > 50);
}

TEST_CASE("an answer that comes late is no failure of the upstream") {
  ForwarderBench bench;
  std::vector<Asked> held;
  FakeUpstream& slow = bench.add_upstream([&](const Asked& asked) {
    held.push_back(asked);
    return ""s;
  });
  bench.start();
  const auto outcome = bench.ask("slow.example");
  bench.wait_ms(450);
  REQUIRE(held.size() == 2);
  slow.send(held[0].from, a_reply(held[0], 1));
  REQUIRE(bench.wait_for(*outcome));
  bench.wait_ms(800);  // until nobody waits for the second answer any more
  CHECK(bench.forwarder->upstreams().at(0).answers == 1);
  CHECK(bench.forwarder->upstreams().at(0).failures == 0);
}

TEST_CASE("fastest moves to the upstream that answers sooner") {
  ForwarderBench bench;
  std::vector<std::pair<Endpoint, std::string>> held;
  FakeUpstream& slow = bench.add_upstream([&](const Asked& asked) {
    held.emplace_back(asked.from, a_reply(asked, 1));
    return ""s;
  });
  FakeUpstream& fast = bench.add_upstream(address(2));
  bench.forward.policy = nameserver::UpstreamPolicy::kFastest;
  bench.start();
  for (int i = 0; i < 20; ++i) {
    const auto outcome = bench.ask("n" + std::to_string(i) + ".example");
    bench.wait_ms(20);
    for (const auto& [to, bytes] : held) slow.send(to, bytes);
    held.clear();
    REQUIRE(bench.wait_for(*outcome));
  }
  CHECK(fast.asked.size() >= 19);
  CHECK(slow.asked.size() <= 5);
  CHECK(bench.forwarder->upstreams().at(0).rtt_us > bench.forwarder->upstreams().at(1).rtt_us);
}

TEST_CASE("round_robin shares the questions out") {
  ForwarderBench bench;
  for (std::uint8_t i = 1; i <= 3; ++i) bench.add_upstream(address(i));
  bench.forward.policy = nameserver::UpstreamPolicy::kRoundRobin;
  bench.start();
  for (int i = 0; i < 30; ++i) bench.fetch("n" + std::to_string(i) + ".example");
  for (const auto& upstream : bench.upstreams) CHECK(upstream->asked.size() == 10);
}

TEST_CASE("beyond the limit of outstanding fetches the ticket is empty and the failure says why") {
  ForwarderBench bench;
  bench.add_upstream(silence());
  bench.outstanding_max = 3;
  bench.forward.timeout_ms = 200;
  bench.start();
  std::vector<std::unique_ptr<Outcome>> outcomes;
  for (int i = 0; i < 3; ++i) outcomes.push_back(bench.ask("n" + std::to_string(i) + ".example"));
  CHECK_FALSE(bench.ask("n4.example")->ticket);
  CHECK(bench.ask("n1.example")->ticket);  // joins
  const dns::ImageView full = bench.forwarder->refusal();
  CHECK(full.head.failure);
  CHECK(full.head.ede == 14);
  CHECK(full.ede_text == "too many queries are waiting (dns.limits.outstanding)");
  CHECK(bench.forwarder->counts().refused_full == 1);
  for (const auto& outcome : outcomes) CHECK(bench.wait_for(*outcome));
  CHECK(bench.ask("n4.example")->ticket);
}

TEST_CASE("two thousand may wait for one answer; who comes later is told so, and it is counted") {
  ForwarderBench bench;
  bench.add_upstream(silence());
  bench.start();
  std::vector<std::unique_ptr<Outcome>> outcomes;
  for (int i = 0; i < 2000; ++i) outcomes.push_back(bench.ask("same.example"));
  CHECK(outcomes.back()->ticket);
  CHECK_FALSE(bench.ask("same.example")->ticket);
  CHECK(bench.forwarder->refusal().ede_text == "too many clients are waiting for this answer");
  CHECK(bench.forwarder->counts().joins_refused == 1);
  CHECK(bench.forwarder->counts().refused_full == 0);
}

TEST_CASE("a fetch sends twelve queries at most, and the want of more is counted") {
  ForwarderBench bench;
  for (int i = 0; i < 8; ++i) bench.add_upstream(address(1)).close_udp();
  bench.start();
  CHECK(bench.fetch("www.example.com")->ede == 23);
  CHECK(bench.forwarder->counts().queries == 12);
  CHECK(bench.forwarder->counts().attempts_full > 0);
}

TEST_CASE("two thousand fetches wait for late answers, more do not, and that is counted") {
  ForwarderBench bench;
  bench.add_upstream(address(1));
  bench.add_upstream(silence());  // is sent each question too, as long as it was never measured
  bench.forward.policy = nameserver::UpstreamPolicy::kFastest;
  bench.forward.timeout_ms = 30'000;
  bench.start();
  for (int i = 0; i < 2003; ++i) bench.fetch("n" + std::to_string(i) + ".example");
  CHECK(bench.forwarder->counts().lingering_full == 3);
}

TEST_CASE("a reload keeps what is known of an upstream, and fetches under way end as they began") {
  ForwarderBench bench;
  FakeUpstream& old = bench.add_upstream(silence());
  FakeUpstream& stays = bench.add_upstream(address(2));
  bench.start();
  bench.fetch("measured.example");
  const auto under_way = bench.ask("under-way.example");
  bench.forward.upstreams.erase(bench.forward.upstreams.begin());
  bench.forwarder->reconfigure(bench.cache, bench.settings());
  const auto status = bench.forwarder->upstreams();
  CHECK(status.back().rtt_us > 0);
  REQUIRE(bench.wait_for([&] { return !old.asked.empty(); }));
  REQUIRE(bench.wait_for(*under_way));
  CHECK(under_way->last_byte() == 2);
  const std::size_t before = old.asked.size();
  CHECK(bench.fetch("after.example")->last_byte() == 2);
  CHECK(old.asked.size() == before);
  CHECK(stays.asked.size() == 3);
  CHECK(bench.wait_for([&] { return bench.forwarder->upstreams().size() == 1; }));
}

TEST_CASE("a forwarder with fetches under way can be destroyed") {
  ForwarderBench bench;
  bench.add_upstream(silence()).listen_tcp();
  bench.add_upstream(silence(), true).listen_tcp();
  bench.start();
  auto first = bench.ask("a.example");
  auto second = bench.ask("b.example");
  bench.wait_ms(450);
  first->ticket.drop();
  second->ticket.drop();
  bench.forwarder.reset();
  CHECK(first->times + second->times == 0);
}
