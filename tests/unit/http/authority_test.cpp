#include "http/authority.h"

#include <string>

#include <doctest/doctest.h>

namespace postern::http {

TEST_CASE("an authority is a host and maybe a port (RFC 3986 section 3.2)") {
  const auto full = parse_authority("www.example:8443");
  REQUIRE(full);
  CHECK(full->text == "www.example:8443");
  CHECK(full->host == "www.example");
  CHECK(full->port == 8443);
  const auto host = parse_authority("www.example");
  REQUIRE(host);
  CHECK(host->host == "www.example");
  CHECK_FALSE(host->port.has_value());
}

TEST_CASE("the host of an IPv6 address has its brackets, which hold nothing else") {
  CHECK(parse_authority("[2001:db8::1]:443")->host == "[2001:db8::1]");
  CHECK(parse_authority("[::]")->text == "[::]");
  for (const char* text :
       {"[", "[]", "[::1", "::1", "[1.2.3.4]", "[::1]1", "[::1%eth0]", "[v1.a]"}) {
    CHECK_FALSE(parse_authority(text).has_value());
  }
}

TEST_CASE("an empty port is none (RFC 9110 section 4.2.3)") {
  const auto authority = parse_authority("a:");
  REQUIRE(authority);
  CHECK(authority->text == "a");
  CHECK_FALSE(authority->port.has_value());
}

TEST_CASE("no empty host, userinfo, bad port or half a percent-encoding") {
  for (const char* text : {"", ":", ":80", "u@a", "@a", "a:b", "a:65536", "a:+1", "a:000080", "a%4",
                           "a%", "a%g0", "a b", "a/", "a\x80"}) {
    INFO(text);
    CHECK_FALSE(parse_authority(text).has_value());
  }
  CHECK(parse_authority("a%4a")->host == "a%4a");
}

}  // namespace postern::http
