#include <algorithm>

#include <doctest/doctest.h>

#include "dns/policy.h"
#include "folder.h"
#include "server/config_publish.h"

namespace postern::server {
namespace {

ConfigResult load(std::string_view text, std::string_view extra = "") {
  static const test::Folder folder;
  static const std::string zone = folder.write("lan.zone", "");
  static const ConfigSurroundings with{folder.write("resolv.conf", "nameserver 192.0.2.53\n")};
  folder.write("tls.crt", "");
  folder.write("tls.key", "");
  const std::string certificate =
      "tls.certificate = [{ name = \"lan\", cert = \"tls.crt\", key = "
      "\"tls.key\" }]\n";
  ConfigResult result = load_config_text(std::string(extra) + certificate + std::string(text),
                                         folder.path("t.toml"), with);
  // Not what these texts are about: each has the certificate.
  std::erase_if(result.problems, [](const ConfigProblem& p) {
    return p.text.find("'lan' is used by no listener") != std::string::npos;
  });
  for (ConfigProblem& p : result.problems) p.file = folder.shorten(p.file);
  for (ConfigProblem& p : result.problems) p.text = folder.shorten(p.text);
  for (auto& rule : result.config.policy.overrides) rule.source = folder.shorten(rule.source);
  for (auto& route : result.config.routes) route.source = folder.shorten(route.source);
  if (result.ok()) bind_services(result.config, {{"lan", {"*.me"}}});
  return result;
}

std::string listener(const std::string& name, const std::string& address,
                     const std::string& rest = "certificates = [\"lan\"]") {
  return "[[gateway.listener]]\nname = \"" + name + "\"\naddress = [\"" + address + "\"]\n" + rest +
         "\n";
}

std::string route(const std::string& listeners, const std::string& hostnames,
                  const std::string& rest = "respond = {}") {
  return "[[gateway.route]]\nlisteners = [" + listeners + "]\nhostnames = [" + hostnames + "]\n" +
         rest + "\n";
}

/// "a.me. b.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443", one line for each override.
std::string overrides(const ConfigResult& result) {
  std::string text;
  for (const ConfigProblem& p : result.problems) text += p.to_string() + "\n";
  for (const auto& rule : result.config.policy.overrides) {
    for (const auto& name : rule.names) text += name.text() + " ";
    text += "->";
    for (const auto& ip : rule.addresses) text += " " + ip.to_string();
    for (const auto& service : rule.services) {
      text += fmt::format(" alpn={} port={}", fmt::join(service.alpn, ","), service.port);
    }
    text += "\n";
  }
  return text;
}

/// What overrides say for a client of this view ("" is none), from the policy that is served.
std::string addresses_in(const ConfigResult& result, std::string_view view, const char* name) {
  dns::PolicySettings settings = result.config.policy;
  settings.zones.clear();  // their files are not what this is about
  const auto policy = dns::compile_policy(settings, {});
  const auto& all = settings.views;
  const auto at =
      std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == view; });
  const dns::ViewPolicy& of =
      at == all.end() ? policy->everyone
                      : policy->views[static_cast<std::size_t>(at - all.begin())].policy;
  const dns::Name asked = dns::Name::parse(name).value();
  const auto match = of.overrides.find(dns::LookupName(asked.view()), dns::RrType::kA);
  std::string text;
  for (std::size_t i = 0; match && i < match.rule->a.bytes().size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ".", match.rule->a.bytes()[i]);
  }
  return text;
}

std::string problems(const ConfigResult& result) {
  std::string text;
  for (const ConfigProblem& p : result.problems) text += p.to_string() + "\n";
  return text;
}

std::string problems(const std::vector<ConfigProblem>& found) {
  std::string text;
  for (const ConfigProblem& p : found) text += p.to_string() + "\n";
  return text;
}

std::string override_of(const std::string& names, const std::string& address,
                        const std::string& rest = "") {
  return "[[dns.override]]\nnames = [" + names + "]\naddress = [\"" + address + "\"]\n" + rest +
         "\n";
}

}  // namespace

