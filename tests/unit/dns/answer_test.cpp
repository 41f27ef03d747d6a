#include "dns/answer.h"

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <unistd.h>

#include "packet_text.h"

namespace postern::dns {
namespace {

Name name(std::string_view text) { return Name::parse(text).value(); }

OverrideSettings addresses(std::initializer_list<const char*> names,
                           std::initializer_list<const char*> ips) {
  OverrideSettings settings;
  for (const char* n : names) settings.names.push_back(name(n));
  for (const char* ip : ips) settings.addresses.push_back(IpAddress::parse(ip).value());
  return settings;
}

std::shared_ptr<const Zone> zone_of(const char* apex, const std::string& text) {
  const std::string path = std::filesystem::temp_directory_path() /
                           ("postern-answer-test-" + std::to_string(::getpid()));
  std::ofstream(path) << text;
  ZoneLoad load = load_zone(path, name(apex).view());
  std::filesystem::remove(path);
  for (const ZoneProblem& p : load.problems) MESSAGE(p.to_string());
  REQUIRE(load.zone != nullptr);
  return load.zone;
}

/// One server: settings first, then questions.
struct Server {
  Server() {
    settings.allow.push_back(Network::parse("192.168.0.0/16").value());
    settings.forward_names.push_back(name("."));
  }

  void zone(const char* apex, const std::string& text, bool fallthrough = false,
            std::vector<std::string> views = {}) {
    ZoneSettings z;
    z.name = name(apex);
    z.fallthrough = fallthrough;
    z.views = std::move(views);
    settings.zones.push_back(z);
    zones.push_back(zone_of(apex, text));
  }

  std::string ask(const char* qname, const char* type, const QueryOptions& options = {}) {
    return send(make_query(qname, type, options));
  }

  std::string send(const Packet& query) {
    if (policy == nullptr) policy = compile_policy(settings, zones);
    input.policy = policy.get();
    input.cache = &cache;
    input.client = IpAddress::parse(client).value();
    answer(input, query, buffer, &decision);
    if (decision.verdict == Decision::Verdict::kDrop) return "silence";
    if (decision.verdict == Decision::Verdict::kForward) {
      return "forward " + name_text(decision.question.name.name()) + " " +
             type_text(decision.question.type);
    }
    reply.assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(decision.reply_size));
    return packet_text(reply);
  }

  /// Answers `query` with `body` as what upstream said to the question that was forwarded last.
  std::string with_fetched(const Packet& query, ImageHead head, const Packet& body) {
    const ForwardQuestion question = decision.question;
    head.body_size = static_cast<std::uint16_t>(body.size());
    const ImageView image{head, {}, body, {}};
    input.fetched_question = &question;
    input.fetched = &image;
    std::string text = send(query);
    input.fetched_question = nullptr;
    input.fetched = nullptr;
    return text;
  }

  PolicySettings settings;
  std::vector<std::shared_ptr<const Zone>> zones;
  std::unique_ptr<const Policy> policy;
  Cache cache{CacheSettings{}};
  AnswerInput input;
  std::string client = "192.168.10.7";
  Packet buffer = Packet(65535);
  Packet reply;
  Decision decision;
};

ImageHead head_of(std::uint16_t answers, std::uint16_t authorities = 0,
                  Rcode rcode = Rcode::kNoError) {
  ImageHead head;
  head.ttl_s = 60;
  head.answers = answers;
  head.authorities = authorities;
  head.flags = static_cast<std::uint16_t>(rcode);
  return head;
}

constexpr const char* kOverrideSoa =
    "NS vanillax.me. 60 IN SOA localhost. nobody.invalid. 1 3600 600 86400 60\n";

}  // namespace

TEST_CASE("an override answers its address families and denies the others with a SOA") {
  Server server;
  server.settings.overrides.push_back(
      addresses({"vanillax.me", "*.vanillax.me"}, {"192.168.10.50"}));
  CHECK(server.ask("llama.vanillax.me.", "A") ==
        "NOERROR aa ra\nAN llama.vanillax.me. 60 IN A 192.168.10.50\n");
  CHECK(server.decision.source == Source::kOverride);
  CHECK(server.ask("llama.vanillax.me.", "AAAA") == std::string("NOERROR aa ra\n") + kOverrideSoa);
  CHECK(server.ask("llama.vanillax.me.", "TYPE65") ==
        std::string("NOERROR aa ra\n") + kOverrideSoa);
  CHECK(server.ask("_443._https.llama.vanillax.me.", "TYPE65") ==
        std::string("NOERROR aa ra\n") + kOverrideSoa);
  CHECK(server.ask("vanillax.me.", "A") ==
        "NOERROR aa ra\nAN vanillax.me. 60 IN A 192.168.10.50\n");
}

