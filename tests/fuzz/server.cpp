#include "server.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <unistd.h>

#include "check.h"
#include "dns/message.h"
#include "dns/policy.h"
#include "dns/svcb.h"
#include "dns/zone.h"

namespace postern::fuzz {
namespace {

using dns::Name;

// Addresses of our own are public ones: a private one in a reply came from outside.
constexpr const char* kHomeZone = R"($TTL 1h
@        IN SOA ns admin 1 1h 10m 1w 5m
         IN NS  ns
ns       IN A   203.0.113.2
www      IN A   203.0.113.3
         IN AAAA 2001:db8::3
         IN HTTPS 1 . alpn=h2 port=8443
files    IN CNAME www
far      IN CNAME www.example.com.
edit     IN CNAME x.edit.example.
*.wild   IN MX 10 mail
mail     IN A 203.0.113.4
_s._tcp  IN SRV 0 1 443 www
dn       IN DNAME target.example.
inner    IN DNAME www
sub      IN NS ns.sub
         IN NS ns.example.net.
ns.sub   IN A 203.0.113.5
a.b.c    IN TXT "an empty non-terminal above"
loop1    IN CNAME loop2
loop2    IN CNAME loop1
alias    IN HTTPS 0 www
)";

constexpr const char* kFallZone = R"($TTL 60
@    IN SOA ns admin 1 1h 10m 1w 5m
     IN NS  ns
ns   IN A   203.0.113.6
here IN A   203.0.113.7
)";

Name name(const std::string& text) { return Name::parse(text).value(); }
IpAddress address(const char* text) { return IpAddress::parse(text).value(); }

std::string home_zone_text() {
  std::string text = kHomeZone;
  for (int i = 0; i < 40; ++i) text += fmt::format("big IN TXT \"{:0200}\"\n", i);
  for (int i = 0; i < 30; ++i) text += fmt::format("hosts IN A 203.0.113.{}\n", 100 + i);
  return text;
}

std::shared_ptr<const dns::Zone> zone_of(const char* apex, const std::string& text) {
  const std::string path = std::filesystem::temp_directory_path() /
                           ("postern-fuzz-answer-" + std::to_string(::getpid()));
  std::ofstream(path) << text;
  dns::ZoneLoad load = dns::load_zone(path, name(apex).view());
  std::filesystem::remove(path);
  for (const dns::ZoneProblem& problem : load.problems) {
    if (!problem.warning) std::fprintf(stderr, "%s\n", problem.to_string().c_str());
  }
  require(load.zone != nullptr, "the fuzzer's own zones are good");
  return load.zone;
}

dns::OverrideSettings addresses(std::initializer_list<const char*> names,
                                std::initializer_list<const char*> ips) {
  dns::OverrideSettings rule;
  for (const char* text : names) rule.names.push_back(name(text));
  for (const char* ip : ips) rule.addresses.push_back(address(ip));
  return rule;
}

dns::OverrideSettings alias(const std::string& from, const std::string& to) {
  dns::OverrideSettings rule;
  rule.names.push_back(name(from));
  rule.cname = name(to);
  return rule;
}

std::vector<dns::OverrideSettings> overrides() {
  std::vector<dns::OverrideSettings> rules;
  rules.push_back(addresses({"vanillax.me", "*.vanillax.me"}, {"203.0.113.50", "2001:db8::50"}));
  rules.push_back(addresses({"edit.example", "*.edit.example"}, {"203.0.113.51"}));
  rules.back().https = dns::OverrideHttps::kEdit;
  rules.push_back(addresses({"none.example"}, {"2001:db8::52"}));
  rules.back().https = dns::OverrideHttps::kNone;
  rules.back().other = dns::OverrideOther::kNone;
  rules.push_back(addresses({"kids.example"}, {"203.0.113.53"}));
  rules.back().views.push_back("kids");
  rules.emplace_back();
  rules.back().names.push_back(name("status.vanillax.me"));
  rules.back().forward = true;
  rules.push_back(alias("*.alias.home.example", "www.home.arpa"));
  rules.push_back(alias("out.home.example", "named.example.net"));
  rules.push_back(alias("a.loop.example", "b.loop.example"));
  rules.push_back(alias("b.loop.example", "a.loop.example"));
  for (int i = 0; i < 20; ++i) {
    rules.push_back(
        alias(fmt::format("c{}.chain.example", i), fmt::format("c{}.chain.example", i + 1)));
  }
  return rules;
}

