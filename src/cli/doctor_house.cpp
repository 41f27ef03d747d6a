#include "cli/doctor_house.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include <fmt/format.h>

#include "dns/rebind.h"

namespace postern::cli {
namespace {

bool covers(const std::string& pattern, const std::string& name) {
  if (!pattern.starts_with("*.")) return pattern == name;
  const std::string_view suffix = std::string_view(pattern).substr(1);
  return name.size() > suffix.size() && name.ends_with(suffix);
}

bool is_within(const std::string& domain, const std::string& name) {
  return domain == name || covers("*." + domain, name);
}

std::string without_dot(std::string text) {
  if (text.size() > 1 && text.back() == '.') text.pop_back();
  return text;
}

bool is_blocked(const dns::OverrideSettings& rule) {
  return !rule.addresses.empty() &&
         std::all_of(rule.addresses.begin(), rule.addresses.end(),
                     [](const IpAddress& ip) { return ip.is_unspecified(); });
}

}  // namespace

std::vector<std::string> doctor_names(const server::Config& config, std::size_t limit,
                                      std::size_t* all) {
  std::vector<std::string> names;
  std::unordered_set<std::string> seen;
  const auto add = [&](std::string name) {
    if (name.starts_with("*.")) name.replace(0, 1, "postern-doctor");
    name = without_dot(std::move(name));
    if (seen.insert(name).second && names.size() < limit) names.push_back(std::move(name));
  };
  for (const auto& route : config.routes) {
    for (const std::string& host : route.hostnames) add(host);
  }
  for (const auto& rule : config.policy.overrides) {
    if (rule.forward || is_blocked(rule)) continue;
    for (const dns::Name& name : rule.names) add(name.text());
  }
  *all = seen.size();
  return names;
}

std::string typed_host(std::string text) {
  const std::size_t scheme = text.find("://");
  if (scheme != std::string::npos) {
    text.erase(0, scheme + 3);
    text.erase(std::min(text.size(), text.find_first_of(":/?#")));
  }
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return without_dot(std::move(text));
}

std::vector<IpAddress> local_addresses() {
  std::vector<IpAddress> addresses;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return addresses;
  for (const ifaddrs* i = first; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr || (i->ifa_flags & IFF_UP) == 0) continue;
    const int family = i->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    sockaddr_storage address{};
    std::memcpy(&address, i->ifa_addr,
                family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    const Endpoint endpoint = Endpoint::from_sockaddr(address);
    if (endpoint.scope == 0) addresses.push_back(endpoint.ip);  // link-local ones need more
  }
  freeifaddrs(first);
  return addresses;
}

Endpoint House::nameserver() const {
  const auto better = std::find_if(
      config_.listen.begin(), config_.listen.end(),
      [](const Endpoint& one) { return !one.ip.is_loopback() && !one.ip.is_unspecified(); });
  Endpoint chosen = better == config_.listen.end() ? config_.listen.front() : *better;
  if (!chosen.ip.is_unspecified()) return chosen;
  const bool v4 = chosen.ip.is_v4();
  const auto own = std::find_if(local_.begin(), local_.end(), [&](const IpAddress& ip) {
    return ip.is_v4() == v4 && !ip.is_loopback();
  });
  chosen.ip = own == local_.end() ? *IpAddress::parse(v4 ? "127.0.0.1" : "::1") : *own;
  return chosen;
}

bool House::has_nameserver_at(const IpAddress& ip) const {
  return std::any_of(config_.listen.begin(), config_.listen.end(), [&](const Endpoint& listen) {
    return listen.ip == ip ||
           (listen.ip.is_unspecified() && listen.ip.is_v4() == ip.is_v4() && is_local(ip));
  });
}

bool House::is_local(const IpAddress& ip) const {
  return ip.is_loopback() || std::find(local_.begin(), local_.end(), ip) != local_.end();
}

bool House::has_route(const std::string& name) const {
  return std::any_of(config_.routes.begin(), config_.routes.end(), [&](const auto& route) {
    return std::any_of(route.hostnames.begin(), route.hostnames.end(),
                       [&](const std::string& host) { return covers(host, name); });
  });
}

bool House::is_served(const std::string& name, bool* published) const {
  bool served = false;
  *published = false;
  for (const auto& route : config_.routes) {
    const bool has_host = std::any_of(route.hostnames.begin(), route.hostnames.end(),
                                      [&](const auto& host) { return covers(host, name); });
    if (!has_host) continue;
    for (const auto& listener : config_.listeners) {
      const auto& of_route = route.listeners;
      if (listener.https == 0 ||
          std::find(of_route.begin(), of_route.end(), listener.name) == of_route.end()) {
        continue;
      }
      served = true;
      *published = *published || listener.publish_dns;
    }
  }
  return served;
}

const gateway::ListenerSettings* House::listener_of(const IpAddress& ip,
                                                    const std::string& name) const {
  for (const auto& listener : config_.listeners) {
    if (listener.https == 0) continue;
    for (const IpAddress& own : listener.addresses) {
      if (own == ip) return &listener;
      // In a container or behind a load balancer the addresses of the LAN are not this machine's.
      if (own.is_unspecified() && own.is_v4() == ip.is_v4() && (is_local(ip) || has_route(name))) {
        return &listener;
      }
    }
  }
  return nullptr;
}

bool House::is_inside(const IpAddress& ip, const std::string& name) const {
  return listener_of(ip, name) != nullptr || dns::is_private_address(Bytes(ip.data(), ip.size()));
}

std::string House::view_of(const IpAddress& client) const {
  for (const dns::ViewSettings& view : config_.policy.views) {
    if (contains(view.clients, client)) return view.name;
  }
  return "";
}

std::string House::view_text(const IpAddress& client) const {
  const std::string view = view_of(client);
  return view.empty() ? "no view" : fmt::format("the view \"{}\"", view);
}

std::optional<OfOtherViews> House::of_other_views(const std::string& name,
                                                  const IpAddress& client) const {
  const std::string own = view_of(client);
  std::optional<OfOtherViews> others;
  bool is_seen = false;
  const auto look = [&](const std::vector<std::string>& views, std::string what) {
    is_seen = is_seen || views.empty() || std::find(views.begin(), views.end(), own) != views.end();
    if (!others) others = OfOtherViews{std::move(what), views};
  };
  for (const auto& rule : config_.policy.overrides) {
    const bool is_for_name =
        std::any_of(rule.names.begin(), rule.names.end(),
                    [&](const dns::Name& one) { return covers(without_dot(one.text()), name); });
    if (is_for_name && !rule.forward) {
      look(rule.views, fmt::format("the override ({})", rule.source));
    }
  }
  for (const auto& zone : config_.policy.zones) {
    if (is_within(without_dot(zone.name.text()), name)) {
      look(zone.views, fmt::format("the zone ({})", zone.source));
    }
  }
  return is_seen ? std::nullopt : others;
}

}  // namespace postern::cli