TEST_CASE("other types of an override go upstream, unless other is none") {
  Server server;
  server.settings.overrides.push_back(addresses({"*.vanillax.me"}, {"192.168.10.50"}));
  server.settings.overrides.push_back(addresses({"*.closed.me"}, {"192.168.10.50"}));
  server.settings.overrides.back().other = OverrideOther::kNone;
  CHECK(server.ask("_acme-challenge.vanillax.me.", "TXT") ==
        "forward _acme-challenge.vanillax.me. TXT");
  CHECK(server.ask("a.vanillax.me.", "MX") == "forward a.vanillax.me. MX");
  CHECK(server.ask("a.closed.me.", "TXT").starts_with("NOERROR aa ra\nNS closed.me. 60 IN SOA"));
}

TEST_CASE("NXDOMAIN from upstream for another type does not deny a name that an override has") {
  Server server;
  server.settings.overrides.push_back(addresses({"*.vanillax.me"}, {"192.168.10.50"}));
  const Packet query = make_query("llama.vanillax.me.", "TXT");
  REQUIRE(server.send(query).starts_with("forward"));
  const Packet body =
      make_body("llama.vanillax.me.", "TXT", {}, {"vanillax.me. 300 IN SOA ns. host. 1 2 3 4 300"});
  CHECK(server.with_fetched(query, head_of(0, 1, Rcode::kNxDomain), body) ==
        "NOERROR ra\nNS vanillax.me. 300 IN SOA ns. host. 1 2 3 4 300\n");
}

TEST_CASE("an exception inside a wildcard is forwarded in all types") {
  Server server;
  server.settings.overrides.push_back(addresses({"*.vanillax.me"}, {"192.168.10.50"}));
  OverrideSettings exception;
  exception.names.push_back(name("status.vanillax.me"));
  exception.forward = true;
  server.settings.overrides.push_back(exception);
  CHECK(server.ask("status.vanillax.me.", "A") == "forward status.vanillax.me. A");
  CHECK(server.ask("status.vanillax.me.", "TYPE65") == "forward status.vanillax.me. HTTPS");
  CHECK_FALSE(server.decision.question.owned);
  CHECK(server.ask("_443._https.status.vanillax.me.", "TYPE65") ==
        "forward _443._https.status.vanillax.me. HTTPS");
}

TEST_CASE("https = edit asks upstream for a record to be edited") {
  Server server;
  server.settings.overrides.push_back(addresses({"*.vanillax.me"}, {"192.168.10.50"}));
  server.settings.overrides.back().https = OverrideHttps::kEdit;
  CHECK(server.ask("llama.vanillax.me.", "TYPE65") == "forward llama.vanillax.me. HTTPS");
  CHECK(server.decision.question.owned);
}

TEST_CASE("the target of a cname override is resolved: zone, then upstream") {
  Server server;
  OverrideSettings local;
  local.names.push_back(name("nas.vanillax.me"));
  local.cname = name("gw.home.arpa");
  OverrideSettings far = local;
  far.names = {name("far.vanillax.me")};
  far.cname = name("cdn.example");
  server.settings.overrides = {local, far};
  server.zone("home.arpa",
              "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\ngw A 10.0.0.2\n");
  CHECK(server.ask("nas.vanillax.me.", "A") ==
        "NOERROR aa ra\nAN nas.vanillax.me. 60 IN CNAME gw.home.arpa.\nAN gw.home.arpa. 300 IN A "
        "10.0.0.2\n");
  const Packet query = make_query("far.vanillax.me.", "A");
  CHECK(server.send(query) == "forward cdn.example. A");
  CHECK(server.with_fetched(query, head_of(1),
                            make_body("cdn.example.", "A", {"cdn.example. 9 IN A 192.0.2.9"})) ==
        "NOERROR aa ra\nAN far.vanillax.me. 60 IN CNAME cdn.example.\nAN cdn.example. 9 IN A "
        "192.0.2.9\n");
  CHECK(server.ask("far.vanillax.me.", "TYPE65")
            .starts_with("NOERROR aa ra\nNS far.vanillax.me. 60 IN SOA"));
}

