#include "server/config_values.h"

#include <array>

#include <doctest/doctest.h>

namespace postern::server {
namespace {

std::vector<std::string> forward_names(std::string_view text) {
  std::vector<std::string> texts;
  const auto names = parse_forward_names(text);
  if (!names) return {names.error().detail};
  for (const dns::Name& name : *names) texts.push_back(name.text());
  return texts;
}

}  // namespace

TEST_CASE("a duration is a sum of numbers with units") {
  CHECK(*parse_duration("0s") == 0);
  CHECK(*parse_duration("1500ms") == 1500);
  CHECK(*parse_duration("30s") == 30'000);
  CHECK(*parse_duration("1h30m") == 5'400'000);
  CHECK(*parse_duration("1d") == 86'400'000);
  CHECK(*parse_duration("2w") == 1'209'600'000);
}

TEST_CASE("what is no duration is refused with an example") {
  for (const char* text : {"", "5", "5 s", "s", "-5s", "5x", "1.5s", "99999999999999999999s",
                           "9999999999999999w", "9000000000000000000ms9000000000000000000ms"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text));
  }
  CHECK(parse_duration("5x").error().detail ==
        R"('5x' is not a duration; write it like "500ms", "30s", "5m", "12h" or "1d")");
}

TEST_CASE("a duration is written in the largest unit that divides it") {
  CHECK(duration_text(0) == "0s");
  CHECK(duration_text(90'000) == "90s");
  CHECK(duration_text(86'400'000) == "1d");
  CHECK(duration_text(1) == "1ms");
}

TEST_CASE("sizes come in steps of 1024 and of 1000") {
  CHECK(*parse_size("64MiB") == 67'108'864);
  CHECK(*parse_size("64MB") == 64'000'000);
  CHECK(*parse_size("4096") == 4096);
  CHECK(*parse_size("1B") == 1);
  CHECK_FALSE(parse_size("64 MiB"));
  CHECK_FALSE(parse_size("64M"));
  CHECK_FALSE(parse_size("99999999TiB"));
}

TEST_CASE("a network stands for its reverse zone") {
  CHECK(forward_names("192.168.10.0/24") == std::vector<std::string>{"10.168.192.in-addr.arpa."});
  CHECK(forward_names("10.0.0.0/8") == std::vector<std::string>{"10.in-addr.arpa."});
  CHECK(forward_names("0.0.0.0/0") == std::vector<std::string>{"in-addr.arpa."});
  CHECK(forward_names("fd00::/8") == std::vector<std::string>{"d.f.ip6.arpa."});
  CHECK(forward_names("2001:db8::/32") == std::vector<std::string>{"8.b.d.0.1.0.0.2.ip6.arpa."});
}

TEST_CASE("a network that does not end at a label stands for several reverse zones") {
  CHECK(forward_names("172.16.0.0/14") ==
        std::vector<std::string>{"16.172.in-addr.arpa.", "17.172.in-addr.arpa.",
                                 "18.172.in-addr.arpa.", "19.172.in-addr.arpa."});
  CHECK(forward_names("fc00::/7") == std::vector<std::string>{"c.f.ip6.arpa.", "d.f.ip6.arpa."});
  CHECK(forward_names("192.0.2.128/25").size() == 128);
  CHECK(forward_names("192.0.2.128/25").back() == "255.2.0.192.in-addr.arpa.");
}

TEST_CASE("a network with host bits is refused") {
  CHECK(forward_names("192.168.10.1/24").front().find("192.168.10.1/24") != std::string::npos);
}

TEST_CASE("an override's name is a host name, or one behind *.") {
  CHECK(parse_override_name("*.vanillax.me")->text() == "*.vanillax.me.");
  CHECK(parse_override_name("vanillax.me.")->text() == "vanillax.me.");
  CHECK(parse_override_name("_dmarc.vanillax.me")->text() == "_dmarc.vanillax.me.");
  CHECK(parse_override_name("a.*.me").error().detail ==
        R"('a.*.me': '*' can only stand alone as the first label; write "*.example.com")");
  CHECK(parse_override_name("*x.me").error().detail ==
        R"('*x.me': '*' can only stand alone as the first label; write "*.example.com")");
  CHECK(parse_override_name("https://x.me").error().detail ==
        "'https://x.me' is a URL; write the host name alone");
  CHECK(parse_override_name("b\xc3\xbc"
                            "cher.example")
            .error()
            .detail ==
        "'b\xc3\xbc"
        "cher.example' is not a name; write international names in their xn-- form");
  CHECK_FALSE(parse_override_name("two words.me"));
  CHECK_FALSE(parse_override_name("a..me"));
  CHECK_FALSE(parse_override_name(""));
  CHECK_FALSE(parse_override_name("*."));
}

TEST_CASE("an upstream is an address with scheme and port where they differ from UDP 53") {
  using nameserver::UpstreamScheme;
  CHECK(parse_upstream("192.168.1.1")->endpoint.to_string() == "192.168.1.1:53");
  CHECK(parse_upstream("192.168.1.1")->scheme == UpstreamScheme::kUdp);
  CHECK(parse_upstream("tcp://192.168.1.1:5353")->scheme == UpstreamScheme::kTcp);
  CHECK(parse_upstream("tcp://192.168.1.1:5353")->endpoint.port == 5353);
  CHECK(parse_upstream("udp://[2001:db8::1]:54")->endpoint.to_string() == "[2001:db8::1]:54");
  CHECK(parse_upstream("udp://2001:db8::1")->endpoint.to_string() == "[2001:db8::1]:53");
  CHECK_FALSE(parse_upstream("udp://dns.example"));
  CHECK_FALSE(parse_upstream("udp://0.0.0.0"));
  CHECK(parse_upstream("tls://1.1.1.1#cloudflare-dns.com").error().detail ==
        "'tls://1.1.1.1#cloudflare-dns.com': tls:// upstreams are not built yet in this version; "
        "allowed: udp://, tcp://");
  CHECK(parse_upstream("quic://1.1.1.1").error().detail ==
        "'quic://1.1.1.1': no such scheme 'quic://'; allowed: udp://, tcp://");
}

TEST_CASE("the nearest word is offered only when it is near") {
  constexpr std::array<std::string_view, 3> kWords{"names", "address", "views"};
  CHECK(nearest_word("adress", kWords) == "address");
  CHECK(nearest_word("name", kWords) == "names");
  CHECK(nearest_word("weather", kWords).empty());
}

TEST_CASE("a part of a reverse zone may have a slash in its name (RFC 2317)") {
  CHECK(parse_domain("0/25.2.0.192.in-addr.arpa").value().text() == "0/25.2.0.192.in-addr.arpa.");
  CHECK_FALSE(parse_domain("a/b.example.com").has_value());
  CHECK(parse_forward_names("0/25.2.0.192.in-addr.arpa").value().size() == 1);
}

}  // namespace postern::server