TEST_CASE("names of routes lead to the address of their listener") {
  const auto result = load(listener("a", "10.0.0.1") + route("\"a\"", "\"One.me\", \"*.two.me\"") +
                           route("", "\"three.me\""));
  CHECK(overrides(result) ==
        "One.me. *.two.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443\n"
        "three.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443\n");
  const auto& rule = result.config.policy.overrides[0];
  CHECK(rule.ttl_s == 60);
  CHECK(rule.https == dns::OverrideHttps::kGateway);
  CHECK(rule.other == dns::OverrideOther::kForward);
  CHECK(rule.views.empty());
  CHECK(rule.source == "t.toml:6, publish_dns");
}

TEST_CASE("a name that an override or a zone has is left to it") {
  const auto result =
      load(override_of("\"one.me\"", "10.0.0.1") +
           "[[dns.zone]]\nname = \"zone.me\"\nfile = \"lan.zone\"\n" + listener("a", "10.0.0.1") +
           route("\"a\"", "\"ONE.me\", \"zone.me\", \"x.zone.me\""));
  CHECK(overrides(result) ==
        "one.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443\n"
        "x.zone.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443\n");
}

TEST_CASE("an override of one view takes a published name from nobody else") {
  const std::string views =
      "[[dns.view]]\nname = \"guests\"\nclients = [\"10.9.0.0/16\"]\n"
      "[[dns.view]]\nname = \"lan\"\nclients = [\"10.0.0.0/8\"]\n";
  const auto result = load(views + override_of("\"one.me\"", "10.9.9.9", "views = [\"guests\"]") +
                           listener("a", "10.0.0.1") + route("\"a\"", "\"one.me\", \"two.me\""));
  CHECK(overrides(result) ==
        "one.me. -> 10.9.9.9\n"
        "one.me. two.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443\n");
  CHECK(addresses_in(result, "guests", "one.me") == "10.9.9.9");
  CHECK(addresses_in(result, "lan", "one.me") == "10.0.0.1");
  CHECK(addresses_in(result, "", "one.me") == "10.0.0.1");
  CHECK(addresses_in(result, "guests", "two.me") == "10.0.0.1");
}

TEST_CASE("a zone of one view keeps its own name there, and a published one elsewhere") {
  const std::string views =
      "[[dns.view]]\nname = \"guests\"\nclients = [\"10.9.0.0/16\"]\n"
      "[[dns.view]]\nname = \"lan\"\nclients = [\"10.0.0.0/8\"]\n";
  const auto result = load(views +
                           "[[dns.zone]]\nname = \"one.me\"\nfile = \"lan.zone\"\nviews = "
                           "[\"guests\"]\n" +
                           listener("a", "10.0.0.1") + route("\"a\"", "\"ONE.me\", \"x.one.me\""));
  CHECK(addresses_in(result, "guests", "one.me") == "");
  CHECK(addresses_in(result, "guests", "x.one.me") == "10.0.0.1");
  for (const char* view : {"lan", ""}) {
    CHECK(addresses_in(result, view, "one.me") == "10.0.0.1");
    CHECK(addresses_in(result, view, "x.one.me") == "10.0.0.1");
  }
}

TEST_CASE(
    "a listener with publish_dns = false, without an address of its own or with tcp says "
    "nothing to DNS") {
  const std::string zone = "[[dns.forward]]\nname = \"me\"\nupstreams = [\"192.0.2.1\"]\n";
  CHECK(overrides(load(zone + listener("a", "10.0.0.1", "https = 0\npublish_dns = false") +
                       listener("b", "0.0.0.0", "http = 81\nhttps = 0") +
                       listener("c", "10.0.0.1", "tcp = 5\nbackends = [\"x:1\"]") +
                       route("", "\"one.me\""))) == "");
}

TEST_CASE("of two listeners the first says its address, with a warning when the other differs") {
  CHECK(overrides(load(listener("a", "10.0.0.1") + listener("b", "10.0.0.2") +
                       route("\"b\", \"a\"", "\"one.me\""))) ==
        "t.toml:12:14: warning: gateway.route.hostnames: 'one.me' is served by the listeners 'a' "
        "and 'b'; DNS says the address of 'a' only; write a [[dns.override]] for it, or "
        "publish_dns = false for one of them\n"
        "one.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443\n");
  CHECK(overrides(load(listener("a", "10.0.0.1", "http = 8080\nhttps = 0") +
                       listener("b", "10.0.0.1") + route("\"a\"", "\"one.me\"") +
                       route("\"b\"", "\"one.me\"", "redirect = { hostname = \"two.me\" }"))) ==
        "one.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443\n");
}