TEST_CASE("a chain from upstream that arrives at an override ends in the override") {
  Server server;
  server.settings.overrides.push_back(addresses({"*.vanillax.me"}, {"192.168.10.50"}));
  const Packet query = make_query("www.example.", "A");
  REQUIRE(server.send(query) == "forward www.example. A");
  ImageHead head = head_of(1);
  head.continues = true;
  const Packet body =
      make_body("www.example.", "A", {"www.example. 9 IN CNAME llama.vanillax.me."});
  CHECK(server.with_fetched(query, head, body) ==
        "NOERROR ra\nAN www.example. 9 IN CNAME llama.vanillax.me.\nAN llama.vanillax.me. 60 IN A "
        "192.168.10.50\n");
}

TEST_CASE("the case of the question is kept in the reply") {
  Server server;
  server.settings.overrides.push_back(addresses({"*.vanillax.me"}, {"192.168.10.50"}));
  CHECK(server.ask("LlAmA.vAnIlLaX.me.", "A") ==
        "NOERROR aa ra\nAN LlAmA.vAnIlLaX.me. 60 IN A 192.168.10.50\n");
}

TEST_CASE("EDNS is echoed to those who speak it, with an extended error for what we decided") {
  Server server;
  server.settings.overrides.push_back(addresses({"*.vanillax.me"}, {"192.168.10.50"}));
  server.ask("a.vanillax.me.", "A");
  CHECK(server.reply.size() == 12 + 15 + 4 + 16);
  QueryOptions edns;
  edns.edns = true;
  server.ask("a.vanillax.me.", "A", edns);
  // OPT: root, type 41, payload 1232, no flags; option 15 (EDE): code 4, "dns.override"
  const std::string tail("\0\0\x29\x04\xd0\0\0\0\0\0\x12\0\x0f\0\x0e\0\4dns.override", 29);
  CHECK(as_text(server.reply).ends_with(tail));
}

TEST_CASE("a client outside dns.allow is refused and told why") {
  Server server;
  server.client = "203.0.113.5";
  QueryOptions edns;
  edns.edns = true;
  CHECK(server.ask("a.example.", "A", edns).starts_with("REFUSED\n"));
  CHECK(as_text(server.reply).find(std::string("\0\x12this client is not in dns.allow", 32)) !=
        std::string::npos);
}

TEST_CASE("without RD nothing is forwarded") {
  Server server;
  QueryOptions plain;
  plain.recursion_desired = false;
  CHECK(server.ask("a.example.", "A", plain) == "REFUSED ra\n");
}

TEST_CASE("a reply larger than the client can take is cut at whole records and says TC") {
  Server server;
  OverrideSettings many = addresses({"*.vanillax.me"}, {});
  for (int i = 0; i < 100; ++i) {
    many.addresses.push_back(IpAddress::parse("192.168.10." + std::to_string(i)).value());
  }
  server.settings.overrides.push_back(many);
  CHECK(server.ask("a.vanillax.me.", "A").starts_with("NOERROR aa tc ra\n"));
  CHECK(server.reply.size() <= 512);
  server.input.stream = true;
  CHECK(server.ask("a.vanillax.me.", "A")
            .starts_with("NOERROR aa ra\nAN a.vanillax.me. 60 IN A 192.168.10.0\n"));
  CHECK(server.reply.size() == 12 + 15 + 4 + 16 * 100);
}

TEST_CASE("an image too large for the client is cut at whole RRsets") {
  Server server;
  const Packet query = make_query("big.example.", "TXT");
  REQUIRE(server.send(query).starts_with("forward"));
  std::vector<std::string> records{"big.example. 60 IN CNAME b.example."};
  for (int i = 0; i < 5; ++i)
    records.push_back("b.example. 60 IN TXT \"" + std::string(200, 'x') + "\"");
  const Packet body = make_body("big.example.", "TXT", records);
  CHECK(server.with_fetched(query, head_of(6), body) ==
        "NOERROR tc ra\nAN big.example. 60 IN CNAME b.example.\n");
}

