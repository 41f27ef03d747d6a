#include "base/daily_clients.h"

#include <array>
#include <cstddef>
#include <string_view>

#include <doctest/doctest.h>

namespace postern {
namespace {

constexpr std::uint64_t kDay = DailyClients::kDayMs;

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

IpAddress numbered(std::size_t number) {
  const std::array<std::uint8_t, 4> bytes{10, static_cast<std::uint8_t>(number >> 16U),
                                          static_cast<std::uint8_t>(number >> 8U),
                                          static_cast<std::uint8_t>(number)};
  return IpAddress::v4(bytes.data());
}

}  // namespace

TEST_CASE("a client is the first of its address once a day") {
  DailyClients clients;
  CHECK(clients.first_today(ip("192.0.2.1"), 5 * kDay + 10));
  CHECK_FALSE(clients.first_today(ip("192.0.2.1"), 5 * kDay + 10));
  CHECK(clients.first_today(ip("192.0.2.2"), 5 * kDay + 20));
  CHECK(clients.first_today(ip("2001:db8::1"), 5 * kDay + 20));
  CHECK(clients.first_today(ip("2001:db8::2"), 5 * kDay + 20));
  CHECK_FALSE(clients.first_today(ip("2001:db8::1"), 6 * kDay - 1));
  CHECK(clients.first_today(ip("192.0.2.1"), 6 * kDay));
  CHECK_FALSE(clients.first_today(ip("192.0.2.1"), 6 * kDay));
}

TEST_CASE("tables that began at different times agree on the day") {
  DailyClients early;
  DailyClients late;
  CHECK(early.first_today(ip("192.0.2.1"), 1));
  CHECK(late.first_today(ip("192.0.2.1"), kDay - 1));
  CHECK(early.first_today(ip("192.0.2.1"), kDay));
  CHECK(late.first_today(ip("192.0.2.1"), kDay));
}

TEST_CASE("so many clients are named and no more, until the day is over") {
  DailyClients clients;
  for (std::size_t i = 0; i < DailyClients::kClientsMax; ++i) {
    CHECK_FALSE(clients.full());
    REQUIRE(clients.first_today(numbered(i), 1));
  }
  CHECK(clients.full());
  for (std::size_t i = 0; i < 3 * DailyClients::kClientsMax; ++i) {
    REQUIRE_FALSE(clients.first_today(numbered(i), 2));
  }
  CHECK(clients.first_today(numbered(70'000), kDay + 2));
  CHECK_FALSE(clients.full());
}

}  // namespace postern