dns::PolicySettings common_settings() {
  dns::PolicySettings settings;
  settings.allow.push_back(Network::parse("192.168.0.0/16").value());
  settings.allow.push_back(Network::parse("2001:db8::/32").value());
  settings.views.push_back({"kids", {Network::parse("192.168.20.0/24").value()}});
  settings.overrides = overrides();
  for (const char* apex : {"home.arpa", "fall.example"}) {
    settings.zones.emplace_back();
    settings.zones.back().name = name(apex);
  }
  settings.zones.back().fallthrough = true;
  settings.forward_names = {name("."), name("corp.example"), name("fwd.home.arpa")};
  settings.identity.version = "fuzzed";
  return settings;
}

World make_world(const dns::PolicySettings& settings) {
  static const std::vector<std::shared_ptr<const dns::Zone>> zones{
      zone_of("home.arpa", home_zone_text()), zone_of("fall.example", kFallZone)};
  World made;
  made.policy = dns::compile_policy(settings, zones);
  made.cache = std::make_unique<dns::Cache>(dns::CacheSettings{.size_bytes = 2U << 20});
  return made;
}

std::array<World, 4> make_worlds() {
  dns::PolicySettings plain = common_settings();
  dns::PolicySettings excepting = common_settings();
  excepting.svcb.except.push_back(name("kept.example"));
  excepting.svcb.drop_keys = {dns::kSvcEch, 65400};
  excepting.rebind.except.push_back(name("rebind.example"));
  dns::PolicySettings preserving = common_settings();
  preserving.svcb.signed_answers = dns::SignedAnswers::kPreserve;
  preserving.udp_payload = 4096;
  dns::PolicySettings open = common_settings();
  open.rebind.enabled = false;
  open.svcb.strip_alpn.clear();
  open.forward_names = {name("example"), name("example.com")};
  std::array<World, 4> worlds{make_world(plain), make_world(excepting), make_world(preserving),
                              make_world(open)};
  worlds[1].strips_h3 = false;
  worlds[1].guards_rebinding = false;
  worlds[2].preserves_signed = true;
  worlds[3].strips_h3 = false;
  worlds[3].guards_rebinding = false;
  return worlds;
}

bool is_private(Bytes a) {
  if (a.size() == 4) {
    return a[0] == 10 || a[0] == 127 || (a[0] == 192 && a[1] == 168) ||
           (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 169 && a[1] == 254) ||
           (a[0] == 100 && (a[1] & 0xc0) == 64);
  }
  if (a.size() != 16) return false;
  const bool first_zero = std::all_of(a.begin(), a.begin() + 10, [](auto c) { return c == 0; });
  if (first_zero && a[10] == 0xff && a[11] == 0xff) return is_private(a.subspan(12));
  const bool loopback = first_zero && load_u32(a.data() + 10) == 0 && load_u16(a.data() + 14) == 1;
  return (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || loopback;
}

bool has_private_hint(const WireParam& param) {
  const std::size_t size =
      param.key == dns::kSvcIpv4Hint ? 4U : (param.key == dns::kSvcIpv6Hint ? 16U : 0U);
  if (size == 0) return false;
  for (std::size_t at = 0; at + size <= param.value.size(); at += size) {
    if (is_private(param.value.subspan(at, size))) return true;
  }
  return false;
}

}  // namespace

World& world(std::size_t number) {
  static std::array<World, 4> worlds = make_worlds();
  return worlds[number % worlds.size()];
}

IpAddress client(unsigned number) {
  static const std::array<IpAddress, 4> kClients{address("192.168.10.7"), address("192.168.20.7"),
                                                 address("2001:db8::7"), address("198.51.100.7")};
  return kClients[number % kClients.size()];
}

void fit_to_question(const dns::ForwardQuestion& question, std::vector<std::uint8_t>* response) {
  std::vector<std::uint8_t> fitted(response->begin(), response->begin() + dns::kHeaderBytes);
  fitted[2] = static_cast<std::uint8_t>((fitted[2] & 0x07) | 0x80);  // QR, opcode QUERY
  store_u16(fitted.data() + 4, 1);
  const Bytes name = question.name.name().wire();
  fitted.insert(fitted.end(), name.begin(), name.end());
  fitted.resize(fitted.size() + 4);
  store_u16(&fitted[fitted.size() - 4], static_cast<std::uint16_t>(question.type));
  store_u16(&fitted[fitted.size() - 2], static_cast<std::uint16_t>(question.klass));
  std::size_t at = dns::kHeaderBytes;
  std::string old;
  if (walk_name(*response, &at, &old) && at + 4 <= response->size()) {
    fitted.insert(fitted.end(), response->begin() + static_cast<std::ptrdiff_t>(at) + 4,
                  response->end());
  }
  *response = std::move(fitted);
}

