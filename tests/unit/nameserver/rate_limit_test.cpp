#include "nameserver/rate_limit.h"

#include <string>

#include <fmt/format.h>

#include <doctest/doctest.h>

using postern::IpAddress;
using postern::nameserver::RateLimit;
using Verdict = RateLimit::Verdict;

namespace {

IpAddress ip(const std::string& text) { return IpAddress::parse(text).value(); }

int passes(RateLimit& limit, const IpAddress& client, int queries, std::uint64_t now_ms) {
  int passed = 0;
  for (int i = 0; i < queries; ++i) passed += limit.take(client, now_ms) == Verdict::kPass ? 1 : 0;
  return passed;
}

}  // namespace

TEST_CASE("rate 0 limits nobody") {
  RateLimit limit(0, 0);
  CHECK(passes(limit, ip("192.0.2.1"), 100'000, 5) == 100'000);
}

TEST_CASE("a client gets its burst, then its rate") {
  RateLimit limit(20, 50);
  const IpAddress client = ip("192.0.2.1");
  CHECK(passes(limit, client, 200, 1000) == 50);
  CHECK(passes(limit, client, 200, 1500) == 10);
  CHECK(passes(limit, client, 200, 1549) == 0);
  CHECK(passes(limit, client, 200, 1550) == 1);
  CHECK(passes(limit, client, 200, 1'000'000) == 50);
}

TEST_CASE("beyond the limit truncation and silence take turns") {
  RateLimit limit(1, 1);
  const IpAddress client = ip("192.0.2.1");
  CHECK(limit.take(client, 0) == Verdict::kPass);
  CHECK(limit.take(client, 0) == Verdict::kTruncate);
  CHECK(limit.take(client, 0) == Verdict::kDrop);
  CHECK(limit.take(client, 0) == Verdict::kTruncate);
}

TEST_CASE("each IPv4 address counts for itself, IPv6 by its /64") {
  RateLimit limit(1, 1);
  CHECK(passes(limit, ip("192.0.2.1"), 5, 0) == 1);
  CHECK(passes(limit, ip("192.0.2.2"), 5, 0) == 1);
  CHECK(passes(limit, ip("2001:db8:0:1::1"), 5, 0) == 1);
  CHECK(passes(limit, ip("2001:db8:0:1:ffff::2"), 5, 0) == 0);
  CHECK(passes(limit, ip("2001:db8:0:2::1"), 5, 0) == 1);
}

TEST_CASE("a crowd of addresses does not tighten the limit of one that is heard often") {
  RateLimit limit(10, 10);
  const IpAddress client = ip("198.51.100.1");
  int passed = 0;
  for (int i = 0; i < 200'000; ++i) {
    limit.take(ip(fmt::format("10.{}.{}.{}", i >> 16, (i >> 8) & 255, i & 255)), 1000);
    if (i % 20'000 == 0) passed += limit.take(client, 1000) == Verdict::kPass ? 1 : 0;
  }
  CHECK(passed == 10);
}
