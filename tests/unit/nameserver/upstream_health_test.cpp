#include "nameserver/upstream_health.h"

#include <initializer_list>

#include <doctest/doctest.h>

using postern::nameserver::Assumption;
using postern::nameserver::Health;
using postern::nameserver::HealthState;
using postern::nameserver::RoundTrip;

TEST_CASE("the round-trip time is smoothed by RFC 6298") {
  RoundTrip rtt;
  CHECK_FALSE(rtt.measured());
  CHECK(rtt.timeout_ms() == 400);
  rtt.sample(20'000);  // smoothed 20 ms, variation 10 ms
  CHECK(rtt.smoothed_us() == 20'000);
  CHECK(rtt.timeout_ms() == 60);
  rtt.sample(28'000);  // variation (3*10+8)/4 = 9.5 ms, smoothed (7*20+28)/8 = 21 ms
  CHECK(rtt.smoothed_us() == 21'000);
  CHECK(rtt.timeout_ms() == 59);
}

TEST_CASE("the time-out doubles with each silence up to 16 times, until the next sample") {
  RoundTrip rtt;
  rtt.sample(20'000);
  rtt.timed_out();
  CHECK(rtt.timeout_ms() == 120);
  CHECK(rtt.score_us() == 40'000);
  for (int i = 0; i < 100; ++i) rtt.timed_out();
  CHECK(rtt.timeout_ms() == 960);
  rtt.sample(20'000);
  CHECK(rtt.score_us() == 20'000);
}

TEST_CASE("an absurd round-trip time does not overflow") {
  RoundTrip rtt;
  for (int i = 0; i < 50; ++i) rtt.sample(~std::uint64_t{0});
  for (int i = 0; i < 50; ++i) rtt.timed_out();
  CHECK(rtt.smoothed_us() == RoundTrip::kSampleMaxUs);
  CHECK(rtt.timeout_ms() >= 160'000);
}

TEST_CASE("an upstream rests after three failures in a row, not after two") {
  Health health;
  health.failed(100, 200);
  health.failed(110, 210);
  CHECK(health.state(210) == HealthState::kGood);
  health.answered();
  health.failed(120, 220);
  health.failed(130, 230);
  CHECK(health.state(230) == HealthState::kGood);
  health.failed(140, 240);
  CHECK(health.state(240) == HealthState::kResting);
  CHECK(health.rest_left_ms(740) == 500);
  CHECK(health.state(1240) == HealthState::kProbeDue);
}

TEST_CASE("a rest doubles with every failed probe and ends at a minute") {
  Health health;
  for (int i = 0; i < 3; ++i) health.failed(1, 10);
  std::uint64_t now = 10;
  for (const std::uint64_t rest : {1000U, 2000U, 4000U, 8000U, 16000U, 32000U, 60000U, 60000U}) {
    CHECK(health.rest_left_ms(now) == rest);
    now += rest;
    REQUIRE(health.state(now) == HealthState::kProbeDue);
    health.probe_sent(now);
    health.failed(now, now);
  }
}

TEST_CASE("queries that left before the rest began do not prolong it") {
  Health health;
  for (int i = 0; i < 100; ++i) health.failed(1, 10);
  CHECK(health.rest_left_ms(10) == 1000);
}

TEST_CASE("only one probe is out at a time") {
  Health health;
  for (int i = 0; i < 3; ++i) health.failed(1, 10);
  health.probe_sent(1010);
  CHECK(health.state(1011) == HealthState::kResting);
}

TEST_CASE("an answer ends the rest and the next one begins with a second again") {
  Health health;
  for (int i = 0; i < 3; ++i) health.failed(1, 10);
  health.failed(1010, 1010);
  health.answered();
  CHECK(health.state(1011) == HealthState::kGood);
  for (int i = 0; i < 3; ++i) health.failed(2000, 2000);
  CHECK(health.rest_left_ms(2000) == 1000);
}

TEST_CASE("one packet does not overturn an assumption, repeated evidence does, for a while") {
  Assumption keeps_case(3, 3'600'000);
  CHECK_FALSE(keeps_case.contradicted(10));
  CHECK_FALSE(keeps_case.contradicted(10));
  keeps_case.confirmed();
  CHECK_FALSE(keeps_case.contradicted(10));
  CHECK_FALSE(keeps_case.contradicted(10));
  CHECK(keeps_case.holds(10));
  CHECK(keeps_case.contradicted(10));
  CHECK_FALSE(keeps_case.holds(3'600'009));
  CHECK(keeps_case.holds(3'600'010));
}
