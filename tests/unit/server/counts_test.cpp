#include "server/counts.h"

#include <doctest/doctest.h>

namespace postern::server {

TEST_CASE("the gateways of all workers add up, backends by their text") {
  WorkerCounts sum;
  WorkerCounts one;
  one.gateway.accepted = 2;
  one.gateway.by_class[2] = 5;
  one.gateway.h2_abuse[3] = 1;
  one.gateway.backends = {{.backend = "http://a:80", .connected_ms = 5, .requests = 3, .idle = 1}};
  WorkerCounts two;
  two.gateway.accepted = 4;
  two.gateway.by_class[2] = 1;
  two.gateway.backends = {{.backend = "http://b:80", .requests = 7},
                          {.backend = "http://a:80", .failed_ms = 4, .requests = 2, .idle = 2}};
  add(&sum, one);
  add(&sum, two);
  CHECK(sum.gateway.accepted == 6);
  CHECK(sum.gateway.by_class[2] == 6);
  CHECK(sum.gateway.h2_abuse[3] == 1);
  REQUIRE(sum.gateway.backends.size() == 2);
  CHECK(sum.gateway.backends[0].backend == "http://a:80");
  CHECK(sum.gateway.backends[0].requests == 5);
  CHECK(sum.gateway.backends[0].idle == 3);
  CHECK(sum.gateway.backends[0].healthy());  // who connected last knows best
  CHECK(sum.gateway.backends[1].requests == 7);
}

TEST_CASE("a backend is down when the last that tried it failed, or its health check does") {
  const auto healthy_of_two = [](const gateway::BackendCounts& one,
                                 const gateway::BackendCounts& other) {
    WorkerCounts sum;
    for (const gateway::BackendCounts& counts : {one, other}) {
      WorkerCounts more;
      more.gateway.backends = {counts};
      add(&sum, more);
    }
    return sum.gateway.backends.at(0).healthy();
  };
  CHECK(healthy_of_two({.backend = "a"}, {.backend = "a"}));
  CHECK_FALSE(
      healthy_of_two({.backend = "a", .connected_ms = 5}, {.backend = "a", .failed_ms = 6}));
  CHECK(healthy_of_two({.backend = "a", .connected_ms = 7}, {.backend = "a", .failed_ms = 6}));
  CHECK_FALSE(
      healthy_of_two({.backend = "a", .connected_ms = 7}, {.backend = "a", .probe_fails = true}));
}

}  // namespace postern::server
