#include "server/config.h"

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "folder.h"

namespace postern::server {
namespace {

using test::Folder;

const ConfigSurroundings& surroundings() {
  static const Folder folder;
  static const ConfigSurroundings with{folder.write("resolv.conf", "nameserver 192.0.2.53\n")};
  return with;
}

ConfigResult load(std::string_view text) {
  return load_config_text(text, "t.toml", surroundings());
}

std::vector<std::string> problems(std::string_view text) {
  std::vector<std::string> texts;
  for (const ConfigProblem& problem : load(text).problems) texts.push_back(problem.to_string());
  return texts;
}

std::string problem(std::string_view text) {
  const auto all = problems(text);
  return all.size() == 1 ? all[0] : "(" + std::to_string(all.size()) + " problems)";
}

std::vector<std::string> problems_of_file(const Folder& folder, const std::string& name) {
  std::vector<std::string> texts;
  for (const auto& p : load_config(folder.path(name), surroundings()).problems) {
    texts.push_back(folder.shorten(p.to_string()));
  }
  return texts;
}

}  // namespace

TEST_CASE("an empty file is a configuration with all defaults") {
  const ConfigResult result = load("");
  REQUIRE(result.ok());
  CHECK(result.problems.empty());
  const Config& config = result.config;
  CHECK(config.server.user == "postern");
  CHECK(config.server.workers == 0);
  CHECK(config.server.admin->to_string() == "127.0.0.1:9153");
  REQUIRE(config.listen.size() == 2);
  CHECK(config.listen[0].to_string() == "0.0.0.0:53");
  CHECK(config.listen[1].to_string() == "[::]:53");
  CHECK(config.policy.allow.size() == 7);
  CHECK(config.cache.size_bytes == 64U << 20);
  CHECK(config.limits.tcp_idle_ms == 10'000);
}

TEST_CASE("without a forward for everything else the system's resolvers are asked") {
  const Config config = load("").config;
  REQUIRE(config.forwards.size() == 1);
  CHECK(config.forwards[0].name.text() == ".");
  CHECK(config.forwards[0].upstreams[0].endpoint.to_string() == "192.0.2.53:53");
  REQUIRE(config.policy.forward_names.size() == 1);
  CHECK(config.policy.forward_names[0].text() == ".");
}

TEST_CASE(
    "our own address among the system's resolvers is left out, so that nothing goes in a circle") {
  const Folder folder;
  const ConfigSurroundings own{folder.write("resolv.conf",
                                            "nameserver 127.0.0.1\n"
                                            "options edns0\n"
                                            "nameserver 198.51.100.1\n")};
  const auto result = load_config_text("[dns]\nlisten = [\"127.0.0.1:53\"]\n", "t.toml", own);
  REQUIRE(result.config.forwards.size() == 1);
  REQUIRE(result.config.forwards[0].upstreams.size() == 1);
  CHECK(result.config.forwards[0].upstreams[0].text == "udp://198.51.100.1:53");
}

TEST_CASE("every key of the contract is read") {
  const Folder folder;
  folder.write("zones/home.arpa.zone", "");
  const std::string file = folder.write("postern.toml", R"(
[server]
workers = 2
user = "dns"
log = { level = "debug", format = "json", queries = true, requests = false }
admin = ""
state_dir = "/tmp"

[dns]
listen = ["127.0.0.1:5300", "[::1]:5300"]
allow = ["192.168.10.0/24"]
udp_payload = 1400
identity = { version = "postern", id = "ns1" }

[dns.cache]
size = "128MiB"
min_ttl = "5s"
max_ttl = "2h"
negative_ttl = "1m"
serve_stale = "0s"
prefetch = false

[[dns.override]]
names = ["vanillax.me", "*.vanillax.me"]
address = ["192.168.10.50", "fd00::50"]
ttl = "30s"
https = "edit"
other = "none"
views = ["lan"]

[[dns.override]]
names = ["db.vanillax.me"]
cname = "gw.home.arpa"

[[dns.override]]
names = ["out.vanillax.me"]
forward = true

[[dns.zone]]
name = "home.arpa"
file = "zones/home.arpa.zone"
fallthrough = true
views = ["lan"]

[[dns.forward]]
name = "."
upstreams = ["udp://192.168.10.1", "tcp://192.168.10.1:5353"]
policy = "sequential"
timeout = "1500ms"

[[dns.forward]]
name = "192.168.0.0/23"
upstreams = ["192.168.1.1"]

[dns.svcb]
strip_alpn = ["h3"]
drop_keys = ["ech", "key65400"]
except = ["example.org"]
signed = "preserve"

[dns.canary]
firefox_doh = false
private_relay = true

[[dns.view]]
name = "lan"
clients = ["192.168.10.0/24"]

[dns.limits]
qps_per_client = 100
tcp_clients = 50
tcp_idle = "5s"
outstanding = 500
rebind_protection = { enabled = false, except = ["lan.example"] }
)");
  const ConfigResult result = load_config(file, surroundings());
  for (const auto& p : result.problems) CHECK(p.text.starts_with("server.state_dir is taken"));
  const Config& c = result.config;
  CHECK(c.server.workers == 2);
  CHECK(c.server.user == "dns");
  CHECK(c.server.user_given);
  CHECK(c.server.log.level == LogLevel::kDebug);
  CHECK(c.server.log.format == LogFormat::kJson);
  CHECK(c.server.log.queries);
  CHECK_FALSE(c.server.log.requests);
  CHECK_FALSE(c.server.admin);
  CHECK(c.server.state_dir == "/tmp");
  CHECK(c.listen[1].to_string() == "[::1]:5300");
  CHECK(c.policy.allow.size() == 1);
  CHECK(c.policy.udp_payload == 1400);
  CHECK(c.policy.identity.version == "postern");
  CHECK(c.policy.identity.id == "ns1");
  CHECK(c.cache.size_bytes == 128U << 20);
  CHECK(c.cache.min_ttl_s == 5);
  CHECK(c.cache.max_ttl_s == 7200);
  CHECK(c.cache.negative_ttl_s == 60);
  CHECK(c.cache.serve_stale_s == 0);
  CHECK_FALSE(c.cache.prefetch);
  REQUIRE(c.policy.overrides.size() == 3);
  const auto& first = c.policy.overrides[0];
  CHECK(first.names[1].text() == "*.vanillax.me.");
  CHECK(first.addresses[1].to_string() == "fd00::50");
  CHECK(first.ttl_s == 30);
  CHECK(first.https == dns::OverrideHttps::kEdit);
  CHECK(first.other == dns::OverrideOther::kNone);
  CHECK(first.views == std::vector<std::string>{"lan"});
  CHECK(folder.shorten(first.source) == "postern.toml:23");
  CHECK(c.policy.overrides[1].cname->text() == "gw.home.arpa.");
  CHECK(c.policy.overrides[2].forward);
  REQUIRE(c.policy.zones.size() == 1);
  CHECK(folder.shorten(c.policy.zones[0].file) == "zones/home.arpa.zone");
  CHECK(c.policy.zones[0].fallthrough);
  REQUIRE(c.forwards.size() == 3);
  CHECK(c.forwards[0].policy == nameserver::UpstreamPolicy::kSequential);
  CHECK(c.forwards[0].timeout_ms == 1500);
  CHECK(c.forwards[1].name.text() == "0.168.192.in-addr.arpa.");
  CHECK(c.forwards[2].name.text() == "1.168.192.in-addr.arpa.");
  CHECK(c.policy.forward_names[2] == c.forwards[2].name);
  CHECK(c.policy.svcb.strip_alpn == std::vector<std::string>{"h3"});
  CHECK(c.policy.svcb.drop_keys == std::vector<std::uint16_t>{5, 65400});
  CHECK(c.policy.svcb.except[0].text() == "example.org.");
  CHECK(c.policy.svcb.signed_answers == dns::SignedAnswers::kPreserve);
  CHECK_FALSE(c.policy.canary.firefox_doh);
  CHECK(c.policy.canary.private_relay);
  CHECK(c.policy.views[0].clients[0].to_string() == "192.168.10.0/24");
  CHECK(c.limits.qps_per_client == 100);
  CHECK(c.limits.tcp_clients == 50);
  CHECK(c.limits.tcp_idle_ms == 5000);
  CHECK(c.limits.outstanding == 500);
  CHECK_FALSE(c.policy.rebind.enabled);
  CHECK(c.policy.rebind.except[0].text() == "lan.example.");
}

TEST_CASE("an unknown key is an error that offers the near one, or lists what there is") {
  CHECK(problem("[dns.cache]\nsiez = \"64MiB\"\n") ==
        "t.toml:2:1: unknown key 'siez' in dns.cache; did you mean 'size'?");
  CHECK(problem("[dns.canary]\nweather = true\n") ==
        "t.toml:2:1: unknown key 'weather' in dns.canary; allowed: firefox_doh, private_relay");
  CHECK(problem("[dnss]\n") == "t.toml:1:2: unknown key 'dnss'; did you mean 'dns'?");
  CHECK(
      problem(
          "[[dns.override]]\nnames = [\"a.me\"]\n  adress = [\"192.0.2.1\"]\ncname = \"b.me\"\n") ==
      "t.toml:3:3: unknown key 'adress' in dns.override; did you mean 'address'?");
}

TEST_CASE("a wrong type is an error that says what to write") {
  CHECK(
      problem("[dns.cache]\nmin_ttl = 60\n") ==
      R"(t.toml:2:11: dns.cache.min_ttl is an integer; write a duration in quotes, like "30s" or "5m")");
  CHECK(problem("[dns.cache]\nsize = 1\n") ==
        R"(t.toml:2:8: dns.cache.size is an integer; write a size in quotes, like "64MiB")");
  CHECK(problem("[dns.cache]\nprefetch = \"yes\"\n") ==
        "t.toml:2:12: dns.cache.prefetch is a string; write true or false, without quotes");
  CHECK(problem("[dns]\nudp_payload = \"1232\"\n") ==
        "t.toml:2:15: dns.udp_payload is a string; write an integer from 512 to 4096, without "
        "quotes");
  CHECK(problem("[dns]\nallow = \"192.0.2.0/24\"\n") ==
        "t.toml:2:9: dns.allow is a string; write an array [\"...\"]");
  CHECK(problem("dns = 5\n") == "t.toml:1:7: dns is an integer; write a table");
  CHECK(problem("[dns.override]\nnames = [\"a.me\"]\n") ==
        "t.toml:1:1: dns.override is a table; write [[dns.override]], in double brackets");
  CHECK(
      problem("[server]\nlog = { level = 1 }\n") ==
      R"(t.toml:2:17: server.log.level is an integer; write one of "error", "warning", "warn", "info", "debug")");
  CHECK(problem("[server]\nuser = 1979-05-27\n") ==
        "t.toml:2:8: server.user is a date; write a string in quotes");
}

TEST_CASE("a bad value is an error that says what is allowed") {
  CHECK(problem("[dns]\nudp_payload = 100\n") ==
        "t.toml:2:15: dns.udp_payload: 100 is out of range; allowed: 512 to 4096");
  CHECK(
      problem("[dns.cache]\nmax_ttl = \"5 minutes\"\n") ==
      R"(t.toml:2:11: dns.cache.max_ttl: '5 minutes' is not a duration; write it like "500ms", "30s", "5m", "12h" or "1d")");
  CHECK(problem("[dns.cache]\nmax_ttl = \"30d\"\n") ==
        R"(t.toml:2:11: dns.cache.max_ttl: '30d' is out of range; allowed: "1s" to "1w")");
  CHECK(
      problem("[dns.cache]\nmax_ttl = \"1500ms\"\n") ==
      R"(t.toml:2:11: dns.cache.max_ttl: '1500ms' is not a whole number of seconds; write it like "30s")");
  CHECK(problem("[dns.cache]\nsize = \"1KiB\"\n") ==
        R"(t.toml:2:8: dns.cache.size: '1KiB' is out of range; allowed: "1MiB" to "1TiB")");
  CHECK(
      problem("[server]\nlog = { format = \"jsn\" }\n") ==
      R"(t.toml:2:18: server.log.format: no such choice 'jsn'; allowed: "text", "json"; did you mean "json"?)");
  CHECK(
      problem("[server]\nworkers = \"many\"\n") ==
      R"(t.toml:2:11: server.workers: no such choice 'many'; allowed: "auto" or an integer from 1 to 256, without quotes)");
  CHECK(problem("[server]\nworkers = 0\n") ==
        "t.toml:2:11: server.workers: 0 is out of range; allowed: 1 to 256");
  CHECK(
      problem("[dns.svcb]\nstrip_alpn = [\"*h3\"]\n") ==
      R"(t.toml:2:15: dns.svcb.strip_alpn: '*h3' is not an alpn id; write one like "h3", or "h3-*" for all that begin with it)");
}

TEST_CASE("a bad address or network is an error at its place in the array") {
  const auto bad_listen = problem("[dns]\nlisten = [\"127.0.0.1:53\", \"127.0.0.1:99999\"]\n");
  CHECK(bad_listen ==
        "t.toml:2:27: dns.listen: '127.0.0.1:99999' is not an address with a port; write "
        "\"IP:port\" or \"[IPv6]:port\"");
  const auto bad_network = problem("[dns]\nallow = [\n  \"10.0.0.0/8\",\n  \"10.0.0.1/8\",\n]\n");
  CHECK(bad_network.starts_with("t.toml:4:3: dns.allow: "));
  CHECK(
      problem("[[dns.override]]\nnames = [\"a.me\"]\naddress = [\"192.0.2\"]\n") ==
      R"(t.toml:3:12: dns.override.address: '192.0.2' is not an address; write one like "192.168.10.50" or "fd00::50")");
}

TEST_CASE("all problems are reported in one run, in the order of the file") {
  CHECK(
      problems("[server]\nworkers = 0\n[dns.cache]\nsize = \"x\"\nfoo = 1\n[dns.limits]\n"
               "tcp_clients = 0\n") ==
      std::vector<std::string>{
          "t.toml:2:11: server.workers: 0 is out of range; allowed: 1 to 256",
          R"(t.toml:4:8: dns.cache.size: 'x' is not a size; write it like "512KiB", "64MiB" or "2GiB")",
          "t.toml:5:1: unknown key 'foo' in dns.cache; allowed: size, min_ttl, max_ttl, "
          "negative_ttl, serve_stale, prefetch",
          "t.toml:7:15: dns.limits.tcp_clients: 0 is out of range; allowed: 1 to 1000000"});
}

TEST_CASE("what is not TOML is an error with line and column") {
  CHECK(problem("[dns\n").starts_with("t.toml:1:5: not valid TOML: "));
  CHECK(problem("[dns]\nudp_payload = 1232\nudp_payload = 1400\n").starts_with("t.toml:3:1"));
  CHECK(problem(std::string_view("[dns]\0", 6)) ==
        "t.toml: is not a text file (it has a zero byte); a TOML file is wanted");
}

TEST_CASE("a problem is one line without control bytes, whatever stands in the file") {
  CHECK(problem("\"a\\n\\u001b[2Jb\" = 1\n")
            .starts_with("t.toml:1:1: unknown key 'a\\x0a\\x1b[2Jb'"));
}

TEST_CASE("parts of the contract that come later are refused, never ignored") {
  CHECK(
      problem("[dns]\ntls = { listen = [\"0.0.0.0:853\"], certificates = [\"lan\"] }\n") ==
      "t.toml:2:7: dns.tls is not built yet in this version; remove it; UDP and TCP are served on "
      "dns.listen");
  CHECK(problem("[dns]\nhttps = { path = \"/dns-query\" }\n") ==
        "t.toml:2:9: dns.https is not built yet in this version; remove it; UDP and TCP are served "
        "on dns.listen");
  CHECK(
      problem("[[dns.forward]]\nname = \".\"\nupstreams = [\"tls://1.1.1.1#one\"]\n") ==
      "t.toml:3:14: dns.forward.upstreams: 'tls://1.1.1.1#one': tls:// upstreams are not built yet "
      "in this version; allowed: udp://, tcp://");
}

TEST_CASE("an override says exactly one thing about its names") {
  CHECK(
      problem("[[dns.override]]\nnames = [\"a.me\"]\n") ==
      "t.toml:1:1: dns.override says nothing about its names; give one of address, cname, forward "
      "= true");
  CHECK(
      problem("[[dns.override]]\nnames = [\"a.me\"]\nforward = false\n") ==
      "t.toml:1:1: dns.override says nothing about its names; give one of address, cname, forward "
      "= true");
  CHECK(
      problem(
          "[[dns.override]]\nnames = [\"a.me\"]\naddress = [\"192.0.2.1\"]\ncname = \"b.me\"\n") ==
      "t.toml:4:9: dns.override has more than one of address, cname, forward; keep one of them");
  CHECK(problem("[[dns.override]]\naddress = [\"192.0.2.1\"]\n") ==
        R"(t.toml:1:1: dns.override without names; add names = ["example.com", "*.example.com"])");
  CHECK(problem("[[dns.override]]\nnames = [\"a.me\"]\naddress = []\n") ==
        "t.toml:3:11: dns.override.address is empty; give an address, or leave it out and write "
        "forward = true");
}

TEST_CASE("a name given twice where both hold is an error that names both places") {
  CHECK(
      problem("[[dns.override]]\nnames = [\"a.me\"]\naddress = [\"192.0.2.1\"]\n"
              "[[dns.override]]\nnames = [\"b.me\", \"A.me.\"]\naddress = [\"192.0.2.2\"]\n") ==
      "t.toml:5:18: dns.override.names: 'A.me.' is given twice, first at t.toml:2:10; keep one of "
      "them, or give them different views");
}

TEST_CASE("a name may be given once for each view") {
  const std::string_view views =
      "[[dns.view]]\nname = \"a\"\nclients = [\"10.1.0.0/16\"]\n"
      "[[dns.view]]\nname = \"b\"\nclients = [\"10.2.0.0/16\"]\n";
  const std::string two =
      std::string(views) +
      "[[dns.override]]\nnames = [\"a.me\"]\naddress = [\"192.0.2.1\"]\nviews = "
      "[\"a\"]\n[[dns.override]]\nnames = [\"a.me\"]\naddress = "
      "[\"192.0.2.2\"]\nviews = [\"b\"]\n";
  CHECK(problems(two).empty());
}

TEST_CASE("a reference to a view that is not there is an error") {
  CHECK(
      problem("[[dns.view]]\nname = \"lan\"\nclients = [\"10.0.0.0/8\"]\n[[dns.override]]\nnames = "
              "[\"a.me\"]\naddress = [\"192.0.2.1\"]\nviews = [\"lam\"]\n") ==
      "t.toml:7:10: dns.override.views: no [[dns.view]] is named 'lam'; did you mean 'lan'?");
  CHECK(problem("[[dns.override]]\nnames = [\"a.me\"]\naddress = [\"192.0.2.1\"]\nviews = "
                "[\"guests\"]\n") ==
        "t.toml:4:10: dns.override.views: no [[dns.view]] is named 'guests'; there are none");
}

TEST_CASE("a cname that leads back to itself is an error") {
  CHECK(
      problem("[[dns.override]]\nnames = [\"*.a.me\"]\ncname = \"b.a.me\"\n") ==
      "t.toml:3:9: dns.override.cname: 'b.a.me' leads back to itself through the overrides; name a "
      "host that is not overridden by a cname");
  CHECK(
      problems("[[dns.override]]\nnames = [\"a.me\"]\ncname = \"b.me\"\n[[dns.override]]\nnames = "
               "[\"b.me\"]\ncname = \"a.me\"\n")
          .size() == 2);
  CHECK(problems("[[dns.override]]\nnames = [\"*.a.me\"]\ncname = \"gw.a.me\"\n[[dns.override]]\n"
                 "names = [\"gw.a.me\"]\naddress = [\"192.0.2.1\"]\n")
            .empty());
}

TEST_CASE("what an exception does not use is refused beside it") {
  CHECK(
      problem("[[dns.override]]\nnames = [\"*.me\"]\naddress = [\"192.0.2.1\"]\n[[dns.override]]\n"
              "names = [\"a.me\"]\nforward = true\nttl = \"5s\"\n") ==
      "t.toml:7:7: dns.override.ttl means nothing beside forward = true, where all comes from "
      "upstream; remove it");
}

TEST_CASE("a zone file that is not there is an error") {
  CHECK(
      problem("[[dns.zone]]\nname = \"home.arpa\"\nfile = \"no/such.zone\"\n") ==
      "t.toml:3:8: dns.zone.file: cannot read 'no/such.zone': no such file; a path is relative to "
      "the file that has it");
  CHECK(
      problem("[[dns.zone]]\nname = \"home.arpa\"\nfile = \"/tmp\"\n") ==
      "t.toml:3:8: dns.zone.file: cannot read '/tmp': it is a directory; a path is relative to the "
      "file that has it");
  CHECK(problem("[[dns.zone]]\nname = \"home.arpa\"\nfile = \"/dev/null\"\n") ==
        "t.toml:3:8: dns.zone.file: cannot read '/dev/null': it is not a regular file; a path is "
        "relative to the file that has it");
  CHECK(problems("[[dns.zone]]\n") ==
        std::vector<std::string>{
            R"(t.toml:1:1: dns.zone without a file; add file = "zones/home.arpa.zone")",
            R"(t.toml:1:1: dns.zone without a name; add name = "home.arpa")"});
}

TEST_CASE("an upstream that is this server itself is an error") {
  CHECK(
      problem("[dns]\nlisten = [\"0.0.0.0:5300\"]\n[[dns.forward]]\nname = \".\"\nupstreams = "
              "[\"127.0.0.1:5300\"]\n") ==
      "t.toml:5:14: dns.forward.upstreams: '127.0.0.1:5300' is this server itself (dns.listen), so "
      "questions would go in a circle; name another server");
  CHECK(problems("[dns]\nlisten = [\"127.0.0.1:5300\"]\n[[dns.forward]]\nname = \".\"\nupstreams = "
                 "[\"127.0.0.1:53\"]\n")
            .empty());
}

TEST_CASE("two forwards for one name are an error") {
  CHECK(problem("[[dns.forward]]\nname = \".\"\nupstreams = [\"192.0.2.1:5301\"]\n"
                "[[dns.forward]]\nname = \".\"\nupstreams = [\"192.0.2.1:5302\"]\n") ==
        "t.toml:5:8: dns.forward.name: '.' is given twice, first at t.toml:2:8; put all its "
        "upstreams "
        "into one");
}

TEST_CASE("a minimum above the maximum is an error") {
  CHECK(problem("[dns.cache]\nmin_ttl = \"1h\"\nmax_ttl = \"1m\"\n") ==
        "t.toml:2:11: dns.cache.min_ttl is 1h, more than max_ttl, 1m; allowed: max_ttl at most");
}

TEST_CASE("traps that can be proven are warnings") {
  CHECK(problem("[dns]\nallow = [\"0.0.0.0/0\"]\n") ==
        "t.toml:2:10: warning: dns.allow: '0.0.0.0/0' lets everybody ask: an open resolver is used "
        "to attack others; name your own networks");
  CHECK(problem("[[dns.view]]\nname = \"far\"\nclients = [\"198.51.100.0/24\"]\n") ==
        "t.toml:3:11: warning: dns.view 'far': clients in 198.51.100.0/24 are refused, because "
        "dns.allow does not have them; add the network there");
  CHECK(
      problem("[[dns.view]]\nname = \"a\"\nclients = [\"10.0.0.0/8\"]\n"
              "[[dns.view]]\nname = \"b\"\nclients = [\"10.1.0.0/16\"]\n") ==
      "t.toml:4:1: warning: dns.view 'b' is never used: the views before it have all its clients; "
      "put it before them");
  CHECK(problem("[[dns.override]]\nnames = [\"a.me\"]\nforward = true\n") ==
        "t.toml:2:9: warning: dns.override.names: forward = true does nothing for 'a.me.': no "
        "wildcard override and no zone covers it");
}

TEST_CASE("a directory in which nothing is kept is no promise") {
  CHECK(problem("[server]\nstate_dir = \"/srv/state\"\n") ==
        "t.toml:2:13: warning: server.state_dir is taken, and nothing is kept there yet; what is "
        "served comes from the configuration alone");
}

TEST_CASE("warnings do not make a configuration unusable") {
  const ConfigResult result = load("[dns]\nallow = [\"0.0.0.0/0\"]\n");
  CHECK(result.ok());
  CHECK(result.problems.size() == 1);
}

TEST_CASE("included files are read in the order of their names and their tables are appended") {
  const Folder folder;
  folder.write("postern.toml", "include = [\"conf.d/*.toml\"]\n[dns]\nudp_payload = 1400\n");
  folder.write("conf.d/20-b.toml",
               "[[dns.override]]\nnames = [\"b.me\"]\naddress = [\"192.0.2.2\"]\n");
  folder.write("conf.d/10-a.toml",
               "[[dns.override]]\nnames = [\"a.me\"]\naddress = [\"192.0.2.1\"]\n");
  folder.write("conf.d/30-c.toml", "[[dns.zone]]\nname = \"c.me\"\nfile = \"c.zone\"\n");
  folder.write("conf.d/c.zone", "");
  folder.write("conf.d/notes.txt", "not TOML");
  folder.write("conf.d/.10-a.toml", "an editor's backup");
  const ConfigResult result = load_config(folder.path("postern.toml"), surroundings());
  for (const auto& p : result.problems) FAIL_CHECK(p.to_string());
  REQUIRE(result.config.policy.overrides.size() == 2);
  CHECK(folder.shorten(result.config.policy.overrides[0].source) == "conf.d/10-a.toml:1");
  CHECK(folder.shorten(result.config.policy.overrides[1].source) == "conf.d/20-b.toml:1");
  CHECK(folder.shorten(result.config.policy.zones[0].file) == "conf.d/c.zone");
  CHECK(result.config.files.size() == 4);
}

TEST_CASE("a value given in two files is an error that names both places") {
  const Folder folder;
  folder.write("postern.toml", "include = [\"more.toml\"]\n[dns]\nudp_payload = 1400\n");
  folder.write("more.toml", "[dns]\nudp_payload = 1232\ncache = { size = \"32MiB\" }\n");
  CHECK(problems_of_file(folder, "postern.toml") ==
        std::vector<std::string>{"more.toml:2:1: dns.udp_payload is given twice, first at "
                                 "postern.toml:3:1; keep one of them"});
}

TEST_CASE("an include that is not there is reported where it stands") {
  const Folder folder;
  folder.write("postern.toml", "include = [\"more.toml\", \"none.toml\", \"more.toml\"]\n");
  folder.write("more.toml", "[dns]\nudp_payload = 1400\n");
  CHECK(problems_of_file(folder, "postern.toml") ==
        std::vector<std::string>{
            "postern.toml:1:25: include: 'none.toml': no such file; a path is relative to the file "
            "that has it",
            "postern.toml:1:38: include: 'more.toml' is read already; name it once"});
}

TEST_CASE("an included file may include others, relative to itself") {
  const Folder folder;
  folder.write("postern.toml", "include = [\"sub/more.toml\", \"last.toml\"]\n");
  folder.write("sub/more.toml", "include = [\"deeper.toml\"]\n");
  folder.write("sub/deeper.toml", "[[dns.view]]\nname = \"a\"\nclients = [\"10.0.0.0/24\"]\n");
  folder.write("last.toml", "[[dns.view]]\nname = \"b\"\nclients = [\"10.0.1.0/24\"]\n");
  const ConfigResult result = load_config(folder.path("postern.toml"), surroundings());
  for (const auto& p : result.problems) FAIL_CHECK(p.to_string());
  REQUIRE(result.config.policy.views.size() == 2);
  CHECK(result.config.policy.views[0].name == "a");
  CHECK(result.config.policy.views[1].name == "b");
  folder.write("sub/deeper.toml", "include = [\"../postern.toml\", \"none.toml\"]\n");
  CHECK(problems_of_file(folder, "postern.toml") ==
        std::vector<std::string>{
            "sub/deeper.toml:1:12: include: 'postern.toml' is read already; name it once",
            "sub/deeper.toml:1:31: include: 'sub/none.toml': no such file; a path is relative to "
            "the file that has it"});
}

TEST_CASE("a file that cannot be read says why") {
  const Folder folder;
  std::filesystem::create_directory(folder.path("dir"));
  CHECK(problems_of_file(folder, "none.toml") ==
        std::vector<std::string>{"none.toml: no such file"});
  CHECK(
      problems_of_file(folder, "dir") ==
      std::vector<std::string>{"dir: is a directory; name a file, for example postern.toml in it"});
}

TEST_CASE("an entry given twice in one list is an error, however it is written") {
  const std::string_view end = "; keep one of them";
  const auto twice = [&](const std::string& text, std::string_view entry, std::string_view first) {
    const std::string said = problem(text);
    CAPTURE(said);
    CHECK(said.find("'" + std::string(entry) + "' is given twice, first at t.toml:" +
                    std::string(first)) != std::string::npos);
    CHECK(said.ends_with(end));
  };
  const std::string names = "[[dns.override]]\nnames = [\"a.me\"]\n";
  twice(names + "address = [\"192.0.2.1\", \"::ffff:192.0.2.1\"]\n", "::ffff:192.0.2.1", "3:12");
  twice("[dns]\nallow = [\"10.0.0.1\", \"10.0.0.1/32\"]\n", "10.0.0.1/32", "2:10");
  twice("[[dns.view]]\nname = \"a\"\nclients = [\"10.0.0.0/8\", \"10.0.0.0/8\"]\n", "10.0.0.0/8",
        "3:12");
  const std::string forward = "[[dns.forward]]\nname = \".\"\n";
  twice(forward + "upstreams = [\"udp://192.0.2.1\", \"udp://192.0.2.1:53\"]\n",
        "udp://192.0.2.1:53", "3:14");
  twice("[dns.svcb]\nstrip_alpn = [\"h3\", \"h3\"]\n", "h3", "2:15");
  twice("[dns.svcb]\ndrop_keys = [\"ech\", \"key5\"]\n", "key5", "2:14");
  twice("[dns.svcb]\nexcept = [\"a.me\", \"A.me.\"]\n", "A.me.", "2:11");
  twice("[dns.limits.rebind_protection]\nexcept = [\"a.me\", \"a.me\"]\n", "a.me", "2:11");
  twice("[[dns.view]]\nname = \"v\"\nclients = [\"10.0.0.0/8\"]\n" + names +
            "address = [\"192.0.2.1\"]\nviews = [\"v\", \"v\"]\n",
        "v", "7:10");
  CHECK(load(forward + "upstreams = [\"udp://192.0.2.1\", \"tcp://192.0.2.1\"]\n").ok());
}

TEST_CASE("a name given twice in one override is an error") {
  CHECK(problem("[[dns.override]]\nnames = [\"a.me\", \"A.me\"]\naddress = [\"192.0.2.1\"]\n") ==
        "t.toml:2:18: dns.override.names: 'A.me' is given twice, first at t.toml:2:10; keep one of "
        "them, or give them different views");
}

TEST_CASE("a value of the wrong kind is one error") {
  CHECK(problem("[[dns.zone]]\nname = \"a.me\"\nfile = 1\n") ==
        "t.toml:3:8: dns.zone.file is an integer; write a string in quotes");
  CHECK(problem("[[dns.view]]\nname = 1\nclients = [\"10.0.0.0/8\"]\n") ==
        "t.toml:2:8: dns.view.name is an integer; write a string in quotes");
}

TEST_CASE("an error says what would be right") {
  CHECK(problem("[[dns.forward]]\nname = \"192.168.0.0/33\"\nupstreams = [\"192.0.2.1\"]\n")
            .ends_with("; write a network like \"192.168.10.0/24\" or \"fd00::/8\", or a name"));
  CHECK(problem("[[dns.override]]\nnames = [\"a.me\"]\ncname = \"192.0.2.1\"\n") ==
        "t.toml:3:9: dns.override.cname: '192.0.2.1' is an address, not a name; write address = "
        "[\"192.0.2.1\"]");
  CHECK(problem("[dns]\nlisten = [\"::1:53\"]\n") ==
        "t.toml:2:11: dns.listen: '::1:53' is an address, but ends like a port; write "
        "\"[::1]:53\" with a port, \"[::1:53]\" without");
  CHECK(load("[dns]\nlisten = [\"::1\", \"fd00::53\", \"[::2]:53\", \"[::1:53]\"]\n").ok());
}

TEST_CASE("a forward has so many upstreams at most") {
  std::string text =
      "[dns]\nlisten = [\"127.0.0.1:53\"]\n[[dns.forward]]\nname = \".\"\nupstreams = [";
  for (int i = 1; i <= 8; ++i) text += "\"192.0.2." + std::to_string(i) + "\", ";
  CHECK(load(text + "]\n").ok());
  CHECK(problem(text + "\n\"192.0.2.9\"]\n") ==
        "t.toml:6:1: dns.forward.upstreams: 9 servers; allowed: 8 at most, a query could not try "
        "more in its time");
}

TEST_CASE("the admin address is not one of dns.listen") {
  for (const char* listen : {"127.0.0.1:53", "0.0.0.0:53"}) {
    CAPTURE(listen);
    CHECK(
        problem(std::string("[server]\nadmin = \"127.0.0.1:53\"\n[dns]\nlisten = [\"") + listen +
                "\"]\n")
            .starts_with("t.toml:2:9: server.admin, 127.0.0.1:53, is in the way of dns.listen, "));
  }
  CHECK(load("[server]\nadmin = \"127.0.0.2:53\"\n[dns]\nlisten = [\"127.0.0.1:53\"]\n").ok());
}

TEST_CASE("the number of problems kept is limited, their count is not") {
  std::string text = "[dns]\nallow = [\n";
  for (int i = 0; i < 1000; ++i) text += "\"x\",\n";
  const ConfigResult result = load(text + "]\n");
  CHECK(result.problems.size() == kProblemsMax);
  CHECK(result.error_count == 1000);
}

}  // namespace postern::server
