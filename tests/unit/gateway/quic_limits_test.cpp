#include "gateway/quic_limits.h"

#include <doctest/doctest.h>

namespace postern::gateway {
namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

IpAddress numbered(std::uint32_t number) {
  const std::uint8_t bytes[4] = {10, static_cast<std::uint8_t>(number >> 16),
                                 static_cast<std::uint8_t>(number >> 8),
                                 static_cast<std::uint8_t>(number)};
  return IpAddress::v4(bytes);
}

int allowed(QuicLimits& limits, const IpAddress& client, std::uint64_t now_ms, int times) {
  int count = 0;
  for (int i = 0; i < times; ++i) count += limits.allow(client, now_ms) ? 1 : 0;
  return count;
}

constexpr std::uint64_t kNow = 1'000'000;

}  // namespace

TEST_CASE("a client gets so many replies per second") {
  QuicLimits limits;
  CHECK(allowed(limits, ip("192.0.2.1"), kNow, 100) == 50);
  CHECK(allowed(limits, ip("192.0.2.2"), kNow, 100) == 50);
  CHECK(allowed(limits, ip("192.0.2.1"), kNow + 100, 100) == 5);
  CHECK(allowed(limits, ip("192.0.2.1"), kNow + 100'000, 100) == 50);
}

TEST_CASE("the addresses of an IPv6 network are one client") {
  QuicLimits limits;
  CHECK(allowed(limits, ip("2001:db8::1"), kNow, 50) == 50);
  CHECK(allowed(limits, ip("2001:db8::2"), kNow, 50) == 0);
  CHECK(allowed(limits, ip("2001:db8:0:1::1"), kNow, 50) == 50);
}

TEST_CASE("all clients together get so many replies per second") {
  QuicLimits limits;
  int count = 0;
  for (std::uint32_t i = 0; i < 6000; ++i) count += limits.allow(numbered(i), kNow) ? 1 : 0;
  CHECK(count == 5000);
  CHECK(limits.allow(numbered(7000), kNow + 10));
}

TEST_CASE("a client over its own limit takes nothing from the others") {
  QuicLimits limits;
  allowed(limits, ip("192.0.2.1"), kNow, 100'000);
  CHECK(allowed(limits, ip("192.0.2.2"), kNow, 50) == 50);
}

}  // namespace postern::gateway
