#include "base/address.h"

#include <doctest/doctest.h>

namespace postern {

TEST_CASE("an endpoint needs a port unless a default is given") {
  CHECK(Endpoint::parse("192.0.2.1:53")->to_string() == "192.0.2.1:53");
  CHECK(Endpoint::parse("[2001:db8::1]:53")->to_string() == "[2001:db8::1]:53");
  CHECK(Endpoint::parse("2001:db8::1", 53)->port == 53);
  CHECK(Endpoint::parse("[2001:db8::1]", 53)->port == 53);
  CHECK_FALSE(Endpoint::parse("192.0.2.1"));
  CHECK_FALSE(Endpoint::parse("192.0.2.1:"));
  CHECK_FALSE(Endpoint::parse("192.0.2.1:0"));
  CHECK_FALSE(Endpoint::parse("192.0.2.1:65536"));
  CHECK_FALSE(Endpoint::parse("192.0.2.1:5x"));
  CHECK_FALSE(Endpoint::parse("[2001:db8::1"));
  CHECK_FALSE(Endpoint::parse("[2001:db8::1]53"));
  CHECK_FALSE(Endpoint::parse("gateway:53"));
}

TEST_CASE("an IPv4-mapped IPv6 address is the IPv4 address, so access lists hold") {
  const auto mapped = IpAddress::parse("::ffff:192.0.2.7");
  REQUIRE(mapped);
  CHECK(mapped->is_v4());
  CHECK(mapped->to_string() == "192.0.2.7");
  CHECK(Network::parse("192.0.2.0/24")->contains(*mapped));
}

TEST_CASE("a network contains exactly the addresses that share its prefix") {
  const Network net = *Network::parse("192.168.10.0/23");
  CHECK(net.contains(*IpAddress::parse("192.168.11.255")));
  CHECK_FALSE(net.contains(*IpAddress::parse("192.168.12.0")));
  CHECK_FALSE(net.contains(*IpAddress::parse("192.168.9.255")));
  CHECK_FALSE(net.contains(*IpAddress::parse("fc00::1")));
  CHECK(Network::parse("0.0.0.0/0")->contains(*IpAddress::parse("203.0.113.9")));
  CHECK(Network::parse("fe80::/10")->contains(*IpAddress::parse("febf::1")));
  CHECK_FALSE(Network::parse("fe80::/10")->contains(*IpAddress::parse("fec0::1")));
  CHECK(Network::parse("192.0.2.9")->to_string() == "192.0.2.9/32");
}

TEST_CASE("a network with host bits or a bad prefix length is refused") {
  CHECK_FALSE(Network::parse("192.168.10.1/24"));
  CHECK_FALSE(Network::parse("192.168.10.0/33"));
  CHECK_FALSE(Network::parse("192.168.10.0/"));
  CHECK_FALSE(Network::parse("192.168.10.0/-1"));
  CHECK_FALSE(Network::parse("2001:db8::1/32"));
}

TEST_CASE("an endpoint survives the way through a socket address") {
  for (const char* text : {"192.0.2.1:5353", "[2001:db8::53]:853"}) {
    sockaddr_storage storage{};
    Endpoint::parse(text)->to_sockaddr(storage);
    CHECK(Endpoint::from_sockaddr(storage).to_string() == text);
  }
}

}  // namespace postern
