#include "server/config_upstreams.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <unordered_map>

#include <ifaddrs.h>
#include <netinet/in.h>

namespace postern::server {
namespace {

constexpr std::size_t kForwardsMax = std::numeric_limits<std::uint16_t>::max();

bool is_address_of_this_host(const IpAddress& ip) {
  if (ip.is_loopback()) return true;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return false;
  bool found = false;
  for (const ifaddrs* i = first; i != nullptr && !found; i = i->ifa_next) {
    if (i->ifa_addr == nullptr) continue;
    const int family = i->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    sockaddr_storage address{};
    std::memcpy(&address, i->ifa_addr,
                family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    found = Endpoint::from_sockaddr(address).ip == ip;
  }
  freeifaddrs(first);
  return found;
}

bool is_ourselves(const Endpoint& upstream, const std::vector<Endpoint>& listen) {
  return std::any_of(listen.begin(), listen.end(), [&](const Endpoint& own) {
    if (own.port != upstream.port || own.ip.is_v4() != upstream.ip.is_v4()) return false;
    return own.ip == upstream.ip ||
           (own.ip.is_unspecified() && is_address_of_this_host(upstream.ip));
  });
}

void check_upstreams(Reader& reader, const Element<ForwardEntry>& forward,
                     const std::vector<Endpoint>& listen) {
  const Node* upstreams = forward.node->find("upstreams");
  if (upstreams == nullptr) {
    reader.error(forward.node->place,
                 "dns.forward without upstreams; add upstreams = [\"udp://192.0.2.1\"]");
    return;
  }
  if (upstreams->kind == Node::Kind::kArray && upstreams->items.empty()) {
    reader.error(upstreams->place, "dns.forward.upstreams is empty; name one server at least");
  }
  if (upstreams->items.size() > nameserver::kUpstreamsMax) {
    reader.error(
        upstreams->items[nameserver::kUpstreamsMax].place,
        fmt::format("dns.forward.upstreams: {} servers; allowed: {} at most, a query could "
                    "not try more in its time",
                    upstreams->items.size(), nameserver::kUpstreamsMax));
  }
  for (const Node& item : upstreams->items) {
    const auto upstream = parse_upstream(item.text);
    if (upstream && is_ourselves(upstream->endpoint, listen)) {
      reader.error(item.place,
                   fmt::format("dns.forward.upstreams: '{}' is this server itself (dns.listen), so "
                               "questions would go in a circle; name another server",
                               item.text));
    }
  }
}

std::string source_text(const nameserver::ForwardSettings& forward) {
  std::string text;
  for (const nameserver::UpstreamSettings& upstream : forward.upstreams) {
    text += upstream.endpoint.to_string() + " ";
  }
  return text;
}

std::string file_text(const std::string& path) {
  const std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

nameserver::ForwardSettings system_forward(const std::string& file,
                                           const std::vector<Endpoint>& listen) {
  nameserver::ForwardSettings forward;
  forward.source = file;
  for (const IpAddress& ip : parse_resolv_conf(file_text(file))) {
    const Endpoint endpoint{ip, 53, 0};
    if (is_ourselves(endpoint, listen) || forward.upstreams.size() == nameserver::kUpstreamsMax)
      continue;
    forward.upstreams.push_back({nameserver::UpstreamScheme::kUdp, endpoint,
                                 fmt::format("udp://{}", endpoint.to_string())});
  }
  return forward;
}

// Both files count, whichever is used: DHCP fills them later, and one takes the other's place.
void add_system_forward(Reader& reader, Config& config, const ConfigSurroundings& surroundings) {
  config.other_files.push_back(surroundings.resolv_conf);
  config.other_files.push_back(surroundings.resolved_conf);
  nameserver::ForwardSettings forward = system_forward(surroundings.resolv_conf, config.listen);
  if (forward.upstreams.empty()) {
    forward = system_forward(surroundings.resolved_conf, config.listen);
  }
  if (forward.upstreams.empty()) {
    reader.warning({},
                   fmt::format("no [[dns.forward]] for \".\", and {} has no server but this one: "
                               "names that are not served here will be REFUSED",
                               surroundings.resolv_conf));
    return;
  }
  config.policy.forward_names.emplace_back();
  config.forwards.push_back(std::move(forward));
}

}  // namespace

std::vector<IpAddress> parse_resolv_conf(std::string_view text) {
  std::vector<IpAddress> addresses;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key;
    std::string value;
    words >> key >> value;
    if (key != "nameserver") continue;
    if (const auto ip = IpAddress::parse(value); ip && !ip->is_unspecified()) {
      addresses.push_back(*ip);
    }
  }
  return addresses;
}

void finish_forwards(Reader& reader, Document& document, const ConfigSurroundings& surroundings) {
  Config& config = document.config;
  std::unordered_map<std::string, Place> seen;
  for (Element<ForwardEntry>& forward : document.forwards) {
    check_upstreams(reader, forward, config.listen);
    const Node* name_node = forward.node->find("name");
    if (name_node == nullptr) {
      reader.error(forward.node->place,
                   "dns.forward without a name; add name = \".\", a domain or a network");
      continue;
    }
    for (const dns::Name& name : forward.value.names) {
      const auto [first, added] = seen.try_emplace(name.lower_wire(), name_node->place);
      if (!added) {
        reader.error(name_node->place,
                     fmt::format("dns.forward.name: '{}' is given twice, first at {}; put all its "
                                 "upstreams into one",
                                 name_node->text, reader.place_text(first->second)));
        break;
      }
      config.forwards.push_back({name, forward.value.upstreams, forward.value.policy,
                                 forward.value.timeout_ms, reader.line_text(forward.node->place)});
      config.policy.forward_names.push_back(name);
    }
  }
  if (seen.count(dns::Name().lower_wire()) == 0 && !config.listen.empty()) {
    add_system_forward(reader, config, surroundings);
  }
  for (const nameserver::ForwardSettings& settings : config.forwards) {
    config.policy.forward_sources.push_back(source_text(settings));
  }
  if (config.forwards.size() > kForwardsMax) {
    reader.error({}, fmt::format("dns.forward: {} names; allowed: {} at most",
                                 config.forwards.size(), kForwardsMax));
  }
}

}  // namespace postern::server