bool ReplyCheck::asks_one_question() const {
  if (!query_reads_ || query_.questions.size() != 1 || (query_.flags & dns::kOpcodeMask) != 0) {
    return false;
  }
  // There is nothing before the first name that it could point at.
  const std::size_t size = query_.questions[0].name.size();
  std::size_t at = dns::kHeaderBytes;
  std::string name;
  return walk_name(query_bytes_, &at, &name) && at == dns::kHeaderBytes + size;
}

void ReplyCheck::check_header() {
  constexpr std::uint16_t kZeroBit = 0x0040;
  require(reply_.id == load_u16(query_bytes_.data()), "the id is the query's");
  require((reply_.flags & dns::kFlagQr) != 0, "a reply says so");
  const std::uint16_t same = dns::kOpcodeMask | dns::kFlagRd | dns::kFlagCd;
  require(((reply_.flags ^ load_u16(query_bytes_.data() + 2)) & same) == 0,
          "opcode, RD and CD are the query's");
  require((reply_.flags & kZeroBit) == 0, "the bit that has to be zero is");
  require((reply_.flags & dns::kRcodeMask) ==
              (static_cast<unsigned>(decision_.rcode) & dns::kRcodeMask),
          "the reply has the rcode that was decided");
  if (!world_.policy->allows(client_)) {
    require(decision_.rcode == dns::Rcode::kRefused, "a client that is not allowed is refused");
  }
}

void ReplyCheck::check_question() {
  require(reply_.questions.size() <= 1, "a reply has one question at most");
  if (asks_one_question()) {
    require(reply_.questions.size() == 1, "a question is in its reply");
  }
  if (reply_.questions.empty()) return;
  const std::size_t size = reply_.questions[0].name.size() + 4;
  require(query_bytes_.size() >= dns::kHeaderBytes + size &&
              equal_bytes(reply_bytes_.subspan(dns::kHeaderBytes, size),
                          query_bytes_.subspan(dns::kHeaderBytes, size)),
          "the question is byte for byte the query's");
}

void ReplyCheck::check_edns() {
  const auto is_opt = [](const WireRecord& record) { return record.type == kTypeOpt; };
  const auto asked = std::count_if(query_.records.begin(), query_.records.end(), is_opt);
  const auto said = std::count_if(reply_.records.begin(), reply_.records.end(), is_opt);
  require(said <= 1, "a reply has one OPT record at most");
  const bool decided = world_.policy->allows(client_) && decision_.rcode != dns::Rcode::kFormErr;
  if (asks_one_question() && decided) {
    require(said == asked, "a reply has EDNS when the query has");
  }
  if (said == 0) return;
  const WireRecord& opt = reply_.records.back();
  require(opt.type == kTypeOpt && opt.section == 3 && opt.owner.size() == 1,
          "OPT is the last record and belongs to the root");
  require((opt.ttl >> 24) == static_cast<unsigned>(decision_.rcode) >> 4,
          "OPT has the high bits of the rcode");
  require(opt.klass == world_.policy->udp_payload, "OPT says what this server takes");
}

void ReplyCheck::check_size() {
  require(reply_.end == reply_bytes_.size(), "nothing stands behind the last record");
  if (stream_) return;
  std::size_t limit = dns::kUdpPayloadMin;
  for (const WireRecord& record : query_.records) {
    if (record.type == kTypeOpt)
      limit = std::max<std::size_t>(limit, std::min(record.klass, world_.policy->udp_payload));
  }
  if (!query_reads_) limit = world_.policy->udp_payload;
  require(reply_bytes_.size() <= limit, "a reply by UDP is not longer than the client takes");
}

