// The configuration: TOML text, and behind a zero byte that of a second file, more.toml, which it
// may include. What is accepted has to compile and to answer.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include "check.h"
#include "dns/answer.h"
#include "http/route.h"
#include "server/config.h"
#include "server/config_upstreams.h"
#include "server/config_values.h"
#include "server/coverage.h"

namespace postern::fuzz {
namespace {

constexpr std::size_t kValueBytesMax = 80;  // longer texts are no single value

/// Relative paths lead here; a zone file and a second configuration file are in it.
const std::string& folder() {
  static const struct Folder {
    Folder() {
      std::string name = std::filesystem::temp_directory_path() / "postern-fuzz-config-XXXXXX";
      require(::mkdtemp(name.data()) != nullptr, "a folder is there");
      path = name;
      std::filesystem::create_directory(path + "/zones");
      std::ofstream(path + "/zones/home.arpa.zone") << "; only looked for\n";
      for (const char* file : {"/tls.crt", "/tls.key"}) std::ofstream(path + file) << "the same\n";
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
  } made;
  return made.path;
}

// A path outside of the folder could be anything, a terminal too. Slashes stay possible inside of
// words and in URLs.
bool leads_outside(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text.substr(at, 2) == ".." || text.substr(at, 3) == "\\u0" || text.substr(at, 3) == "\\U0")
      return true;
    if (text[at] != '/') continue;
    const unsigned char before = at == 0 ? '"' : static_cast<unsigned char>(text[at - 1]);
    const bool word = (before >= '0' && before <= '9') || (before >= 'a' && before <= 'z') ||
                      (before >= 'A' && before <= 'Z') || before == ':' || before == '/' ||
                      before == ']';
    if (!word) return true;
  }
  return false;
}

void check_problems(const server::ConfigResult& result) {
  require(result.problems.size() <= server::kProblemsMax, "problems are limited");
  std::size_t errors = 0;
  for (const server::ConfigProblem& problem : result.problems) {
    errors += problem.warning ? 0 : 1;
    require(!problem.text.empty() && !problem.file.empty(), "a problem has a text and a file");
    require((problem.line == 0) == (problem.column == 0), "a place has a line and a column");
    const std::string line = problem.to_string();
    require(line.find_first_of(std::string_view("\n\r\0\x1b", 4)) == std::string::npos,
            "a problem is one line of text");
  }
  require(errors <= result.error_count && (errors > 0) == (result.error_count > 0),
          "errors are shown when there are any");
}

void check_names(const dns::PolicySettings& policy) {
  std::set<std::string> forwards;
  for (const dns::Name& name : policy.forward_names) {
    require(forwards.insert(name.lower_wire()).second, "a name has one forward");
  }
  std::set<std::string> views;
  for (const dns::ViewSettings& view : policy.views) {
    require(!view.name.empty() && !view.clients.empty(), "a view has a name and clients");
    require(views.insert(view.name).second, "a view's name is given once");
  }
  for (const dns::OverrideSettings& rule : policy.overrides) {
    const int ways =
        (rule.addresses.empty() ? 0 : 1) + (rule.cname ? 1 : 0) + (rule.forward ? 1 : 0);
    require(!rule.names.empty() && ways == 1, "an override says one thing about its names");
    for (const std::string& view : rule.views) require(views.contains(view), "a view is there");
  }
  for (const dns::ZoneSettings& zone : policy.zones) {
    require(std::filesystem::exists(zone.file), "a zone's file is there");
    for (const std::string& view : zone.views) require(views.contains(view), "a view is there");
  }
}

void check_listener(const server::Config& config, const gateway::ListenerSettings& listener) {
  require(!listener.addresses.empty(), "a listener has an address");
  const bool http = listener.http != 0 || listener.https != 0;
  require(http != (listener.tcp != 0), "a listener is for HTTP or for TCP");
  require(listener.https == 0 || !listener.certificates.empty(), "HTTPS has certificates");
  require(listener.https == 0 || !listener.alpn.empty(), "HTTPS has a protocol");
  require(listener.tcp == 0 || !listener.backends.empty(), "plain TCP leads somewhere");
  for (const std::string& id : listener.alpn) require(!id.starts_with("h3"), "h3 is not offered");
  const auto table = http::RouteTable::compile(config.routes, listener.name);
  const http::Fields fields;
  (void)table.match({"www.example.com", "GET", "/a/b", "c=d", fields});
}

void check_gateway(const server::Config& config) {
  std::set<std::string> names;
  for (const auto& certificate : config.certificates) {
    require(names.insert(certificate.name).second, "a certificate's name is given once");
  }
  std::set<std::string> listeners;
  for (const auto& listener : config.listeners) {
    require(listeners.insert(listener.name).second, "a listener's name is given once");
    for (const std::string& name : listener.certificates) {
      require(names.contains(name), "a certificate is there");
    }
    check_listener(config, listener);
  }
  for (const auto& route : config.routes) {
    require(http::check_route(route).empty(), "nothing is wrong with a route");
    for (const auto& name : route.listeners) require(listeners.contains(name), "it is there");
  }
  for (const auto& one : server::find_uncovered(config, {{"lan", {"*.example", "example"}}})) {
    require(one.problem.warning && one.problem.line != 0, "coverage is a warning at a line");
    require(!one.listeners.empty(), "coverage is a listener's");
  }
}

void check_config(const server::Config& config) {
  require(config.forwards.size() == config.policy.forward_names.size(), "forwards are numbered");
  for (const auto& forward : config.forwards) {
    require(!forward.upstreams.empty() && forward.timeout_ms > 0, "a forward leads somewhere");
  }
  require(config.cache.min_ttl_s <= config.cache.max_ttl_s, "min_ttl is max_ttl at most");
  require(config.policy.udp_payload >= dns::kUdpPayloadMin, "every client takes 512 bytes");
  check_names(config.policy);
  check_gateway(config);
}

// "www.example.com A" from each kind of client.
void answer_with(const server::Config& config) {
  using namespace std::string_view_literals;
  const std::vector<std::shared_ptr<const dns::Zone>> zones(config.policy.zones.size());
  const auto policy = dns::compile_policy(config.policy, zones);
  static dns::Cache cache{dns::CacheSettings{.size_bytes = 1U << 20}};
  dns::AnswerInput input;
  input.policy = policy.get();
  input.cache = &cache;
  std::vector<std::uint8_t> reply(dns::kMessageBytesMax);
  const Bytes query = as_bytes("\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1"sv);
  std::vector<IpAddress> clients{IpAddress{}, *IpAddress::parse("192.168.10.7")};
  for (const dns::ViewSettings& view : config.policy.views) {
    clients.push_back(view.clients.front().base());
  }
  for (const IpAddress& client : clients) {
    input.client = client;
    dns::Decision decision;
    dns::answer(input, query, reply, &decision);
    require(decision.verdict != dns::Decision::Verdict::kDrop, "a query is answered");
    if (decision.verdict != dns::Decision::Verdict::kForward) continue;
    require(decision.question.forward < config.forwards.size(), "the forward is there");
  }
}

void check_values(std::string_view text) {
  if (text.size() > kValueBytesMax) return;
  if (const auto ms = server::parse_duration(text)) {
    const auto again = server::parse_duration(server::duration_text(*ms));
    require(again.has_value() && *again == *ms, "a duration's text stands for it");
  }
  if (const auto size = server::parse_size(text)) {
    const auto again = server::parse_size(server::size_text(*size));
    require(again.has_value() && *again == *size, "a size's text stands for it");
  }
  if (const auto name = server::parse_domain(text)) {
    const auto again = dns::Name::parse(name->text());
    require(again.has_value() && *again == *name, "a domain's text stands for it");
  }
  if (const auto names = server::parse_forward_names(text)) {
    require(!names->empty() && names->size() <= 256, "a forward has 1 to 256 names");
  }
  if (const auto endpoint = Endpoint::parse(text, 53)) {
    const auto again = Endpoint::parse(endpoint->to_string());
    require(again.has_value() && *again == *endpoint, "an endpoint's text stands for it");
  }
  if (const auto network = Network::parse(text)) {
    const auto again = Network::parse(network->to_string());
    require(again.has_value() && *again == *network, "a network's text stands for it");
    require(network->contains(network->base()), "a network has its own base");
  }
  (void)server::parse_upstream(text);
  (void)server::parse_override_name(text);
  (void)server::parse_resolv_conf(text);
}

void run(std::string_view text) {
  check_values(text);
  if (leads_outside(text)) return;
  const std::size_t zero = text.find('\0');
  std::ofstream(folder() + "/more.toml", std::ios::binary)
      << (zero == std::string_view::npos ? "" : text.substr(zero + 1));
  server::ConfigSurroundings surroundings;
  surroundings.resolv_conf = folder() + "/resolv.conf";  // is not there
  const server::ConfigResult result =
      server::load_config_text(text.substr(0, zero), folder() + "/postern.toml", surroundings);
  check_problems(result);
  if (!result.ok()) return;
  check_config(result.config);
  answer_with(result.config);
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run(postern::as_text({data, size}));
  return 0;
}
