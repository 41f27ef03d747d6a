#include "server/config_advice_dns.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "dns/override.h"
#include "dns/policy.h"
#include "server/config_help.h"

namespace postern::server {
namespace {

using dns::LookupName;
using dns::OverrideSettings;
using dns::RrType;

dns::OverrideTable table_of(const Config& config) {
  std::vector<const OverrideSettings*> rules;
  for (const OverrideSettings& rule : config.policy.overrides) rules.push_back(&rule);
  return dns::OverrideTable::compile(rules);
}

// An override made from listeners has no place in the file; they stand behind the written ones.
std::size_t written_overrides(const Document& document) { return document.overrides.size(); }

void warn_of_h3_in_edited_records(Reader& reader, const Document& document) {
  const auto& withdrawn = document.config.policy.svcb.strip_alpn;
  if (std::find(withdrawn.begin(), withdrawn.end(), "h3") != withdrawn.end()) return;
  for (std::size_t i = 0; i < written_overrides(document); ++i) {
    if (document.config.policy.overrides[i].https != dns::OverrideHttps::kEdit) continue;
    reader.warning(
        key_place(*document.overrides[i].node, "https"),
        "dns.override.https: \"edit\" passes h3 on, because dns.svcb.strip_alpn does not "
        "have it, and browsers then try QUIC against these addresses; write \"gateway\" "
        "here, or \"h3\" there");
  }
}

// The listener's own wildcard may have an exception; a host that a route names is meant to be here.
void warn_of_hosts_led_away(Reader& reader, const Document& document) {
  if (document.config.listen.empty()) return;
  const dns::OverrideTable table = table_of(document.config);
  std::set<std::string> told;
  for (const auto& [node, unused] : document.routes) {
    const Node* hostnames = node->find("hostnames");
    if (hostnames == nullptr) continue;
    for (const Node& item : hostnames->items) {
      const auto name = parse_override_name(item.text);
      if (!name || name->view().is_wildcard() || !told.insert(name->lower_wire()).second) continue;
      const auto match = table.find(LookupName(name->view()), RrType::kA);
      if (!match || !match.rule->forward) continue;
      reader.warning(item.place,
                     fmt::format("gateway.route.hostnames: '{}' is served here, but the "
                                 "dns.override at {} has forward = true, so clients get what the "
                                 "public DNS says, h3 and ech included; remove one of them",
                                 item.text, match.rule->source));
    }
  }
}

const OverrideSettings* settings_of(const Config& config, const dns::Override& rule) {
  const auto& all = config.policy.overrides;
  const auto at = std::find_if(all.begin(), all.end(),
                               [&](const auto& one) { return one.source == rule.source; });
  return at == all.end() ? nullptr : &*at;
}

/// May a client that comes to these addresses reach the route? A listener on all addresses may
/// have them.
bool is_reached(const Config& config, const http::RouteSettings& route,
                const OverrideSettings& rule) {
  return std::any_of(config.listeners.begin(), config.listeners.end(),
                     [&](const gateway::ListenerSettings& one) {
                       const auto& own = one.addresses;
                       return is_on(route, one) && one.tcp == 0 &&
                              (shares_address(one, rule) ||
                               std::any_of(own.begin(), own.end(),
                                           [](const auto& ip) { return ip.is_unspecified(); }));
                     });
}

// Of what holds in all views; a view's own address is for clients that are somewhere else.
void warn_of_hosts_at_other_addresses(Reader& reader, const Document& document) {
  const Config& config = document.config;
  if (config.listen.empty()) return;
  std::vector<const OverrideSettings*> rules;
  for (const OverrideSettings& rule : config.policy.overrides) {
    if (rule.views.empty()) rules.push_back(&rule);
  }
  const dns::OverrideTable table = dns::OverrideTable::compile(rules);
  for (std::size_t i = 0; i < document.routes.size(); ++i) {
    const Node* hostnames = document.routes[i].node->find("hostnames");
    if (hostnames == nullptr) continue;
    for (const Node& item : hostnames->items) {
      const auto name = parse_override_name(item.text);
      if (!name || name->view().is_wildcard()) continue;
      const auto match = table.find(LookupName(name->view()), RrType::kA);
      const OverrideSettings* rule = match ? settings_of(config, *match.rule) : nullptr;
      if (rule == nullptr || rule->addresses.empty()) continue;
      if (is_reached(config, config.routes[i], *rule)) continue;
      reader.warning(item.place,
                     fmt::format("gateway.route.hostnames: '{}' is served here, but the "
                                 "dns.override at {} leads to {}, where no listener of this route "
                                 "is; write the listener's address there",
                                 item.text, rule->source, rule->addresses.front().to_string()));
    }
  }
}

bool has_ipv6(const std::vector<Network>& networks) {
  return std::any_of(networks.begin(), networks.end(),
                     [](const Network& network) { return !network.base().is_v4(); });
}

// With the usual dns.listen this is no more than possible; who writes an IPv6 address means it.
void warn_of_views_without_ipv6(Reader& reader, const Document& document) {
  const auto& listen = document.config.listen;
  const bool asked_by_ipv6 = document.listen != nullptr &&
                             std::any_of(listen.begin(), listen.end(), [](const Endpoint& e) {
                               return !e.ip.is_v4() && !e.ip.is_loopback();
                             });
  if (!asked_by_ipv6) return;
  const auto& views = document.config.policy.views;
  for (std::size_t i = 0; i < written_overrides(document); ++i) {
    const OverrideSettings& rule = document.config.policy.overrides[i];
    const bool reaches_ipv6 =
        rule.views.empty() || std::any_of(views.begin(), views.end(), [&](const auto& view) {
          return has_ipv6(view.clients) &&
                 std::find(rule.views.begin(), rule.views.end(), view.name) != rule.views.end();
        });
    if (reaches_ipv6 || rule.forward) continue;
    reader.warning(
        key_place(*document.overrides[i].node, "views"),
        fmt::format("dns.override.views: '{}' has no IPv6 network, but dns.listen has an "
                    "IPv6 address: a client that asks by IPv6 gets what the public DNS "
                    "says; add its networks (fe80::/10 and your own) to the view",
                    fmt::join(rule.views, "', '")));
  }
}

// An override stands before every forward, whatever its length.
void warn_of_forwards_without_addresses(Reader& reader, const Document& document) {
  const dns::OverrideTable table = table_of(document.config);
  for (const auto& [node, entry] : document.forwards) {
    for (const dns::Name& name : entry.names) {
      const auto match = table.find(LookupName(name.view()), RrType::kA);
      if (!match || !match.wildcard || match.rule->forward) continue;
      reader.warning(key_place(*node, "name"),
                     fmt::format("dns.forward.name: addresses of '{0}' never come from its "
                                 "upstreams: the dns.override at {1} covers it; add a "
                                 "[[dns.override]] with names = [\"{0}\", \"*.{0}\"] and "
                                 "forward = true",
                                 without_dot(name), match.rule->source));
    }
  }
}

// Hosts of routes

/// A zone that ends here has all the names below it that there are.
class Hosts {
 public:
  explicit Hosts(const Snapshot& snapshot) : snapshot_(snapshot) {}