// From the question along CNAMEs, and nothing beside it.
void ReplyCheck::check_chain() {
  if (reply_.questions.empty()) return;
  std::vector<std::string> names{reply_.questions[0].name};
  std::vector<std::string> cuts;
  const auto has = [](const std::vector<std::string>& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  bool data = false;
  for (const WireRecord& record : reply_.records) {
    if (record.section != 1) continue;
    if (record.type == kTypeDname && !has(names, record.owner)) {
      require(std::any_of(
                  names.begin(), names.end(),
                  [&](const std::string& below) { return wire_at_or_below(below, record.owner); }),
              "a DNAME stands above a name of the chain");
      cuts.push_back(record.owner);
      continue;
    }
    const bool signs_cut = record.type == kTypeRrsig && has(cuts, record.owner);
    require(signs_cut || has(names, record.owner), "an answer is about a name of the chain");
    data = data || (record.type != kTypeCname && record.type != kTypeRrsig);
    if (record.type != kTypeCname) continue;
    std::size_t at = record.rdata_at;
    std::string target;
    require(walk_name(reply_bytes_, &at, &target), "a CNAME has a target");
    names.push_back(target);
  }
  require(!data || decision_.rcode != dns::Rcode::kNxDomain,
          "a name that does not exist has no data");
}

void ReplyCheck::check_ttls() {
  constexpr std::uint32_t kTtlMax = 86400;
  for (const WireRecord& record : reply_.records) {
    require(record.type == kTypeOpt || record.ttl <= kTtlMax, "TTLs are within their limit");
  }
}

bool ReplyCheck::any_name_below(const std::string& parent) const {
  const auto below = [&](const std::string& one) { return wire_at_or_below(one, parent); };
  return std::any_of(reply_.questions.begin(), reply_.questions.end(),
                     [&](const WireQuestion& question) { return below(question.name); }) ||
         std::any_of(reply_.records.begin(), reply_.records.end(),
                     [&](const WireRecord& record) { return below(record.owner); });
}

void ReplyCheck::check_addresses() {
  static const std::string kCorp = wire_of("corp.example");
  static const std::string kForwarded = wire_of("fwd.home.arpa");
  static const std::string kLocalhost = wire_of("localhost");
  static const std::string kNamed = wire_of("named.example.net");  // in a cname override
  if (!world_.guards_rebinding || any_name_below(kCorp) || any_name_below(kForwarded) ||
      any_name_below(kLocalhost) || any_name_below(kNamed)) {
    return;
  }
  for (const WireRecord& record : reply_.records) {
    const bool address = record.type == kTypeA || record.type == kTypeAaaa;
    require(!address || record.klass != 1 || !is_private(record.rdata),
            "no private address comes from outside");
  }
}

void ReplyCheck::check_service(const WireRecord& record) {
  static const std::string kEdit = wire_of("edit.example");
  std::uint16_t priority = 0;
  std::string target;
  std::vector<WireParam> params;
  require(walk_svcb(record.rdata, &priority, &target, &params), "an HTTPS record can be read");
  const bool edited = record.section == 1 && wire_at_or_below(record.owner, kEdit);
  for (const WireParam& param : params) {
    if (priority == 0) break;
    require(!world_.guards_rebinding || !has_private_hint(param), "no private hint comes in");
    require(!edited || (param.key != dns::kSvcEch && param.key != dns::kSvcIpv4Hint &&
                        param.key != dns::kSvcIpv6Hint),
            "for an override there is neither ECH nor an address hint");
    if (param.key != dns::kSvcAlpn || !world_.strips_h3) continue;
    for (const std::string& id : alpn_ids(param.value)) {
      require(id != "h3" && !id.starts_with("h3-"), "no h3 comes in");
    }
  }
  require(!edited || priority != 0 || target.size() > 1,
          "for an override there is no alias to nowhere");
}

void ReplyCheck::check_services() {
  static const std::string kCorp = wire_of("corp.example");
  const bool signed_ones =
      world_.preserves_signed &&
      std::any_of(query_.records.begin(), query_.records.end(), [](const WireRecord& record) {
        return record.type == kTypeOpt && (record.ttl & 0x8000U) != 0;
      });
  const bool excepted =
      world_.policy->svcb_except.size() > 0 && any_name_below(wire_of("kept.example"));
  static const std::string kNamed = wire_of("named.example.net");  // in a cname override
  if (signed_ones || excepted || any_name_below(kCorp) || any_name_below(kNamed)) return;
  for (const WireRecord& record : reply_.records) {
    const bool service = record.type == kTypeHttps || record.type == kTypeSvcb;
    if (service && record.klass == 1 && record.section != 2) check_service(record);
  }
}

void ReplyCheck::run() {
  query_reads_ = walk_message(query_bytes_, &query_);
  require(walk_message(reply_bytes_, &reply_), "a reply can be read");
  check_header();
  check_question();
  check_edns();
  check_size();
  check_chain();
  check_ttls();
  check_addresses();
  check_services();
}

}  // namespace postern::fuzz