TEST_CASE("special-use names stay here unless a forward says otherwise") {
  Server server;
  CHECK(server.ask("localhost.", "A") == "NOERROR aa ra\nAN localhost. 600 IN A 127.0.0.1\n");
  CHECK(server.ask("x.localhost.", "AAAA") == "NOERROR aa ra\nAN x.localhost. 600 IN AAAA ::1\n");
  CHECK(server.ask("localhost.", "MX").starts_with("NOERROR aa ra\nNS localhost."));
  for (const char* local :
       {"a.onion.", "printer.local.", "x.test.", "x.invalid.", "nas.home.arpa.", "x.alt.",
        "1.10.168.192.in-addr.arpa.", "9.0.20.172.in-addr.arpa.", "1.1.64.100.in-addr.arpa.",
        "use-application-dns.net.", "1.0.d.f.ip6.arpa."}) {
    CAPTURE(local);
    CHECK(server.ask(local, "A").starts_with("NXDOMAIN aa ra\nNS "));
  }
  CHECK(
      server.ask("_dns.resolver.arpa.", "TYPE64").starts_with("NOERROR aa ra\nNS resolver.arpa."));
  CHECK(server.ask("mask.icloud.com.", "A").starts_with("forward"));
  CHECK(server.ask("1.0.32.172.in-addr.arpa.", "PTR").starts_with("forward"));

  Server other;
  other.settings.forward_names.push_back(name("home.arpa"));
  other.settings.forward_names.push_back(name("10.168.192.in-addr.arpa"));
  other.settings.canary.private_relay = true;
  other.settings.canary.firefox_doh = false;
  CHECK(other.ask("nas.home.arpa.", "A") == "forward nas.home.arpa. A");
  CHECK(other.decision.question.forward == 1);
  CHECK(other.ask("1.10.168.192.in-addr.arpa.", "PTR") == "forward 1.10.168.192.in-addr.arpa. PTR");
  CHECK(other.ask("1.11.168.192.in-addr.arpa.", "PTR").starts_with("NXDOMAIN"));
  CHECK(other.ask("mask.icloud.com.", "A").starts_with("NOERROR aa ra\nNS mask.icloud.com."));
  CHECK(other.ask("use-application-dns.net.", "A").starts_with("forward"));
}

TEST_CASE("a locally served zone has a SOA at its apex and nothing else there") {
  Server server;
  const std::string soa =
      "10.in-addr.arpa. 600 IN SOA localhost. nobody.invalid. 1 3600 1200 604800 600\n";
  CHECK(server.ask("10.in-addr.arpa.", "SOA") == "NOERROR aa ra\nAN " + soa);
  CHECK(server.ask("10.in-addr.arpa.", "NS") == "NOERROR aa ra\nNS " + soa);
  CHECK(server.ask("x.10.in-addr.arpa.", "NS") == "NXDOMAIN aa ra\nNS " + soa);
}

TEST_CASE("upstream is asked for the DS of a local zone by those who validate") {
  Server server;
  QueryOptions dnssec;
  dnssec.dnssec_ok = true;
  CHECK(server.ask("home.arpa.", "DS", dnssec) == "forward home.arpa. DS");
  CHECK(server.ask("home.arpa.", "DS").starts_with("NOERROR aa ra\nNS home.arpa."));
  CHECK(server.ask("x.home.arpa.", "DS", dnssec).starts_with("NXDOMAIN"));
  Server own;
  own.zone("home.arpa", "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\n");
  CHECK(own.ask("home.arpa.", "DS", dnssec) == "forward home.arpa. DS");
  CHECK(own.ask("home.arpa.", "DS").starts_with("NOERROR aa ra\nNS home.arpa."));
}

TEST_CASE("names above an override, a zone or a forward are not denied") {
  Server server;
  server.settings.overrides.push_back(addresses({"a.ent.pub", "*.w.ent2.pub"}, {"192.168.10.50"}));
  server.settings.forward_names.push_back(name("in.corp"));
  server.zone("lab.home.arpa", "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\n");
  CHECK(server.ask("home.arpa.", "A").starts_with("NOERROR aa ra\nNS home.arpa."));
  CHECK(server.ask("other.home.arpa.", "A").starts_with("NXDOMAIN"));
  for (const char* above : {"ent.pub.", "w.ent2.pub.", "ent2.pub.", "corp."}) {
    CAPTURE(above);
    const Packet query = make_query(above, "A");
    REQUIRE(server.send(query).starts_with("forward"));
    CHECK(server.with_fetched(query, head_of(0, 0, Rcode::kNxDomain), {}) == "NOERROR ra\n");
  }
  const Packet beside = make_query("x.ent.pub.", "A");
  REQUIRE(server.send(beside).starts_with("forward"));
  CHECK(server.with_fetched(beside, head_of(0, 0, Rcode::kNxDomain), {}) == "NXDOMAIN ra\n");
}

TEST_CASE("a zone does not deny a name that an override has, nor lead away from it") {
  Server server;
  server.settings.overrides.push_back(
      addresses({"nas.home.arpa", "alias.home.arpa"}, {"192.168.10.50"}));
  server.zone("home.arpa",
              "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\nalias CNAME ns\n");
  const std::string no_data =
      "NOERROR aa ra\nNS home.arpa. 5 IN SOA ns.home.arpa. host.home.arpa. 1 2 3 4 5\n";
  CHECK(server.ask("nas.home.arpa.", "TXT") == no_data);
  CHECK(server.ask("alias.home.arpa.", "TXT") == no_data);
}