TEST_CASE("HTTPS of an override is of the listener on its address, port 443 before others") {
  const std::string routes = route("", "\"r.me\"");
  const std::string high = listener("high", "10.0.0.1",
                                    "http = 8080\nhttps = 8443\ncertificates = [\"lan\"]\nalpn = "
                                    "[\"h2\"]");
  CHECK(overrides(load(override_of("\"one.me\"", "10.0.0.1") +
                       override_of("\"none.me\"", "10.0.0.1", "https = \"none\"") +
                       override_of("\"other.me\"", "10.0.0.7") + high + routes)) ==
        "one.me. -> 10.0.0.1 alpn=h2 port=8443\n"
        "none.me. -> 10.0.0.1\n"
        "other.me. -> 10.0.0.7\n"
        "r.me. -> 10.0.0.1 alpn=h2 port=8443\n");
  CHECK(overrides(load(override_of("\"one.me\"", "10.0.0.1") + high + listener("low", "10.0.0.1") +
                       routes)) ==
        "one.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443 alpn=h2 port=8443\n"
        "r.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443 alpn=h2 port=8443\n");
  CHECK(overrides(load(override_of("\"one.me\"", "10.0.0.1") +
                       listener("plain", "10.0.0.1", "https = 0") + routes)) ==
        "one.me. -> 10.0.0.1\nr.me. -> 10.0.0.1\n");
  // A listener that does not serve a published name is not told for it.
  CHECK(overrides(load(high + listener("low", "10.0.0.1") + route("\"high\"", "\"one.me\"") +
                       route("\"low\"", "\"two.me\""))) ==
        "one.me. -> 10.0.0.1 alpn=h2 port=8443\n"
        "two.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443\n");
}

TEST_CASE("HTTPS is told where one listener has all the addresses of an override") {
  const std::string both = "10.0.0.1\", \"10.0.0.2";
  const std::string one = override_of("\"one.me\"", both);
  CHECK(overrides(load(one + listener("a", "10.0.0.1") + route("", "\"r.me\""))) ==
        "one.me. -> 10.0.0.1 10.0.0.2\n"
        "r.me. -> 10.0.0.1 alpn=h2,http/1.1 port=443\n");
  CHECK(overrides(load(one + listener("a", both) + route("", "\"r.me\""))) ==
        "one.me. -> 10.0.0.1 10.0.0.2 alpn=h2,http/1.1 port=443\n"
        "r.me. -> 10.0.0.1 10.0.0.2 alpn=h2,http/1.1 port=443\n");
}

TEST_CASE("HTTPS is told of the hosts that the listener's certificates cover") {
  auto result =
      load(override_of("\"*.me\"", "10.0.0.1") + listener("a", "10.0.0.1") + route("", "\"r.me\""));
  const auto has = [&](const char* host) {
    const auto& services = result.config.policy.overrides.at(0).services;
    const dns::Name name = dns::Name::parse(host).value();
    return services.size() == 1 && services[0].hosts->covers(name.view());
  };
  bind_services(result.config, {{"lan", {"*.me", "x.y.me", "10.0.0.1"}}, {"other", {"z.y.me"}}});
  CHECK(has("r.me."));
  CHECK(has("x.y.me."));
  CHECK_FALSE(has("z.y.me."));
  CHECK_FALSE(has("10.0.0.1."));
  bind_services(result.config, {{"lan", {"r.me"}}});
  CHECK(has("r.me."));
  CHECK_FALSE(has("x.y.me."));
}

