#include "server/counts.h"

#include <doctest/doctest.h>

namespace postern::server {

TEST_CASE("the gateways of all workers add up, backends by their text") {
  WorkerCounts sum;
  WorkerCounts one;
  one.gateway.accepted = 2;
  one.gateway.by_class[2] = 5;
  one.gateway.h2_abuse[3] = 1;
  one.gateway.backends = {{.backend = "http://a:80", .healthy = true, .requests = 3, .idle = 1}};
  WorkerCounts two;
  two.gateway.accepted = 4;
  two.gateway.by_class[2] = 1;
  two.gateway.backends = {{.backend = "http://b:80", .requests = 7},
                          {.backend = "http://a:80", .healthy = false, .requests = 2, .idle = 2}};
  add(&sum, one);
  add(&sum, two);
  CHECK(sum.gateway.accepted == 6);
  CHECK(sum.gateway.by_class[2] == 6);
  CHECK(sum.gateway.h2_abuse[3] == 1);
  REQUIRE(sum.gateway.backends.size() == 2);
  CHECK(sum.gateway.backends[0].backend == "http://a:80");
  CHECK(sum.gateway.backends[0].requests == 5);
  CHECK(sum.gateway.backends[0].idle == 3);
  CHECK_FALSE(sum.gateway.backends[0].healthy);
  CHECK(sum.gateway.backends[1].requests == 7);
}

}  // namespace postern::server