TEST_CASE("an exception goes upstream from inside a zone and a special-use name") {
  Server server;
  server.settings.overrides.push_back(addresses({"*.home.arpa"}, {"192.168.10.50"}));
  OverrideSettings exception;
  exception.names = {name("pub.vanillax.me"), name("*.deep.vanillax.me"), name("pub.home.arpa")};
  exception.forward = true;
  server.settings.overrides.push_back(exception);
  server.zone("vanillax.me", "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\n");
  server.zone("z.deep.vanillax.me", "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.9\n");
  CHECK(server.ask("pub.vanillax.me.", "A") == "forward pub.vanillax.me. A");
  CHECK(server.ask("pub.home.arpa.", "A") == "forward pub.home.arpa. A");
  // The longest name wins here, too.
  CHECK(server.ask("a.deep.vanillax.me.", "A") == "forward a.deep.vanillax.me. A");
  CHECK(server.ask("ns.z.deep.vanillax.me.", "A").find("10.0.0.9") != std::string::npos);
}

TEST_CASE("without RD, or with no forward to go on with, the chain so far is the answer") {
  Server server;
  server.settings.forward_names.clear();
  server.zone(
      "home.arpa",
      "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\nwww CNAME ext.example.\n");
  const char* chain = "NOERROR aa ra\nAN www.home.arpa. 300 IN CNAME ext.example.\n";
  CHECK(server.ask("www.home.arpa.", "A") == chain);
  server.settings.forward_names.push_back(name("."));
  server.policy.reset();
  CHECK(server.ask("www.home.arpa.", "A") == "forward ext.example. A");
  QueryOptions no_recursion;
  no_recursion.recursion_desired = false;
  CHECK(server.ask("www.home.arpa.", "A", no_recursion) == chain);
}

TEST_CASE("a public name that leads into a zone of ours gets no private address") {
  Server server;
  server.zone("home.arpa", "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\n");
  const Packet query = make_query("evil.example.", "A");
  REQUIRE(server.send(query).starts_with("forward"));
  ImageHead head = head_of(1);
  head.continues = true;
  const Packet body = make_body("evil.example.", "A", {"evil.example. 9 IN CNAME ns.home.arpa."});
  CHECK(server.with_fetched(query, head, body) ==
        "NOERROR ra\nAN evil.example. 9 IN CNAME ns.home.arpa.\n"
        "NS home.arpa. 5 IN SOA ns.home.arpa. host.home.arpa. 1 2 3 4 5\n");
  server.settings.rebind.except.push_back(name("evil.example"));
  server.policy.reset();
  REQUIRE(server.send(query).starts_with("forward"));
  CHECK(server.with_fetched(query, head, body).find("10.0.0.1") != std::string::npos);
}

TEST_CASE("_acme-challenge below a wildcard may be a CNAME to where the records are kept") {
  Server server;
  server.settings.overrides.push_back(addresses({"*.vanillax.me"}, {"192.168.10.50"}));
  CHECK(server.ask("_acme-challenge.vanillax.me.", "CNAME") ==
        "forward _acme-challenge.vanillax.me. CNAME");
  CHECK_FALSE(server.decision.question.owned);
  CHECK(server.ask("www.vanillax.me.", "CNAME") == std::string("NOERROR aa ra\n") + kOverrideSoa);
  CHECK(server.ask("www.vanillax.me.", "TXT") == "forward www.vanillax.me. TXT");
  CHECK(server.decision.question.owned);
}

TEST_CASE("_acme-challenge below a wildcard with cname is no alias of its own") {
  Server server;
  auto rule = addresses({"*.vanillax.me"}, {});
  rule.cname = name("cdn.example");
  server.settings.overrides.push_back(rule);
  CHECK(server.ask("_acme-challenge.vanillax.me.", "CNAME") ==
        "forward _acme-challenge.vanillax.me. CNAME");
  CHECK(server.ask("_acme-challenge.vanillax.me.", "TXT") ==
        "forward _acme-challenge.vanillax.me. TXT");
  CHECK(server.ask("_acme-challenge.vanillax.me.", "A").find("cdn.example") != std::string::npos);
  CHECK(server.ask("www.vanillax.me.", "CNAME").find("CNAME cdn.example.") != std::string::npos);
  server.settings.overrides.back().other = OverrideOther::kNone;
  server.policy.reset();
  CHECK(server.ask("_acme-challenge.vanillax.me.", "TXT").starts_with("NOERROR aa ra\nNS "));
}

