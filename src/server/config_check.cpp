#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "dns/override.h"
#include "server/config_admin.h"
#include "server/config_advice.h"
#include "server/config_advice_dns.h"
#include "server/config_advice_routes.h"
#include "server/config_document.h"
#include "server/config_gateway.h"
#include "server/config_help.h"
#include "server/config_publish.h"
#include "server/config_query_log.h"
#include "server/config_upstreams.h"
#include "server/system.h"

namespace postern::server {
namespace {

/// Where each name was given, and in which views: equal names may stand side by side in different
/// views.
class NamesByView {
 public:
  /// The place of an equal name that holds in one of `views` too, nullptr when there is none.
  const Place* add(const dns::Name& name, const std::vector<std::string>& views, Place place) {
    auto& uses = uses_[name.lower_wire()];
    for (const Use& use : uses) {
      if (overlap(*use.views, views)) return &use.place;
    }
    uses.push_back({&views, place});
    return nullptr;
  }

 private:
  struct Use {
    const std::vector<std::string>* views;
    Place place;
  };
  static bool overlap(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    if (a.empty() || b.empty()) return true;
    return std::any_of(a.begin(), a.end(), [&](const std::string& view) {
      return std::find(b.begin(), b.end(), view) != b.end();
    });
  }
  std::unordered_map<std::string, std::vector<Use>> uses_;
};

// [server]

void check_admin(Reader& reader, const Document& document) {
  const auto& admin = document.config.server.admin;
  if (!admin) return;
  for (const Endpoint& listen : document.config.listen) {
    if (!overlap(*admin, listen)) continue;
    const Node* node = document.admin != nullptr ? document.admin : document.listen;
    reader.error(node == nullptr ? Place{} : node->place,
                 fmt::format("server.admin, {}, is in the way of dns.listen, {}; choose another "
                             "port, or \"\" for off",
                             admin->to_string(), listen.to_string()));
    return;
  }
}

void check_user(Reader& reader, const Document& document, const ConfigSurroundings& surroundings) {
  const ServerSettings& server = document.config.server;
  if (!surroundings.start || document.user == nullptr || server.user.empty()) return;
  if (has_user(server.user)) return;
  const std::string text = fmt::format("server.user: {}", no_user_text(server.user));
  if (is_root()) {
    reader.error(document.user->place, text);
  } else {
    reader.warning(document.user->place, text + "; as root it would not start");
  }
}

// Views

bool covers(const std::vector<Network>& networks, const Network& inner) {
  return std::any_of(networks.begin(), networks.end(), [&](const Network& outer) {
    return outer.prefix_bits() <= inner.prefix_bits() && outer.contains(inner.base());
  });
}

bool touches(const std::vector<Network>& networks, const Network& other) {
  return std::any_of(networks.begin(), networks.end(), [&](const Network& network) {
    return network.contains(other.base()) || other.contains(network.base());
  });
}

// First match wins: a view all of whose clients are in earlier views is never used.
void warn_of_idle_view(Reader& reader, const Document& document, std::size_t index) {
  const auto& [node, view] = document.views[index];
  const auto& allow = document.config.policy.allow;
  std::vector<Network> earlier;
  for (std::size_t i = 0; i < index; ++i) {
    const auto& clients = document.views[i].value.clients;
    earlier.insert(earlier.end(), clients.begin(), clients.end());
  }
  const auto is_taken = [&](const Network& n) { return covers(earlier, n); };
  if (std::all_of(view.clients.begin(), view.clients.end(), is_taken)) {
    reader.warning(node->place, fmt::format("dns.view '{}' is never used: the views before it have "
                                            "all its clients; put it before them",
                                            view.name));
  }
  for (const Network& network : view.clients) {
    if (touches(allow, network)) continue;
    reader.warning(
        key_place(*node, "clients"),
        fmt::format("dns.view '{}': clients in {} are refused, because dns.allow does not "
                    "have them; add the network there",
                    view.name, network.to_string()));
  }
}

void check_views(Reader& reader, const Document& document) {
  std::unordered_map<std::string, Place> seen;
  for (std::size_t i = 0; i < document.views.size(); ++i) {
    const auto& [node, view] = document.views[i];
    if (has_wrong_type(*node, "name")) {
      // said already
    } else if (view.name.empty()) {
      reader.error(key_place(*node, "name"), "dns.view without a name; add name = \"lan\"");
    } else if (const auto [first, added] = seen.try_emplace(view.name, key_place(*node, "name"));
               !added) {
      reader.error(
          key_place(*node, "name"),
          fmt::format("dns.view.name: '{}' is given twice, first at {}; put all clients into "
                      "one",
                      view.name, reader.place_text(first->second)));
    }
    const Node* clients = node->find("clients");
    if (clients == nullptr || (clients->kind == Node::Kind::kArray && clients->items.empty())) {
      reader.error(key_place(*node, "clients"),
                   fmt::format("dns.view '{}' without clients; add clients = [\"192.168.10.0/24\"]",
                               view.name));
    } else if (!view.clients.empty()) {
      warn_of_idle_view(reader, document, i);
    }
  }
}

void check_view_references(Reader& reader, const Document& document, const Node& node,
                           std::string_view section) {
  const Node* views = node.find("views");
  if (views == nullptr) return;
  if (views->kind == Node::Kind::kArray && views->items.empty()) {
    reader.error(
        views->place,
        fmt::format("{}.views is empty; name a view, or leave it out for everywhere", section));
  }
  std::vector<std::string_view> known;
  for (const auto& view : document.views) known.push_back(view.value.name);
  for (const Node& item : views->items) {
    check_reference(reader, item, fmt::format("{}.views", section), "dns.view", known);
  }
}

// Overrides

void check_override_target(Reader& reader, const Node& node, const dns::OverrideSettings& rule) {
  std::vector<const Node*> given;
  for (const std::string_view key : {"address", "cname", "forward"}) {
    const Node* value = node.find(key);
    const bool is_off = value != nullptr && value->kind == Node::Kind::kBoolean && !value->boolean;
    if (value != nullptr && !is_off) given.push_back(value);
  }
  if (given.empty()) {
    reader.error(
        node.place,
        "dns.override says nothing about its names; give one of address, cname, forward = true");
  } else if (given.size() > 1) {
    reader.error(given[1]->place,
                 "dns.override has more than one of address, cname, forward; keep one of them");
  }
  const Node* address = node.find("address");
  if (address != nullptr && address->kind == Node::Kind::kArray && address->items.empty()) {
    reader.error(
        address->place,
        "dns.override.address is empty; give an address, or leave it out and write forward = true");
  }
  for (const std::string_view key : {"ttl", "https", "other"}) {
    if (!rule.forward || node.find(key) == nullptr) continue;
    reader.error(key_place(node, key), fmt::format("dns.override.{} means nothing beside forward = "
                                                   "true, where all comes from upstream; remove it",
                                                   key));
  }
}

void check_override_names(Reader& reader, const Element<dns::OverrideSettings>& element,
                          NamesByView* names) {
  const Node* node = element.node->find("names");
  if (node == nullptr || (node->kind == Node::Kind::kArray && node->items.empty())) {
    reader.error(key_place(*element.node, "names"),
                 "dns.override without names; add names = [\"example.com\", \"*.example.com\"]");
    return;
  }
  for (const Node& item : node->items) {
    const auto name = parse_override_name(item.text);
    if (!name) continue;
    const Place* first = names->add(*name, element.value.views, item.place);
    if (first == nullptr) continue;
    reader.error(
        item.place,
        fmt::format("dns.override.names: '{}' is given twice, first at {}; keep one of them, "
                    "or give them different views",
                    item.text, reader.place_text(*first)));
  }
}

bool holds_in(const std::vector<std::string>& views, const std::string& view) {
  return views.empty() || std::find(views.begin(), views.end(), view) != views.end();
}

// Follows the chain from `target` through the overrides of one view; true when it never ends.
bool goes_in_circles(const dns::OverrideTable& table, dns::Name target) {
  std::unordered_set<std::string> seen;
  while (seen.insert(target.lower_wire()).second) {
    const auto match = table.find(dns::LookupName(target.view()), dns::RrType::kA);
    if (!match || !match.rule->cname) return false;
    target = *match.rule->cname;
  }
  return true;
}

// Of publish_dns, for the name itself or for all below it.
bool is_of_route(const Document& document, const dns::Name& name) {
  for (const auto& route : document.routes) {
    const Node* hostnames = route.node->find("hostnames");
    if (hostnames == nullptr) continue;
    for (const Node& item : hostnames->items) {
      const auto host = parse_override_name(item.text);
      if (!host) continue;
      if (dns::equal_names(host->view(), name.view())) return true;
      if (host->view().is_wildcard() && dns::is_at_or_below(name.view(), host->view().parent())) {
        return true;
      }
    }
  }
  return false;
}

// An override with forward = true is an exception: from an override above it, from a zone, or from
// what the routes publish.
bool is_exception(const Document& document, const dns::OverrideTable& table,
                  const dns::Name& name) {
  const bool in_zone = std::any_of(
      document.zones.begin(), document.zones.end(),
      [&](const auto& zone) { return dns::is_at_or_below(name.view(), zone.value.name.view()); });
  if (in_zone || is_of_route(document, name)) return true;
  for (dns::NameView up = name.view(); !up.is_root();) {
    up = up.parent();
    const auto match =
        table.find(dns::LookupName(dns::Name::parse("*", up)->view()), dns::RrType::kA);
    if (match && !match.rule->forward) return true;
  }
  return false;
}

void check_overrides_of_view(Reader& reader, const Document& document, const std::string& view,
                             std::unordered_set<const Node*>* reported) {
  std::vector<const dns::OverrideSettings*> rules;
  for (const auto& element : document.overrides) {
    if (holds_in(element.value.views, view)) rules.push_back(&element.value);
  }
  const dns::OverrideTable table = dns::OverrideTable::compile(rules);
  for (const auto& [node, rule] : document.overrides) {
    if (!rule.cname || !holds_in(rule.views, view) || !goes_in_circles(table, *rule.cname))
      continue;
    if (!reported->insert(node).second) continue;
    reader.error(key_place(*node, "cname"),
                 fmt::format("dns.override.cname: '{}' leads back to itself through the overrides; "
                             "name a host that is not overridden by a cname",
                             node->find("cname")->text));
  }
}

void warn_of_idle_exceptions(Reader& reader, const Document& document) {
  std::vector<const dns::OverrideSettings*> rules;
  for (const auto& element : document.overrides) rules.push_back(&element.value);
  const dns::OverrideTable table = dns::OverrideTable::compile(rules);
  for (const auto& [node, rule] : document.overrides) {
    if (!rule.forward) continue;
    for (const dns::Name& name : rule.names) {
      if (is_exception(document, table, name)) continue;
      reader.warning(key_place(*node, "names"),
                     fmt::format("dns.override.names: forward = true does nothing for '{}': no "
                                 "wildcard override and no zone covers it",
                                 name.text()));
    }
  }
}

void check_overrides(Reader& reader, const Document& document) {
  NamesByView names;
  for (const auto& element : document.overrides) {
    check_override_target(reader, *element.node, element.value);
    check_override_names(reader, element, &names);
    check_view_references(reader, document, *element.node, "dns.override");
  }
  std::unordered_set<const Node*> reported;
  check_overrides_of_view(reader, document, "", &reported);
  for (const auto& view : document.views) {
    check_overrides_of_view(reader, document, view.value.name, &reported);
  }
  warn_of_idle_exceptions(reader, document);
}

// Zones

void check_zone_file(Reader& reader, Element<dns::ZoneSettings>& zone) {
  if (has_wrong_type(*zone.node, "file")) return;
  const Node* node = zone.node->find("file");
  if (node == nullptr || zone.value.file.empty()) {
    reader.error(key_place(*zone.node, "file"),
                 "dns.zone without a file; add file = \"zones/home.arpa.zone\"");
    return;
  }
  zone.value.file = beside(reader.file_of(node->place), zone.value.file);
  const std::string why = why_not_readable(zone.value.file);
  if (why.empty()) return;
  reader.error(node->place,
               fmt::format("dns.zone.file: cannot read '{}': {}; a path is relative to "
                           "the file that has it",
                           zone.value.file, why));
  zone.value.file.clear();  // said once; nobody tries again
}

void check_zones(Reader& reader, Document& document) {
  NamesByView names;
  for (auto& zone : document.zones) {
    check_zone_file(reader, zone);
    check_view_references(reader, document, *zone.node, "dns.zone");
    const Node* name = zone.node->find("name");
    if (name == nullptr) {
      reader.error(zone.node->place, "dns.zone without a name; add name = \"home.arpa\"");
      continue;
    }
    const Place* first = names.add(zone.value.name, zone.value.views, name->place);
    if (first == nullptr || !parse_domain(name->text)) continue;
    reader.error(name->place,
                 fmt::format("dns.zone.name: '{}' is given twice, first at {}; keep one "
                             "of them, or give them different views",
                             name->text, reader.place_text(*first)));
  }
}

// [dns]

void check_listen(Reader& reader, const Document& document) {
  const auto& listen = document.config.listen;
  if (listen.empty() && document.listen != nullptr && document.listen->items.empty() &&
      document.listeners.empty()) {
    reader.warning(document.listen->place,
                   "dns.listen is empty and there is no [[gateway.listener]]: nothing is served");
  }
  if (document.listen == nullptr) return;
  std::vector<std::pair<Endpoint, Place>> seen;
  for (const Node& item : document.listen->items) {
    const auto endpoint = Endpoint::parse(item.text, 53);
    if (!endpoint) continue;
    const auto first = std::find_if(seen.begin(), seen.end(),
                                    [&](const auto& other) { return other.first == *endpoint; });
    if (first != seen.end()) {
      reader.error(item.place,
                   fmt::format("dns.listen: '{}' is given twice, first at {}; keep one of "
                               "them",
                               item.text, reader.place_text(first->second)));
    }
    seen.emplace_back(*endpoint, item.place);
  }
}

void warn_of_open_resolver(Reader& reader, const Document& document) {
  if (document.allow == nullptr) return;
  const auto& listen = document.config.listen;
  const bool reachable = std::any_of(listen.begin(), listen.end(),
                                     [](const Endpoint& e) { return !e.ip.is_loopback(); });
  for (const Node& item : document.allow->items) {
    const auto network = Network::parse(item.text);
    if (!reachable || !network || network->prefix_bits() != 0) continue;
    reader.warning(item.place,
                   fmt::format("dns.allow: '{}' lets everybody ask: an open resolver is "
                               "used to attack others; name your own networks",
                               item.text));
  }
}

void check_cache(Reader& reader, const Document& document) {
  const dns::CacheSettings& cache = document.config.cache;
  if (cache.min_ttl_s <= cache.max_ttl_s) return;
  const Node* min_ttl = document.cache->find("min_ttl");
  reader.error(
      min_ttl == nullptr ? document.cache->place : min_ttl->place,
      fmt::format("dns.cache.min_ttl is {}, more than max_ttl, {}; allowed: max_ttl at most",
                  duration_text(std::uint64_t{cache.min_ttl_s} * 1000),
                  duration_text(std::uint64_t{cache.max_ttl_s} * 1000)));
}

}  // namespace

void finish_document(Reader& reader, Document& document, const ConfigSurroundings& surroundings) {
  check_listen(reader, document);
  check_admin(reader, document);
  check_admin_token(reader, document);
  check_user(reader, document, surroundings);
  warn_of_open_resolver(reader, document);
  check_cache(reader, document);
  check_query_logs(reader, document, surroundings);
  check_views(reader, document);
  check_overrides(reader, document);
  check_zones(reader, document);
  check_gateway(reader, document);
  dns::PolicySettings& policy = document.config.policy;
  finish_forwards(reader, document, surroundings);
  move_values(reader, document.views, &policy.views);
  move_values(reader, document.overrides, &policy.overrides);
  move_values(reader, document.zones, &policy.zones);
  finish_gateway(reader, document);
  publish_routes(reader, document);
  // What is wrong anyway would only be told twice.
  if (reader.error_count() != 0) return;
  advise_on_gateway(reader, document);
  advise_on_routes(reader, document);
  advise_on_dns(reader, document);
}

}  // namespace postern::server
