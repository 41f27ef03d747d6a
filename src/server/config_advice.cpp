#include "server/config_advice.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "dns/override.h"
#include "server/config_help.h"

namespace postern::server {
namespace {

using gateway::ListenerSettings;
using http::RouteMatchSettings;
using http::RouteSettings;

bool is_for_http(const ListenerSettings& listener) { return listener.tcp == 0; }

std::vector<const ListenerSettings*> listeners_of(const Config& config,
                                                  const RouteSettings& route) {
  std::vector<const ListenerSettings*> found;
  for (const ListenerSettings& listener : config.listeners) {
    if (is_for_http(listener) && is_on(route, listener)) found.push_back(&listener);
  }
  return found;
}

// Listeners

void warn_of_header_nobody_may_send(Reader& reader, const Document& document) {
  static const http::ForwardedSettings usual;
  for (const auto& [node, unused] : document.listeners) {
    const Node* header = node->find("client_ip_header");
    const Node* proxies = node->find("trusted_proxies");
    if (header == nullptr || header->text == usual.client_ip_header) continue;
    if (proxies != nullptr && !proxies->items.empty()) continue;
    reader.warning(header->place,
                   fmt::format("gateway.listener.client_ip_header: '{}' is believed from "
                               "trusted_proxies only, and there are none",
                               header->text));
  }
}

void warn_of_idle_listeners(Reader& reader, const Document& document) {
  const Config& config = document.config;
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const ListenerSettings& listener = config.listeners[i];
    const bool used =
        std::any_of(config.routes.begin(), config.routes.end(),
                    [&](const RouteSettings& route) { return is_on(route, listener); });
    if (used || !is_for_http(listener)) continue;
    reader.warning(document.listeners[i].node->place,
                   fmt::format("gateway.listener '{}' has no route: every request is answered "
                               "with 404; add a [[gateway.route]]",
                               listener.name));
  }
}

// Routes

void warn_of_routes_without_listener(Reader& reader, const Document& document) {
  const auto& listeners = document.config.listeners;
  if (document.routes.empty() || std::any_of(listeners.begin(), listeners.end(), is_for_http)) {
    return;
  }
  reader.warning(document.routes.front().node->place,
                 "gateway.route: there is no listener for HTTP, so no route is ever used; add a "
                 "[[gateway.listener]]");
}

/// All that a match says, in one form.
std::string match_key(const RouteMatchSettings& match) {
  std::string path = match.path;
  if (match.kind != http::PathMatch::kRegex) {
    path = http::parse_config_path(path).value_or(path);
    if (match.kind == http::PathMatch::kPrefix && path.ends_with('/')) path.pop_back();
  }
  std::set<std::string> rest;
  for (const auto& [name, value] : match.headers) {
    rest.insert(fmt::format("h{}\n{}", to_lower(name), value));
  }
  for (const auto& [name, value] : match.query) rest.insert(fmt::format("q{}\n{}", name, value));
  return fmt::format("{}{}\n{}\n{}", static_cast<int>(match.kind), path, match.method,
                     fmt::join(rest, "\n"));
}

/// Finds matches that stand behind an equal one for the same host.
class Shadows {
 public:
  Shadows(Reader& reader, const Document& document) : reader_(reader), document_(document) {}

  void run() {
    for (std::size_t i = 0; i < document_.routes.size(); ++i) {
      const RouteSettings& route = document_.config.routes[i];
      const Node* matches = document_.routes[i].node->find("matches");
      if (route.matches.empty()) add(i, {}, document_.routes[i].node->place);
      for (std::size_t m = 0; m < route.matches.size(); ++m) {
        add(i, route.matches[m], matches->items[m].place);
      }
    }
  }

 private:
  void add(std::size_t index, const RouteMatchSettings& match, const Place& place) {
    const RouteSettings& route = document_.config.routes[index];
    if (route.hostnames.empty()) add(index, match, "", place);
    for (const std::string& hostname : route.hostnames) {
      const auto name = parse_override_name(hostname);
      if (name) add(index, match, to_lower(without_dot(*name)), place);
    }
  }

  void add(std::size_t index, const RouteMatchSettings& match, const std::string& host,
           const Place& place) {
    const RouteSettings& route = document_.config.routes[index];
    const RouteSettings* taken_by = nullptr;
    bool is_used = false;
    for (const ListenerSettings* listener : listeners_of(document_.config, route)) {
      const auto [at, added] = first_.try_emplace(
          fmt::format("{}\n{}\n{}", listener->name, host, match_key(match)), &route);
      is_used = is_used || added;
      if (!added) taken_by = at->second;
    }
    if (is_used || taken_by == nullptr) return;
    reader_.warning(
        place, fmt::format("gateway.route: this is never used{}: an equal match stands before it, "
                           "in the route at {}; remove one of them",
                           host.empty() ? "" : fmt::format(" for '{}'", host), taken_by->source));
  }

  Reader& reader_;
  const Document& document_;
  std::unordered_map<std::string, const RouteSettings*> first_;
};

/// Who answers for a name, of all views.
class Answered {
 public:
  explicit Answered(const Config& config) : config_(config) {
    std::vector<const dns::OverrideSettings*> rules;
    for (const auto& rule : config.policy.overrides) rules.push_back(&rule);
    overrides_ = dns::OverrideTable::compile(rules);
    if (auto name = dns::Name::parse("localhost")) localhost_ = std::move(*name);
  }

  bool has(const dns::Name& name) const {
    if (overrides_.find(dns::LookupName(name.view()), dns::RrType::kA)) return true;
    const auto covers = [&](const dns::Name& above) {
      return !above.view().is_root() && dns::is_at_or_below(name.view(), above.view());
    };
    const auto& policy = config_.policy;
    return std::any_of(policy.zones.begin(), policy.zones.end(),
                       [&](const auto& zone) { return covers(zone.name); }) ||
           std::any_of(config_.forwards.begin(), config_.forwards.end(),
                       [&](const auto& forward) { return covers(forward.name); }) ||
           covers(localhost_);
  }

 private:
  const Config& config_;
  dns::OverrideTable overrides_;
  dns::Name localhost_;
};

void warn_of_names_without_dns(Reader& reader, const Document& document) {
  if (document.config.listen.empty()) return;
  const Answered answered(document.config);
  std::set<std::string> told;
  for (const auto& [node, unused] : document.routes) {
    const Node* hostnames = node->find("hostnames");
    if (hostnames == nullptr) continue;
    for (const Node& item : hostnames->items) {
      const auto name = parse_override_name(item.text);
      if (!name || answered.has(*name) || !told.insert(name->lower_wire()).second) continue;
      reader.warning(item.place,
                     fmt::format("gateway.route.hostnames: '{}' has no override, zone or "
                                 "publish_dns here, so clients get what the public DNS says; add "
                                 "a [[dns.override]]",
                                 item.text));
    }
  }
}

}  // namespace

void advise_on_gateway(Reader& reader, const Document& document) {
  warn_of_header_nobody_may_send(reader, document);
  warn_of_idle_listeners(reader, document);
  warn_of_routes_without_listener(reader, document);
  Shadows(reader, document).run();
  warn_of_names_without_dns(reader, document);
}

}  // namespace postern::server
