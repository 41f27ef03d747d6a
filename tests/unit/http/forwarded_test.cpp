#include "http/forwarded.h"

#include <string>

#include <doctest/doctest.h>

namespace postern::http {
namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

ForwardedSettings behind(std::initializer_list<const char*> proxies,
                         const char* header = "X-Forwarded-For") {
  ForwardedSettings settings;
  for (const char* proxy : proxies) {
    settings.trusted_proxies.push_back(Network::parse(proxy).value());
  }
  settings.client_ip_header = header;
  return settings;
}

/// The request after set_forwarded; its fields borrow from the arena.
struct Sent {
  Fields fields;
  TextArena arena;
};

std::unique_ptr<Sent> send(const char* peer, const ForwardedSettings& settings,
                           std::initializer_list<Field> lines,
                           const Hop& hop = {true, "app.example"}) {
  auto sent = std::make_unique<Sent>();
  for (const Field& line : lines) sent->fields.add(line.name, line.value);
  set_forwarded(sent->fields, sent->arena, Peer(ip(peer), settings), hop, settings);
  return sent;
}

std::string client(const char* peer, const ForwardedSettings& settings,
                   std::initializer_list<Field> lines) {
  Fields fields;
  for (const Field& line : lines) fields.add(line.name, line.value);
  return client_address(fields, Peer(ip(peer), settings), settings).to_string();
}

}  // namespace

TEST_CASE("a client is who it is, whatever it says, unless it is a trusted proxy") {
  const ForwardedSettings settings = behind({"10.0.0.0/8"});
  CHECK(client("192.0.2.1", settings, {}) == "192.0.2.1");
  CHECK(client("192.0.2.1", settings, {{"X-Forwarded-For", "127.0.0.1"}}) == "192.0.2.1");
  CHECK(client("10.0.0.2", settings, {{"X-Forwarded-For", "192.0.2.43"}}) == "192.0.2.43");
  CHECK(client("10.0.0.2", settings, {}) == "10.0.0.2");
}

TEST_CASE("of a chain of proxies the last that is not trusted is the client") {
  const ForwardedSettings settings = behind({"10.0.0.0/8", "2001:db8:1::/48"});
  CHECK(client("10.0.0.2", settings, {{"x-forwarded-for", "1.1.1.1, 192.0.2.43 ,10.0.0.9"}}) ==
        "192.0.2.43");
  CHECK(client("10.0.0.2", settings,
               {{"x-forwarded-for", "192.0.2.43"}, {"x-forwarded-for", "2001:db8:1::7"}}) ==
        "192.0.2.43");
  CHECK(client("10.0.0.2", settings, {{"x-forwarded-for", "10.0.0.8, 10.0.0.9"}}) == "10.0.0.8");
}

TEST_CASE("an item that is no address ends the search, one with a port is an address") {
  const ForwardedSettings settings = behind({"10.0.0.0/8"});
  CHECK(client("10.0.0.2", settings, {{"x-forwarded-for", "192.0.2.1, unknown, 10.0.0.9"}}) ==
        "10.0.0.9");
  CHECK(client("10.0.0.2", settings, {{"x-forwarded-for", "192.0.2.1,"}}) == "10.0.0.2");
  CHECK(client("10.0.0.2", settings, {{"x-forwarded-for", "192.0.2.43:47011"}}) == "192.0.2.43");
  CHECK(client("10.0.0.2", settings, {{"x-forwarded-for", "[2001:db8::17]:47011"}}) ==
        "2001:db8::17");
  CHECK(client("10.0.0.2", settings, {{"x-forwarded-for", "2001:db8::17"}}) == "2001:db8::17");
}

TEST_CASE("another header that has the client's address is believed from trusted proxies only") {
  const ForwardedSettings settings = behind({"127.0.0.1"}, "CF-Connecting-IP");
  CHECK(client("127.0.0.1", settings, {{"cf-connecting-ip", "203.0.113.9"}}) == "203.0.113.9");
  CHECK(client("192.0.2.1", settings, {{"cf-connecting-ip", "203.0.113.9"}}) == "192.0.2.1");
  CHECK(client("127.0.0.1", settings, {{"x-forwarded-for", "203.0.113.9"}}) == "127.0.0.1");
  CHECK(client("127.0.0.1", settings,
               {{"cf-connecting-ip", "203.0.113.9"}, {"CF-Connecting-IP", "203.0.113.8"}}) ==
        "127.0.0.1");
  CHECK(client("127.0.0.1", settings, {{"cf-connecting-ip", "x"}}) == "127.0.0.1");
}

