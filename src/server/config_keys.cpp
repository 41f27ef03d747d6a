// Every key there is. To add one: a field in the settings struct of the code that obeys it, a line
// here.
#include <array>

#include "server/config_document.h"
#include "server/config_gateway.h"
#include "server/config_query_log.h"

namespace postern::server {
namespace {

constexpr std::uint64_t kHour = 3600, kDay = 86'400, kWeek = 604'800;

// [server]

constexpr std::array<Choice<LogLevel>, 5> kLogLevels{{{"error", LogLevel::kError},
                                                      {"warning", LogLevel::kWarning},
                                                      {"warn", LogLevel::kWarning},
                                                      {"info", LogLevel::kInfo},
                                                      {"debug", LogLevel::kDebug}}};
constexpr std::array<Choice<LogFormat>, 2> kLogFormats{
    {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}};

constexpr std::array<Key<LogSettings>, 4> kLogKeys{{
    {"level", field<&LogSettings::level, choice<kLogLevels, LogLevel>>},
    {"format", field<&LogSettings::format, choice<kLogFormats, LogFormat>>},
    {"queries", field<&LogSettings::queries, read_boolean>},
    {"requests", field<&LogSettings::requests, read_boolean>},
}};

void read_workers(Reader& reader, const Node& node, ServerSettings& server) {
  if (node.kind == Node::Kind::kString && node.text == "auto") {
    server.workers = 0;
  } else if (node.kind == Node::Kind::kString) {
    reader.error(node.place, fmt::format("{}: no such choice '{}'; allowed: \"auto\" or an integer "
                                         "from 1 to 256, without quotes",
                                         reader.path(), node.text));
  } else {
    integer<1, 256>(reader, node, &server.workers);
  }
}

void read_user(Reader& reader, const Node& node, ServerSettings& server) {
  server.user_given = read_text(reader, node, &server.user);
}

void read_state_dir(Reader& reader, const Node& node, ServerSettings& server) {
  if (!read_text(reader, node, &server.state_dir)) return;
  reader.warning(node.place,
                 fmt::format("{} is taken, and nothing is kept there yet; what is served "
                             "comes from the configuration alone",
                             reader.path()));
}

Result<std::optional<Endpoint>> parse_admin(std::string_view text) {
  if (text.empty()) return std::optional<Endpoint>();
  if (auto clear = check_brackets(text); !clear) return tl::unexpected(clear.error());
  const auto endpoint = Endpoint::parse(text, 9153);
  if (endpoint) return std::optional<Endpoint>(*endpoint);
  return fail(
      Code::kInvalid,
      fmt::format(
          "'{}' is not an address with a port; write \"IP:port\", \"[IPv6]:port\", or \"\" for off",
          text));
}

constexpr std::array<Key<ServerSettings>, 7> kServerKeys{{
    {"workers", read_workers},
    {"user", read_user},
    {"log", table<&ServerSettings::log, kLogKeys>},
    {"admin", field<&ServerSettings::admin, parsed<parse_admin, std::optional<Endpoint>>>},
    {"admin_token_file", field<&ServerSettings::admin_token_file, read_text>},
    {"state_dir", read_state_dir},
    {"watch", field<&ServerSettings::watch, read_boolean>},
}};

// Addresses and networks

Result<Endpoint> parse_listen(std::string_view text) {
  if (auto clear = check_brackets(text); !clear) return tl::unexpected(clear.error());
  auto endpoint = Endpoint::parse(text, 53);
  if (endpoint) return endpoint;
  return fail(
      Code::kInvalid,
      fmt::format("'{}' is not an address with a port; write \"IP:port\" or \"[IPv6]:port\"",
                  text));
}

constexpr auto kReadListenList = list<parsed<parse_listen, Endpoint>, Endpoint>;
constexpr auto kReadDomains = unique_list<parsed<parse_domain, dns::Name>, dns::Name>;
constexpr auto kReadTexts = list<read_text, std::string>;
constexpr auto kReadViewNames = unique_list<read_text, std::string>;

// [dns.cache]

constexpr std::array<Key<dns::CacheSettings>, 6> kCacheKeys{{
    {"size", field<&dns::CacheSettings::size_bytes, bytes<1U << 20, 1ULL << 40, std::size_t>>},
    {"min_ttl", field<&dns::CacheSettings::min_ttl_s, seconds<0, kDay>>},
    {"max_ttl", field<&dns::CacheSettings::max_ttl_s, seconds<1, kWeek>>},
    {"negative_ttl", field<&dns::CacheSettings::negative_ttl_s, seconds<0, kDay>>},
    {"serve_stale", field<&dns::CacheSettings::serve_stale_s, seconds<0, kWeek>>},
    {"prefetch", field<&dns::CacheSettings::prefetch, read_boolean>},
}};

// [[dns.override]]

constexpr std::array<Choice<dns::OverrideHttps>, 3> kOverrideHttps{
    {{"gateway", dns::OverrideHttps::kGateway},
     {"none", dns::OverrideHttps::kNone},
     {"edit", dns::OverrideHttps::kEdit}}};
constexpr std::array<Choice<dns::OverrideOther>, 2> kOverrideOther{
    {{"forward", dns::OverrideOther::kForward}, {"none", dns::OverrideOther::kNone}}};

bool read_cname(Reader& reader, const Node& node, std::optional<dns::Name>* out) {
  if (node.kind == Node::Kind::kString && IpAddress::parse(node.text)) {
    reader.error(node.place,
                 fmt::format("{}: '{}' is an address, not a name; write address = [\"{}\"]",
                             reader.path(), node.text, node.text));
    return false;
  }
  dns::Name name;
  if (!parsed<parse_domain>(reader, node, &name)) return false;
  *out = std::move(name);
  return true;
}

using dns::OverrideSettings;
constexpr std::array<Key<OverrideSettings>, 8> kOverrideKeys{{
    {"names",
     field<&OverrideSettings::names, list<parsed<parse_override_name, dns::Name>, dns::Name>>},
    {"address",
     field<&OverrideSettings::addresses, unique_list<parsed<parse_address, IpAddress>, IpAddress>>},
    {"cname", field<&OverrideSettings::cname, read_cname>},
    {"forward", field<&OverrideSettings::forward, read_boolean>},
    {"ttl", field<&OverrideSettings::ttl_s, seconds<0, kWeek>>},
    {"https", field<&OverrideSettings::https, choice<kOverrideHttps, dns::OverrideHttps>>},
    {"other", field<&OverrideSettings::other, choice<kOverrideOther, dns::OverrideOther>>},
    {"views", field<&OverrideSettings::views, kReadViewNames>},
}};

// [[dns.zone]]

constexpr std::array<Key<dns::ZoneSettings>, 4> kZoneKeys{{
    {"name", field<&dns::ZoneSettings::name, parsed<parse_domain, dns::Name>>},
    {"file", field<&dns::ZoneSettings::file, read_text>},
    {"fallthrough", field<&dns::ZoneSettings::fallthrough, read_boolean>},
    {"views", field<&dns::ZoneSettings::views, kReadViewNames>},
}};

// [[dns.forward]]

constexpr std::array<Choice<nameserver::UpstreamPolicy>, 3> kUpstreamPolicies{
    {{"fastest", nameserver::UpstreamPolicy::kFastest},
     {"sequential", nameserver::UpstreamPolicy::kSequential},
     {"round_robin", nameserver::UpstreamPolicy::kRoundRobin}}};

constexpr std::array<Key<ForwardEntry>, 4> kForwardKeys{{
    {"name", field<&ForwardEntry::names, parsed<parse_forward_names, std::vector<dns::Name>>>},
    {"upstreams", field<&ForwardEntry::upstreams,
                        unique_list<parsed<parse_upstream, nameserver::UpstreamSettings>,
                                    nameserver::UpstreamSettings>>},
    {"policy", field<&ForwardEntry::policy, choice<kUpstreamPolicies, nameserver::UpstreamPolicy>>},
    {"timeout", field<&ForwardEntry::timeout_ms, milliseconds<100, 30'000, std::uint32_t>>},
}};

// [dns.svcb]

constexpr std::array<Choice<dns::SignedAnswers>, 2> kSignedAnswers{
    {{"edit", dns::SignedAnswers::kEdit}, {"preserve", dns::SignedAnswers::kPreserve}}};

Result<std::string> parse_alpn_pattern(std::string_view text) {
  if (!text.empty() && text.size() <= 255 && text.find('*') >= text.size() - 1) {
    return std::string(text);
  }
  return fail(Code::kInvalid,
              fmt::format("'{}' is not an alpn id; write one like \"h3\", or \"h3-*\" "
                          "for all that begin with it",
                          text));
}

Result<std::uint16_t> parse_drop_key(std::string_view text) {
  auto key = dns::parse_svc_key(text);
  if (key && *key != dns::kSvcMandatory) return key;
  return fail(Code::kInvalid,
              fmt::format("'{}' is not a key that can be dropped; allowed: \"alpn\", "
                          "\"no-default-alpn\", \"port\", \"ipv4hint\", \"ech\", "
                          "\"ipv6hint\", \"key7\" to \"key65534\"",
                          text));
}

using dns::SvcbSettings;
constexpr std::array<Key<SvcbSettings>, 4> kSvcbKeys{{
    {"strip_alpn", field<&SvcbSettings::strip_alpn,
                         unique_list<parsed<parse_alpn_pattern, std::string>, std::string>>},
    {"drop_keys", field<&SvcbSettings::drop_keys,
                        unique_list<parsed<parse_drop_key, std::uint16_t>, std::uint16_t>>},
    {"except", field<&SvcbSettings::except, kReadDomains>},
    {"signed", field<&SvcbSettings::signed_answers, choice<kSignedAnswers, dns::SignedAnswers>>},
}};

// [dns.canary], [[dns.view]], [dns.limits], dns.identity

constexpr std::array<Key<dns::CanarySettings>, 2> kCanaryKeys{{
    {"firefox_doh", field<&dns::CanarySettings::firefox_doh, read_boolean>},
    {"private_relay", field<&dns::CanarySettings::private_relay, read_boolean>},
}};

constexpr std::array<Key<dns::ViewSettings>, 2> kViewKeys{{
    {"name", field<&dns::ViewSettings::name, read_text>},
    {"clients", field<&dns::ViewSettings::clients, kReadNetworks>},
}};

constexpr std::array<Key<dns::RebindSettings>, 2> kRebindKeys{{
    {"enabled", field<&dns::RebindSettings::enabled, read_boolean>},
    {"except", field<&dns::RebindSettings::except, kReadDomains>},
}};

void read_rebind(Reader& reader, const Node& node, Config& config) {
  read_table(reader, node, kRebindKeys, config.policy.rebind);
}

template <auto Pointer, auto Read>
void limit(Reader& reader, const Node& node, Config& config) {
  Read(reader, node, &(config.limits.*Pointer));
}

constexpr std::array<Key<Config>, 5> kLimitKeys{{
    {"qps_per_client", limit<&DnsLimits::qps_per_client, integer<0, 1'000'000, std::uint32_t>>},
    {"tcp_clients", limit<&DnsLimits::tcp_clients, integer<1, 1'000'000, std::uint32_t>>},
    {"tcp_idle", limit<&DnsLimits::tcp_idle_ms, milliseconds<100, kHour * 1000, std::uint32_t>>},
    {"outstanding", limit<&DnsLimits::outstanding, integer<1, 1'000'000, std::uint32_t>>},
    {"rebind_protection", read_rebind},
}};

bool read_identity_text(Reader& reader, const Node& node, std::optional<std::string>* out) {
  std::string text;
  if (!read_text(reader, node, &text)) return false;
  if (text.size() > 255) {
    reader.error(node.place, fmt::format("{} is {} bytes long; allowed: 255 at most", reader.path(),
                                         text.size()));
    return false;
  }
  if (!text.empty()) *out = std::move(text);
  return true;
}

constexpr std::array<Key<dns::IdentitySettings>, 2> kIdentityKeys{{
    {"version", field<&dns::IdentitySettings::version, read_identity_text>},
    {"id", field<&dns::IdentitySettings::id, read_identity_text>},
}};

// [dns]

constexpr std::string_view kTlsRemedy = "remove it; UDP and TCP are served on dns.listen";

void read_listen(Reader& reader, const Node& node, Document& document) {
  document.listen = &node;
  kReadListenList(reader, node, &document.config.listen);
}

void read_allow(Reader& reader, const Node& node, Document& document) {
  document.allow = &node;
  kReadNetworks(reader, node, &document.config.policy.allow);
}

void read_udp_payload(Reader& reader, const Node& node, Document& document) {
  integer<512, 4096>(reader, node, &document.config.policy.udp_payload);
}

void read_cache(Reader& reader, const Node& node, Document& document) {
  document.cache = &node;
  read_table(reader, node, kCacheKeys, document.config.cache);
}

template <auto Pointer, const auto& Keys>
void policy_table(Reader& reader, const Node& node, Document& document) {
  read_table(reader, node, Keys, document.config.policy.*Pointer);
}

void read_limits(Reader& reader, const Node& node, Document& document) {
  read_table(reader, node, kLimitKeys, document.config);
}

using dns::PolicySettings;
constexpr std::array<Key<Document>, 16> kDnsKeys{{
    {"listen", read_listen},
    {"allow", read_allow},
    {"udp_payload", read_udp_payload},
    {"identity", policy_table<&PolicySettings::identity, kIdentityKeys>},
    {"tls", not_built_yet<kTlsRemedy>},
    {"https", not_built_yet<kTlsRemedy>},
    {"cache", read_cache},
    {"override", elements<&Document::overrides, kOverrideKeys>},
    {"zone", elements<&Document::zones, kZoneKeys>},
    {"forward", elements<&Document::forwards, kForwardKeys>},
    {"svcb", policy_table<&PolicySettings::svcb, kSvcbKeys>},
    {"canary", policy_table<&PolicySettings::canary, kCanaryKeys>},
    {"view", elements<&Document::views, kViewKeys>},
    {"limits", read_limits},
    {"query_log", read_query_log},
    {"dnstap", read_dnstap},
}};

// The file

void read_include(Reader& reader, const Node& node, Document& document) {
  std::vector<std::string> patterns;
  if (kReadTexts(reader, node, &patterns)) document.include = &node;
}

void read_server(Reader& reader, const Node& node, Document& document) {
  for (const std::string_view key : {"admin", "user"}) {
    const Node* value = node.find(key);
    if (value != nullptr) (key == "admin" ? document.admin : document.user) = value;
  }
  if (const Node* file = node.find("admin_token_file")) document.admin_token = file;
  read_table(reader, node, kServerKeys, document.config.server);
}

void read_dns(Reader& reader, const Node& node, Document& document) {
  read_table(reader, node, kDnsKeys, document);
}

constexpr std::array<Key<Document>, 5> kFileKeys{{
    {"include", read_include},
    {"server", read_server},
    {"dns", read_dns},
    {"tls", read_tls},
    {"gateway", read_gateway},
}};

std::vector<Network> default_allow() {
  std::vector<Network> networks;
  for (const char* text : {"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12",
                           "192.168.0.0/16", "fc00::/7", "fe80::/10"}) {
    networks.push_back(*Network::parse(text));
  }
  return networks;
}

}  // namespace

Document default_document() {
  Document document;
  document.config.server.admin = *Endpoint::parse("127.0.0.1:9153");
  document.config.listen = {*Endpoint::parse("0.0.0.0:53"), *Endpoint::parse("[::]:53")};
  document.config.policy.allow = default_allow();
  return document;
}

void read_document(Reader& reader, const Node& root, Document& document) {
  read_table(reader, root, kFileKeys, document);
}

}  // namespace postern::server