  std::vector<ConfigProblem> take() {
    const dns::Policy& policy = *snapshot_.resolver->policy;
    for (const auto& route : snapshot_.config.routes) {
      for (const std::string& host : route.hostnames) {
        const auto name = dns::Name::parse(host);
        if (!name || name->view().is_wildcard()) continue;
        const bool told =
            std::any_of(policy.views.begin(), policy.views.end(),
                        [&](const auto& view) { return check(view.policy, *name, route.source); });
        if (!told) check(policy.everyone, *name, route.source);
      }
    }
    return std::move(problems_);
  }

 private:
  static bool has(const dns::ServedZone& zone, const LookupName& name) {
    using Kind = dns::ZoneMatch::Kind;
    for (const RrType type : {RrType::kA, RrType::kAaaa}) {
      const Kind kind = zone.zone->find(name, type).kind;
      if (kind != Kind::kNoData && kind != Kind::kNxDomain) return true;
    }
    return false;
  }

  bool check(const dns::ViewPolicy& view, const dns::Name& name, const std::string& source) {
    const LookupName lookup(name.view());
    const auto rule = view.overrides.find(lookup, RrType::kA);
    const auto zone = view.zones.find(lookup);
    if ((rule && !rule.rule->forward) || view.is_exception(rule, zone.labels) ||
        zone.value == nullptr || view.forwards->find(lookup).labels > zone.labels) {
      return false;
    }
    if (zone.value->fallthrough || has(*zone.value, lookup)) return false;
    problems_.push_back(warning_at(
        source, fmt::format("gateway.route.hostnames: '{}' has no address: the zone '{}' ends here "
                            "and has none for it; add it there, or write publish_dns = true in the "
                            "listener",
                            without_dot(name), dns::name_text(zone.value->zone->apex()))));
    return true;
  }

  const Snapshot& snapshot_;
  std::vector<ConfigProblem> problems_;
};

}  // namespace

void advise_on_dns(Reader& reader, const Document& document) {
  warn_of_h3_in_edited_records(reader, document);
  warn_of_hosts_led_away(reader, document);
  warn_of_hosts_at_other_addresses(reader, document);
  warn_of_views_without_ipv6(reader, document);
  warn_of_forwards_without_addresses(reader, document);
}

std::vector<ConfigProblem> check_hosts(const Snapshot& snapshot) { return Hosts(snapshot).take(); }

}  // namespace postern::server