TEST_CASE("a proof or a SOA that does not fit is a reason for TCP") {
  Server server;
  const Packet query = make_query("big.example.", "TXT");
  REQUIRE(server.send(query).starts_with("forward"));
  std::vector<std::string> records;
  for (int i = 0; i < 2; ++i) {
    records.push_back("big.example. 60 IN TXT \"" + std::string(200, 'x') + "\"");
  }
  const Packet body = make_body("big.example.", "TXT", records,
                                {"example. 60 IN SOA a-long-name-for-a-server.example. "
                                 "another-long-name.example. 1 2 3 4 5"});
  CHECK(server.with_fetched(query, head_of(2, 1), body).starts_with("NOERROR tc ra\n"));
}

TEST_CASE("a hit on an answer too large for a datagram is prefetched like any other") {
  Server server;
  const Packet query = make_query("big.example.", "TXT");
  REQUIRE(server.send(query).starts_with("forward"));
  std::vector<std::string> records;
  for (int i = 0; i < 30; ++i) {
    records.push_back("big.example. 100 IN TXT \"" + std::string(200, 'x') + "\"");
  }
  const Packet body = make_body("big.example.", "TXT", records);
  ImageHead head = head_of(30);
  head.ttl_s = 100;
  head.body_size = static_cast<std::uint16_t>(body.size());
  server.cache.put(server.decision.question.key(), 100, {head, {}, body, {}});
  server.buffer.resize(4096);
  bool told = false;
  for (unsigned i = 0; i < kPrefetchHitsMin + 1; ++i) {
    server.input.now_s = 195;
    REQUIRE(server.send(query).starts_with("NOERROR tc"));
    told = told || server.decision.refresh;
  }
  CHECK(told);
}

TEST_CASE("the longest of zone and forward wins") {
  Server server;
  server.settings.forward_names.push_back(name("lab.home.arpa"));
  server.zone("home.arpa", "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\n");
  CHECK(server.ask("ns.home.arpa.", "A")
            .starts_with("NOERROR aa ra\nAN ns.home.arpa. 300 IN A 10.0.0.1"));
  CHECK(server.ask("x.lab.home.arpa.", "A") == "forward x.lab.home.arpa. A");
  CHECK(server.ask("x.home.arpa.", "A") ==
        "NXDOMAIN aa ra\nNS home.arpa. 5 IN SOA ns.home.arpa. host.home.arpa. 1 2 3 4 5\n");
}

TEST_CASE("fallthrough resolves what the file does not have as if the zone were not here") {
  Server server;
  server.zone("vanillax.me",
              "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\nsub NS ns.sub\n"
              "ns.sub A 10.0.0.2\n",
              true);
  CHECK(server.ask("x.sub.vanillax.me.", "A") == "forward x.sub.vanillax.me. A");
  CHECK(server.ask("ns.vanillax.me.", "A").starts_with("NOERROR aa ra\nAN ns."));
  const Packet query = make_query("ns.vanillax.me.", "TXT");
  CHECK(server.send(query) == "forward ns.vanillax.me. TXT");
  CHECK(server.with_fetched(query, head_of(0, 0, Rcode::kNxDomain), {}) == "NOERROR ra\n");
  CHECK(server.ask("other.vanillax.me.", "A") == "forward other.vanillax.me. A");
}

TEST_CASE("a chain goes through zones and overrides, and stops at a loop") {
  Server server;
  server.settings.overrides.push_back(addresses({"*.vanillax.me"}, {"192.168.10.50"}));
  server.zone("one.test",
              "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\na CNAME b.two.test.\nl "
              "CNAME m.two.test.\n");
  server.zone("two.test",
              "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\nb CNAME "
              "c.vanillax.me.\nm CNAME l.one.test.\n");
  CHECK(server.ask("a.one.test.", "A") ==
        "NOERROR aa ra\nAN a.one.test. 300 IN CNAME b.two.test.\nAN b.two.test. 300 IN CNAME "
        "c.vanillax.me.\n"
        "AN c.vanillax.me. 60 IN A 192.168.10.50\n");
  CHECK(server.ask("l.one.test.", "A") ==
        "NOERROR aa ra\nAN l.one.test. 300 IN CNAME m.two.test.\nAN m.two.test. 300 IN CNAME "
        "l.one.test.\n");
}