TEST_CASE("a match behind an equal one is never used") {
  const std::string rest = "respond = {}\nmatches = [{ path_prefix = ";
  CHECK(problems(load(listener("a", "10.0.0.1") + route("", "\"one.me\"") +
                      route("\"a\"", "\"ONE.me\", \"two.me\""))) ==
        "t.toml:10:1: warning: gateway.route: this is never used for 'one.me': an equal match "
        "stands before it, in the route at t.toml:6; remove one of them\n");
  CHECK(problems(
            load(listener("a", "10.0.0.1") +
                 route("", "\"one.me\"", rest + "\"/x/\", headers = { A = \"1\" } }]") +
                 route("", "\"one.me\"",
                       rest + "\"/x\" }, { path_prefix = \"/%78\", headers = { a = \"1\" } }]"))) ==
        "t.toml:15:36: warning: gateway.route: this is never used for 'one.me': an equal match "
        "stands before it, in the route at t.toml:6; remove one of them\n");
  CHECK(problems(load(listener("a", "10.0.0.1") + listener("b", "10.0.0.1", "https = 0\nhttp = 1") +
                      route("\"a\"", "\"one.me\"") + route("\"a\", \"b\"", "\"one.me\""))) == "");
}

TEST_CASE("listeners without routes and routes without listeners are told of") {
  CHECK(problems(load(listener("a", "10.0.0.1"))) ==
        "t.toml:2:1: warning: gateway.listener 'a' has no route: every request is answered with "
        "404; add a [[gateway.route]]\n");
  CHECK(problems(load("[[gateway.route]]\nrespond = {}\n")) ==
        "t.toml:2:1: warning: gateway.route: there is no listener for HTTP, so no route is ever "
        "used; add a [[gateway.listener]]\n");
}

TEST_CASE("a client address that nobody may send is told of") {
  const std::string certificates = "certificates = [\"lan\"]\nclient_ip_header = ";
  CHECK(problems(load(listener("a", "10.0.0.1", certificates + "\"CF-Connecting-IP\"") +
                      route("", "\"one.me\""))) ==
        "t.toml:6:20: warning: gateway.listener.client_ip_header: 'CF-Connecting-IP' is believed "
        "from trusted_proxies only, and there are none\n");
  CHECK(problems(load(listener("a", "10.0.0.1", certificates + "\"X-Forwarded-For\"") +
                      route("", "\"one.me\""))) == "");
}

TEST_CASE("a name that nothing here answers for is told of, once") {
  const std::string quiet = listener("a", "10.0.0.1", "https = 0\npublish_dns = false");
  const std::string routes =
      route("", "\"one.me\", \"app.localhost\"") +
      route("", "\"one.me\"", "respond = {}\nmatches = [{ method = \"PUT\" }]");
  CHECK(problems(load(quiet + routes)) ==
        "t.toml:9:14: warning: gateway.route.hostnames: 'one.me' has no override, zone or "
        "publish_dns here, so clients get what the public DNS says; add a [[dns.override]]\n");
  CHECK(problems(load(quiet + routes, "dns.listen = []\n")).find("one.me") == std::string::npos);
  CHECK(problems(load(quiet + routes + override_of("\"*.me\"", "10.0.0.1"))) == "");
  CHECK(problems(load(quiet + routes + "[[dns.zone]]\nname = \"me\"\nfile = \"lan.zone\"\n")) ==
        "");
}

TEST_CASE("names without a certificate that covers them are told of") {
  const auto result = load(override_of("\"*.home.me\", \"me\"", "10.0.0.1") +
                           listener("a", "10.0.0.1") + route("", "\"a.b.me\", \"A.me\"") +
                           route("", "\"*.me\"", "respond = {}\nmatches = [{ method = \"PUT\" }]"));
  REQUIRE(result.error_count == 0);
  auto config = result.config;
  for (auto& rule : config.policy.overrides)
    rule.source = rule.source.substr(rule.source.find("t.toml"));
  CHECK(problems(warnings_of(find_uncovered(config, {{"lan", {"*.me", "10.0.0.1"}}}))) ==
        "t.toml:10:1: warning: gateway.route.hostnames: no certificate of the listener 'a' covers "
        "'a.b.me', so browsers refuse it; there are: *.me, 10.0.0.1\n"
        "t.toml:2:1: warning: dns.override.names: '*.home.me' leads to the listener 'a', which has "
        "no certificate that covers it; there are: *.me, 10.0.0.1\n"
        "t.toml:2:1: warning: dns.override.names: 'me' leads to the listener 'a', which has no "
        "certificate that covers it; there are: *.me, 10.0.0.1\n");
  CHECK(find_uncovered(config, {{"lan", {"me", "*.me", "*.home.me", "*.b.me"}}}).empty());
  CHECK(find_uncovered(config, {}).empty());
}

}  // namespace postern::server