TEST_CASE("backends are told client, scheme and host") {
  const auto sent = send("192.0.2.60", behind({}), {}, {false, "app.example"});
  CHECK(sent->fields.value("X-Forwarded-For") == "192.0.2.60");
  CHECK(sent->fields.value("X-Forwarded-Proto") == "http");
  CHECK(sent->fields.value("X-Forwarded-Host") == "app.example");
  CHECK(sent->fields.value("Forwarded") == "for=192.0.2.60;host=app.example;proto=http");
}

TEST_CASE("IPv6 and ports are quoted in Forwarded (RFC 7239 sections 4 and 6)") {
  const auto sent = send("2001:db8:cafe::17", behind({}), {}, {true, "app.example:8443"});
  CHECK(sent->fields.value("Forwarded") ==
        "for=\"[2001:db8:cafe::17]\";host=\"app.example:8443\";proto=https");
  CHECK(sent->fields.value("X-Forwarded-For") == "2001:db8:cafe::17");
  CHECK(sent->fields.value("X-Forwarded-Host") == "app.example:8443");
}

TEST_CASE("what a stranger says of itself is replaced, also in other spellings") {
  const auto sent = send("192.0.2.60", behind({"10.0.0.0/8"}, "CF-Connecting-IP"),
                         {{"Forwarded", "for=127.0.0.1"},
                          {"X-Forwarded-For", "127.0.0.1"},
                          {"x-forwarded-for", "127.0.0.2"},
                          {"X_Forwarded_For", "127.0.0.3"},
                          {"X-Forwarded-Proto", "https"},
                          {"X-Forwarded-Host", "evil.example"},
                          {"X-Forwarded-User", "admin"},
                          {"X-Real-IP", "127.0.0.1"},
                          {"CF_Connecting-IP", "127.0.0.1"},
                          {"CF-Connecting-IP", "127.0.0.1"},
                          {"X-Other", "kept"}},
                         {false, "app.example"});
  CHECK(sent->fields.size() == 5);
  CHECK(sent->fields.value("x-other") == "kept");
  CHECK(sent->fields.value("x-forwarded-for") == "192.0.2.60");
  CHECK(sent->fields.value("x-forwarded-proto") == "http");
  CHECK(sent->fields.value("x-forwarded-host") == "app.example");
  CHECK(sent->fields.value("forwarded") == "for=192.0.2.60;host=app.example;proto=http");
}

TEST_CASE("what a trusted proxy says is passed on, with itself as one hop more") {
  const auto sent = send("10.0.0.2", behind({"10.0.0.0/8"}),
                         {{"Forwarded", "for=192.0.2.43"},
                          {"Forwarded", "for=\"[2001:db8:cafe::17]\""},
                          {"X-Forwarded-For", "192.0.2.43"},
                          {"X-Forwarded-For", "2001:db8:cafe::17"},
                          {"X-Forwarded-Proto", "https"},
                          {"X-Forwarded-Host", "public.example"},
                          {"X_Forwarded_Host", "evil.example"},
                          {"X-Real-IP", "192.0.2.43"}},
                         {false, "app.example"});
  CHECK(sent->fields.value("x-forwarded-for") == "192.0.2.43, 2001:db8:cafe::17, 10.0.0.2");
  CHECK(sent->fields.value("forwarded") ==
        "for=192.0.2.43, for=\"[2001:db8:cafe::17]\", "
        "for=10.0.0.2;host=app.example;proto=http");
  CHECK(sent->fields.count("x-forwarded-for") == 1);
  CHECK(sent->fields.value("x-forwarded-proto") == "https");
  CHECK(sent->fields.value("x-forwarded-host") == "public.example");
  CHECK(sent->fields.value("x-real-ip") == "192.0.2.43");
  CHECK(sent->fields.find("x_forwarded_host") == nullptr);
}

TEST_CASE("a list with an open quote does not swallow the hop that is added") {
  const ForwardedSettings settings = behind({"10.0.0.0/8"});
  const Hop hop{false, "a"};
  for (const char* open : {"for=\"", "for=\"_x\\\"", "for=\"a\", for=\"b"}) {
    CHECK_MESSAGE(
        send("10.0.0.2", settings, {{"Forwarded", open}}, hop)->fields.value("forwarded") ==
            "for=10.0.0.2;host=a;proto=http",
        open);
  }
  CHECK(send("10.0.0.2", settings, {{"Forwarded", "for=\"a\\\"b\""}}, hop)
            ->fields.value("forwarded") == "for=\"a\\\"b\", for=10.0.0.2;host=a;proto=http");
}

TEST_CASE("a client known from another header stands first in X-Forwarded-For") {
  const auto sent = send("127.0.0.1", behind({"127.0.0.1"}, "CF-Connecting-IP"),
                         {{"CF-Connecting-IP", "203.0.113.9"}});
  CHECK(sent->fields.value("x-forwarded-for") == "203.0.113.9, 127.0.0.1");
  CHECK(sent->fields.value("cf-connecting-ip") == "203.0.113.9");
}

}  // namespace postern::http