TEST_CASE("views give different clients different answers and different cache keys") {
  Server server;
  server.settings.views.push_back({"lan", {Network::parse("192.168.10.0/24").value()}});
  server.settings.overrides.push_back(addresses({"*.vanillax.me"}, {"192.168.10.50"}));
  server.settings.overrides.back().views = {"lan"};
  CHECK(server.ask("a.vanillax.me.", "A").starts_with("NOERROR aa ra\nAN a.vanillax.me."));
  server.client = "192.168.20.7";
  CHECK(server.ask("a.vanillax.me.", "A") == "forward a.vanillax.me. A");
  CHECK(server.policy->views[0].policy.id != server.policy->everyone.id);
}

TEST_CASE("a cache hit is the stored answer with the asker's id, case and EDNS") {
  Server server;
  const Packet query = make_query("Www.Example.", "A");
  REQUIRE(server.send(query) == "forward www.example. A");
  const Packet body = make_body("www.example.", "A", {"www.example. 60 IN A 192.0.2.1"});
  ImageHead head = head_of(1);
  head.body_size = static_cast<std::uint16_t>(body.size());
  head.ttl_count = 1;
  const std::uint16_t ttl_at = 6;  // behind pointer, type and class
  server.cache.put(server.decision.question.key(), 100, {head, {&ttl_at, 1}, body, {}});
  server.input.now_s = 110;
  CHECK(server.send(query) == "NOERROR ra\nAN Www.Example. 50 IN A 192.0.2.1\n");
  CHECK(server.decision.source == Source::kCache);
  QueryOptions dnssec;
  dnssec.dnssec_ok = true;
  CHECK(server.ask("www.example.", "A", dnssec) == "forward www.example. A");
}

TEST_CASE("stale data is kept back until upstream is slow or has failed") {
  Server server;
  const Packet query = make_query("www.example.", "A");
  REQUIRE(server.send(query).starts_with("forward"));
  const Packet body = make_body("www.example.", "A", {"www.example. 60 IN A 192.0.2.1"});
  ImageHead head = head_of(1);
  head.body_size = static_cast<std::uint16_t>(body.size());
  head.ttl_count = 1;
  const std::uint16_t ttl_at = 6;
  server.cache.put(server.decision.question.key(), 100, {head, {&ttl_at, 1}, body, {}});
  server.input.now_s = 200;
  CHECK(server.send(query).starts_with("forward"));
  CHECK(server.decision.stale_at_hand);
  server.input.allow_stale = true;
  CHECK(server.send(query) == "NOERROR ra\nAN www.example. 30 IN A 192.0.2.1\n");
  ImageHead failure = head_of(0, 0, Rcode::kServFail);
  failure.failure = true;
  server.input.allow_stale = false;
  REQUIRE(server.send(query).starts_with("forward"));
  server.input.allow_stale = true;
  CHECK(server.with_fetched(query, failure, {}) ==
        "NOERROR ra\nAN www.example. 30 IN A 192.0.2.1\n");
}

TEST_CASE("an upstream failure is SERVFAIL with its reason") {
  Server server;
  QueryOptions edns;
  edns.edns = true;
  const Packet query = make_query("www.example.", "A", edns);
  REQUIRE(server.send(query).starts_with("forward"));
  ImageHead failure = head_of(0, 0, Rcode::kServFail);
  failure.failure = true;
  failure.ede = 22;
  CHECK(server.with_fetched(query, failure, {}).starts_with("SERVFAIL ra\n"));
  CHECK(as_text(server.reply).ends_with(std::string("\0\x0f\0\2\0\x16", 6)));
}

TEST_CASE("ANY gets one RRset of ours or HINFO, never upstream's") {
  Server server;
  server.settings.overrides.push_back(addresses({"*.vanillax.me"}, {"192.168.10.50"}));
  CHECK(server.ask("a.vanillax.me.", "ANY") ==
        "NOERROR aa ra\nAN a.vanillax.me. 60 IN A 192.168.10.50\n");
  CHECK(server.ask("www.example.", "ANY") ==
        "NOERROR ra\nAN www.example. 3600 IN HINFO \"RFC8482\" \"\"\n");
}

TEST_CASE("class CH tells version and id as configured and nothing else") {
  Server server;
  server.settings.identity.version = "Postern";
  QueryOptions chaos;
  chaos.klass = LDNS_RR_CLASS_CH;
  CHECK(server.ask("version.bind.", "TXT", chaos) ==
        "NOERROR aa ra\nAN version.bind. 0 CH TXT \"Postern\"\n");
  CHECK(server.ask("VERSION.server.", "TXT", chaos) ==
        "NOERROR aa ra\nAN VERSION.server. 0 CH TXT \"Postern\"\n");
  CHECK(server.ask("id.server.", "TXT", chaos) == "REFUSED ra\n");
  CHECK(server.ask("authors.bind.", "TXT", chaos) == "REFUSED ra\n");
  chaos.klass = LDNS_RR_CLASS_HS;
  CHECK(server.ask("www.example.", "A", chaos) == "REFUSED ra\n");
}

