#include "server/traffic_history.h"

#include <doctest/doctest.h>

namespace postern::server {
namespace {

constexpr std::uint64_t kNow = 1'700'000'000;

WorkerCounts totals(std::uint64_t queries, std::uint64_t requests = 0) {
  WorkerCounts counts;
  counts.resolver.by_transport[0] = queries;
  counts.gateway.requests_h1 = requests;
  return counts;
}

}  // namespace

TEST_CASE("each second has what came in it") {
  TrafficHistory history;
  history.add(kNow, totals(10));
  history.add(kNow + 1, totals(15, 2));
  history.add(kNow + 3, totals(18, 2));
  const auto seconds = history.seconds(kNow + 4);
  REQUIRE(seconds.size() == TrafficHistory::kSeconds);
  const auto last = seconds.end();
  CHECK((last - 1)->time == kNow + 3);
  CHECK((last - 1)->queries == 3);
  CHECK((last - 2)->queries == 0);
  CHECK((last - 3)->queries == 5);
  CHECK((last - 3)->requests == 2);
  CHECK((last - 4)->queries == 10);
}

TEST_CASE("what is added within a second counts once, in the minute at once") {
  TrafficHistory history;
  history.add(kNow, totals(10));
  history.add(kNow, totals(10));
  history.add(kNow, totals(12));
  CHECK(history.minutes(kNow).back().queries == 12);
  CHECK(history.seconds(kNow).back().queries == 0);  // not over yet
  CHECK(history.seconds(kNow + 1).back().queries == 12);
}

TEST_CASE("minutes add up, and the one that runs is the last") {
  TrafficHistory history;
  for (std::uint64_t i = 1; i <= 120; ++i) history.add(kNow + i, totals(i * 2));
  const auto minutes = history.minutes(kNow + 120);
  REQUIRE(minutes.size() == TrafficHistory::kMinutes);
  CHECK(minutes.back().time == (kNow + 120) / 60);
  std::uint64_t sum = 0;
  for (const TrafficPoint& minute : minutes) sum += minute.queries;
  CHECK(sum == 240);
}

TEST_CASE("what is old is forgotten, also when nothing was recorded meanwhile") {
  TrafficHistory history;
  history.add(kNow, totals(7));
  history.add(kNow + 2 * 3600, totals(8));
  std::uint64_t sum = 0;
  for (const TrafficPoint& minute : history.minutes(kNow + 2 * 3600)) sum += minute.queries;
  CHECK(sum == 1);
}

TEST_CASE("totals that shrink are no traffic") {
  TrafficHistory history;
  history.add(kNow, totals(7));
  history.add(kNow + 1, totals(3));
  CHECK(history.seconds(kNow + 2).back().queries == 0);
}

}  // namespace postern::server
