#include "nameserver/upstream_choice.h"

#include <array>
#include <vector>

#include <doctest/doctest.h>

using postern::nameserver::attempt_timeout_ms;
using postern::nameserver::AttemptTime;
using postern::nameserver::Candidate;
using postern::nameserver::choose_probe;
using postern::nameserver::choose_upstream;
using postern::nameserver::HealthState;
using postern::nameserver::kNobody;
using postern::nameserver::turn_ms;
using postern::nameserver::UpstreamPolicy;

namespace {

Candidate candidate(std::uint64_t score_us, HealthState health = HealthState::kGood,
                    std::uint8_t times_asked = 0, bool spoken = false) {
  return {score_us, true, health, times_asked, spoken};
}

}  // namespace

TEST_CASE("fastest takes the lowest round-trip time, sequential the first") {
  const std::array all{candidate(900), candidate(300), candidate(500)};
  CHECK(choose_upstream(UpstreamPolicy::kFastest, all, 0) == 1);
  CHECK(choose_upstream(UpstreamPolicy::kSequential, all, 5) == 0);
}

TEST_CASE("round_robin goes around and skips who rests") {
  std::array all{candidate(900), candidate(300), candidate(500)};
  std::vector<int> order;
  for (std::uint32_t turn = 0; turn < 4; ++turn) {
    order.push_back(choose_upstream(UpstreamPolicy::kRoundRobin, all, turn));
  }
  CHECK(order == std::vector<int>{0, 1, 2, 0});
  all[1].health = HealthState::kResting;
  CHECK(choose_upstream(UpstreamPolicy::kRoundRobin, all, 1) == 2);
}

TEST_CASE("who rests is asked only when nobody else is left") {
  const std::array all{candidate(100, HealthState::kResting), candidate(900)};
  for (const auto policy : {UpstreamPolicy::kFastest, UpstreamPolicy::kSequential}) {
    CHECK(choose_upstream(policy, all, 0) == 1);
  }
  const std::array alone{candidate(100, HealthState::kResting)};
  CHECK(choose_upstream(UpstreamPolicy::kFastest, alone, 0) == 0);
}

TEST_CASE("a retry goes to somebody else first, even to one who rests") {
  const std::array all{candidate(100, HealthState::kGood, 1),
                       candidate(900, HealthState::kResting)};
  CHECK(choose_upstream(UpstreamPolicy::kFastest, all, 0) == 1);
}

TEST_CASE("who has said no is not asked again") {
  const std::array all{candidate(100, HealthState::kGood, 1, true),
                       candidate(900, HealthState::kGood, 3)};
  CHECK(choose_upstream(UpstreamPolicy::kFastest, all, 0) == 1);
  const std::array none{candidate(100, HealthState::kGood, 1, true)};
  CHECK(choose_upstream(UpstreamPolicy::kFastest, none, 0) == kNobody);
}

TEST_CASE("one whose rest is over is probed along with a query, whatever the policy") {
  const std::array all{candidate(900, HealthState::kProbeDue), candidate(100)};
  for (const auto policy :
       {UpstreamPolicy::kFastest, UpstreamPolicy::kSequential, UpstreamPolicy::kRoundRobin}) {
    CHECK(choose_probe(policy, all, 1, 1) == 0);
  }
}

TEST_CASE("sequential probes nobody who stands behind the one that is asked") {
  const std::array all{candidate(100), candidate(900, HealthState::kProbeDue)};
  CHECK(choose_probe(UpstreamPolicy::kRoundRobin, all, 0, 1) == 1);
  CHECK(choose_probe(UpstreamPolicy::kSequential, all, 0, 1) == kNobody);
}

TEST_CASE("fastest measures who was never measured, and looks at others now and then") {
  std::array all{candidate(100), candidate(900)};
  int probes = 0;
  for (std::uint32_t random = 0; random < 6400; ++random) {
    const int probe = choose_probe(UpstreamPolicy::kFastest, all, 0, random);
    CHECK((probe == kNobody || probe == 1));
    probes += probe == 1 ? 1 : 0;
  }
  CHECK(probes == 50);  // one in 64, and every second draw falls on the chosen one
  CHECK(choose_probe(UpstreamPolicy::kSequential, all, 0, 64) == kNobody);
  all[1].measured = false;
  CHECK(choose_probe(UpstreamPolicy::kFastest, all, 0, 1) == 1);
}

TEST_CASE("an attempt takes its round-trip time-out, at least 200 ms, at most half of the time") {
  const auto timeout = [](std::uint32_t rtt_timeout_ms) {
    return attempt_timeout_ms({rtt_timeout_ms, 2000, 2000, 0, 1, 0, false});
  };
  CHECK(timeout(10) == 200);
  CHECK(timeout(250) == 250);
  CHECK(timeout(5000) == 1000);
}

TEST_CASE("the only upstream gets 400 ms before it is asked again, or half of a short timeout") {
  CHECK(attempt_timeout_ms({10, 2000, 2000, 0, 0, 0, false}) == 400);
  CHECK(attempt_timeout_ms({10, 500, 500, 0, 0, 0, false}) == 250);
}

TEST_CASE("an attempt leaves time for the upstreams not yet asked") {
  CHECK(attempt_timeout_ms({1000, 2000, 2000, 0, 3, 0, false}) == 500);
  CHECK(attempt_timeout_ms({1000, 2000, 500, 0, 3, 0, false}) == 125);
  CHECK(attempt_timeout_ms({1000, 2000, 60, 0, 3, 0, false}) == 15);
}

TEST_CASE("asking the same upstream again waits twice as long") {
  CHECK(attempt_timeout_ms({100, 2000, 1600, 1, 0, 0, false}) == 800);
  CHECK(attempt_timeout_ms({100, 2000, 800, 2, 0, 0, false}) == 800);
  CHECK(attempt_timeout_ms({100, 2000, 300, 3, 0, 0, false}) == 300);
}

TEST_CASE("in its turn an upstream is asked again after 400 ms, and until the turn is over") {
  CHECK(turn_ms({10, 2000, 2000, 0, 1, 0, false}) == 1000);
  CHECK(turn_ms({10, 2000, 1000, 0, 0, 0, false}) == 1000);
  CHECK(attempt_timeout_ms({10, 2000, 2000, 0, 1, 1000, false}) == 400);
  CHECK(attempt_timeout_ms({10, 2000, 1600, 1, 1, 600, false}) == 600);
}

TEST_CASE("by TCP the same upstream is not asked again before 2 s, another one is") {
  CHECK(attempt_timeout_ms({10, 5000, 5000, 0, 0, 0, true}) == 2000);
  CHECK(attempt_timeout_ms({10, 2000, 1500, 0, 0, 0, true}) == 1500);
  CHECK(attempt_timeout_ms({10, 2000, 2000, 0, 1, 1000, true}) == 1000);
  CHECK(attempt_timeout_ms({10, 2000, 2000, 0, 1, 0, true}) == 200);
}