TEST_CASE("transfers and types that are no data are turned down") {
  Server server;
  CHECK(server.ask("example.", "AXFR") == "REFUSED ra\n");
  CHECK(server.ask("example.", "IXFR") == "REFUSED ra\n");
  CHECK(server.ask("example.", "MAILA") == "NOTIMPL ra\n");
  CHECK(server.ask("example.", "TYPE41") == "FORMERR ra\n");
}

TEST_CASE("malformed queries get the rcode of RFC 8906 or silence") {
  Server server;
  Packet query = make_query("www.example.", "A");
  query[2] = 0x79;  // opcode 15, RD
  CHECK(server.send(query) == "NOTIMPL ra\n");
  CHECK(server.reply.size() == 12);
  query[2] = 0x81;
  CHECK(server.send(query) == "silence");
  query[2] = 0x01;
  query[5] = 2;
  CHECK(server.send(query) == "FORMERR ra\n");
  QueryOptions edns;
  edns.edns = true;
  Packet version = make_query("www.example.", "A", edns);
  version[version.size() - 5] = 1;
  server.send(version);
  CHECK((server.reply[3] & 15) == 0);
  CHECK(server.reply[server.reply.size() - 6] == 1);  // extended rcode: BADVERS is 16
  CHECK(server.reply[server.reply.size() - 5] == 0);  // and the version that we speak
  CHECK(server.send(Packet(11)) == "silence");
}

TEST_CASE("a referral is not authoritative and brings glue") {
  Server server;
  server.zone("home.arpa",
              "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\nsub NS ns.sub\nns.sub A "
              "10.0.0.2\n");
  CHECK(server.ask("x.sub.home.arpa.", "A") ==
        "NOERROR ra\nNS sub.home.arpa. 300 IN NS ns.sub.home.arpa.\nAR ns.sub.home.arpa. 300 IN A "
        "10.0.0.2\n");
}

TEST_CASE("additional addresses come along with MX, SRV and HTTPS of a zone") {
  Server server;
  server.zone(
      "home.arpa",
      "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n@ MX 5 ns\nns A 10.0.0.1\nns AAAA fd00::1\n"
      "_s._tcp SRV 0 0 80 ns\nweb HTTPS 1 . alpn=h2\nweb A 10.0.0.2\n");
  const char* both = "AR ns.home.arpa. 300 IN A 10.0.0.1\nAR ns.home.arpa. 300 IN AAAA fd00::1\n";
  CHECK(server.ask("home.arpa.", "MX") ==
        std::string("NOERROR aa ra\nAN home.arpa. 300 IN MX 5 ns.home.arpa.\n") + both);
  CHECK(server.ask("_s._tcp.home.arpa.", "SRV").ends_with(both));
  server.settings.overrides.push_back(addresses({"ns.home.arpa"}, {"192.168.10.50"}));
  server.policy.reset();
  CHECK(server.ask("home.arpa.", "MX").ends_with(" IN MX 5 ns.home.arpa.\n"));
  CHECK(server.ask("web.home.arpa.", "TYPE65").ends_with("AR web.home.arpa. 300 IN A 10.0.0.2\n"));
}

TEST_CASE("DNAME gives a CNAME made for the name, and YXDOMAIN when that is too long") {
  Server server;
  server.zone(
      "home.arpa",
      "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 10.0.0.1\nold DNAME new\na.new A 10.0.0.3\n"
      "long DNAME " +
          std::string(60, 'x') + "." + std::string(60, 'y') + "." + std::string(60, 'z') + "\n");
  CHECK(server.ask("a.old.home.arpa.", "A") ==
        "NOERROR aa ra\nAN old.home.arpa. 300 IN DNAME new.home.arpa.\nAN a.old.home.arpa. 300 IN "
        "CNAME "
        "a.new.home.arpa.\nAN a.new.home.arpa. 300 IN A 10.0.0.3\n");
  const std::string deep = std::string(62, 'a') + ".long.home.arpa.";
  CHECK(
      server.ask(deep.c_str(), "A").starts_with("YXDOMAIN aa ra\nAN long.home.arpa. 300 IN DNAME"));
}

}  // namespace postern::dns
