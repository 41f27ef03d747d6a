#include <doctest/doctest.h>

#include "dns/answer.h"
#include "packet_text.h"

namespace postern::dns {
namespace {

OverrideSettings served(std::initializer_list<const char*> names, ServiceBinding service,
                        std::initializer_list<const char*> ips = {"192.168.10.50"}) {
  OverrideSettings settings;
  for (const char* text : names) settings.names.push_back(Name::parse(text).value());
  for (const char* ip : ips) settings.addresses.push_back(IpAddress::parse(ip).value());
  if (service.hosts == nullptr) service.hosts = std::make_shared<const HostSet>(settings.names);
  settings.services.push_back(std::move(service));
  return settings;
}

/// What a client is told, read by ldns.
std::string ask(std::vector<OverrideSettings> overrides, const char* name,
                const char* type = "TYPE65") {
  PolicySettings settings;
  settings.allow.push_back(Network::parse("192.168.0.0/16").value());
  settings.forward_names.push_back(Name());
  settings.overrides = std::move(overrides);
  const auto policy = compile_policy(settings, {});
  Cache cache{CacheSettings{}};
  AnswerInput input;
  input.policy = policy.get();
  input.cache = &cache;
  input.client = IpAddress::parse("192.168.10.7").value();
  input.stream = true;
  Packet buffer(65535);
  Decision decision;
  answer(input, make_query(name, type), buffer, &decision);
  if (decision.verdict != Decision::Verdict::kReply) return "no reply";
  buffer.resize(decision.reply_size);
  return packet_text(buffer);
}

std::shared_ptr<const HostSet> hosts(std::initializer_list<const char*> names) {
  std::vector<Name> parsed;
  for (const char* text : names) parsed.push_back(Name::parse(text).value());
  return std::make_shared<const HostSet>(parsed);
}

const std::vector<std::string> kBoth{"h2", "http/1.1"};

bool is_no_data(const std::string& reply) { return reply.starts_with("NOERROR aa ra\nNS "); }

}  // namespace

TEST_CASE("an override that the gateway serves says so in HTTPS") {
  CHECK(ask({served({"a.me"}, {kBoth})}, "a.me.") ==
        "NOERROR aa ra\nAN a.me. 60 IN HTTPS 1 . alpn=h2,http/1.1 ipv4hint=192.168.10.50\n");
  CHECK(ask({served({"*.me"}, {kBoth}, {"192.168.10.50", "fd00::50"})}, "x.me.") ==
        "NOERROR aa ra\nAN x.me. 60 IN HTTPS 1 . alpn=h2,http/1.1 ipv4hint=192.168.10.50 "
        "ipv6hint=fd00::50\n");
}

TEST_CASE("a host that no certificate covers has no HTTPS record") {
  const std::vector<OverrideSettings> overrides{
      served({"me", "*.me"}, {kBoth, 443, hosts({"*.me", "Deep.b.me"})}),
      served({"none.me"}, {kBoth, 443, hosts({})})};
  for (const char* name : {"a.me.", "A.ME.", "deep.b.me.", "_443._https.a.me."}) {
    CAPTURE(name);
    CHECK(ask(overrides, name).find("alpn=h2,http/1.1") != std::string::npos);
  }
  for (const char* name : {"me.", "a.b.me.", "x.deep.b.me.", "none.me.", "_443._https.me."}) {
    CAPTURE(name);
    CHECK(is_no_data(ask(overrides, name)));
  }
}

TEST_CASE("of several that serve an override the first with a certificate for the host is told") {
  OverrideSettings two = served({"*.me"}, {kBoth, 443, hosts({"a.me"})});
  two.services.push_back({{"h2"}, 8443, hosts({"a.me", "b.me"})});
  const std::string high = "1 . alpn=h2 no-default-alpn port=8443 ";
  CHECK(ask({two}, "a.me.").find("1 . alpn=h2,http/1.1 ipv4hint") != std::string::npos);
  CHECK(ask({two}, "b.me.").find(high) != std::string::npos);
  CHECK(is_no_data(ask({two}, "c.me.")));
  CHECK(ask({two}, "_443._https.a.me.").find("1 a.me. alpn=h2,http/1.1 ip") != std::string::npos);
  CHECK(ask({two}, "_8443._https.a.me.").find("port=8443") != std::string::npos);
  CHECK(is_no_data(ask({two}, "_443._https.b.me.")));
}

TEST_CASE("without http/1.1 the default protocol is denied") {
  CHECK(ask({served({"a.me"}, {{"h2"}})}, "a.me.") ==
        "NOERROR aa ra\nAN a.me. 60 IN HTTPS 1 . alpn=h2 no-default-alpn "
        "ipv4hint=192.168.10.50\n");
}

TEST_CASE("another port than 443 is said, and its service name answers with the host") {
  const std::vector<OverrideSettings> overrides{served({"a.me", "*.lab.me"}, {kBoth, 8443})};
  const std::string rest = "alpn=h2,http/1.1 port=8443 ipv4hint=192.168.10.50\n";
  CHECK(ask(overrides, "a.me.") == "NOERROR aa ra\nAN a.me. 60 IN HTTPS 1 . " + rest);
  CHECK(ask(overrides, "_8443._https.A.me.") ==
        "NOERROR aa ra\nAN _8443._https.A.me. 60 IN HTTPS 1 a.me. " + rest);
  CHECK(ask(overrides, "_8443._https.x.lab.me.") ==
        "NOERROR aa ra\nAN _8443._https.x.lab.me. 60 IN HTTPS 1 x.lab.me. " + rest);
}

TEST_CASE("a service that the gateway does not serve has no HTTPS record") {
  const std::vector<OverrideSettings> overrides{
      served({"a.me", "*.lab.me", "_8443._https.b.me"}, {kBoth, 8443}),
      served({"c.me", "_https.d.me"}, {kBoth})};
  for (const char* name :
       {"_8006._https.a.me.", "_08443._https.a.me.", "_https.a.me.", "_8443._http.a.me.",
        "_8443x._https.a.me.", "_8443._https._x.a.me.", "_8443._https.lab.me.",
        "_8443._https.b.me.", "_8443._https.c.me.", "_443._https.d.me.", "_._https.a.me."}) {
    CAPTURE(name);
    CHECK(is_no_data(ask(overrides, name)));
  }
  CHECK(ask(overrides, "_443._https.c.me.")
            .starts_with("NOERROR aa ra\nAN _443._https.c.me. 60 IN HTTPS 1 c.me. alpn"));
}

TEST_CASE("SVCB, and HTTPS where the override says none, stay without data") {
  auto none = served({"n.me"}, {kBoth});
  none.https = OverrideHttps::kNone;
  CHECK(is_no_data(ask({none}, "n.me.")));
  CHECK(is_no_data(ask({served({"a.me"}, {kBoth})}, "a.me.", "TYPE64")));
}

TEST_CASE("more hints than there is room for are left out") {
  OverrideSettings many = served({"a.me"}, {kBoth}, {});
  for (int i = 1; i <= 200; ++i) {
    many.addresses.push_back(IpAddress::parse("192.168.10." + std::to_string(i)).value());
  }
  CHECK(ask({many}, "a.me.").find("ipv4hint=192.168.10.1,192.168.10.2,") != std::string::npos);
  for (int i = 1; i <= 200; ++i) {
    many.addresses.push_back(IpAddress::parse("192.168.11." + std::to_string(i)).value());
  }
  CHECK(ask({many}, "a.me.") == "NOERROR aa ra\nAN a.me. 60 IN HTTPS 1 . alpn=h2,http/1.1\n");
}

TEST_CASE("an override for the root is asked for HTTPS without harm") {
  CHECK(ask({served({"."}, {kBoth})}, ".").find("HTTPS 1 . alpn=") != std::string::npos);
}

}  // namespace postern::dns
