#include "server/config_publish.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "server/config_help.h"

namespace postern::server {
namespace {

constexpr std::uint16_t kHttpsPort = 443;

using gateway::ListenerSettings;
using http::RouteSettings;

/// Addresses that a name can have.
std::vector<IpAddress> published_addresses(const ListenerSettings& listener) {
  std::vector<IpAddress> addresses;
  std::copy_if(listener.addresses.begin(), listener.addresses.end(), std::back_inserter(addresses),
               [](const IpAddress& ip) { return !ip.is_unspecified(); });
  return addresses;
}

bool publishes(const ListenerSettings& listener) {
  return listener.tcp == 0 && listener.publish_dns && !published_addresses(listener).empty();
}

/// Who publishes one name, over all routes that have it.
struct Publication {
  dns::Name name;
  std::size_t route = 0;               // the first
  Place place;                         // of the name in it
  std::vector<std::size_t> listeners;  // in the order of the file
};

class Publisher {
 public:
  Publisher(Reader& reader, Document& document)
      : reader_(reader), document_(document), config_(document.config) {
    // One that holds in some views only goes before a published one there by standing before it.
    for (const auto& rule : config_.policy.overrides) {
      if (!rule.views.empty()) continue;
      for (const dns::Name& name : rule.names) explicit_.insert(name.lower_wire());
    }
    // Zones stand behind all overrides.
    for (const auto& zone : config_.policy.zones) {
      if (zone.views.empty()) explicit_.insert(zone.name.lower_wire());
      auto& views = views_of_zones_[zone.name.lower_wire()];
      views.insert(zone.views.begin(), zone.views.end());
    }
  }

  void run() {
    for (std::size_t i = 0; i < config_.routes.size(); ++i) add_route(i);
    for (Publication& publication : all_) {
      auto& listeners = publication.listeners;
      std::sort(listeners.begin(), listeners.end());
      warn_of_others(publication);
      const auto zones = views_of_zones_.find(publication.name.lower_wire());
      override_for(
          {publication.route, listeners, zones == views_of_zones_.end() ? Views{} : zones->second})
          .names.push_back(publication.name);
    }
  }

 private:
  using Views = std::set<std::string>;
  /// Route, listeners, and the views in which a zone has the name.
  using RuleKey = std::tuple<std::size_t, std::vector<std::size_t>, Views>;

  void add_route(std::size_t index) {
    const RouteSettings& route = config_.routes[index];
    std::vector<std::size_t> listeners;
    for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
      const ListenerSettings& listener = config_.listeners[i];
      if (publishes(listener) && is_on(route, listener)) listeners.push_back(i);
    }
    if (listeners.empty()) return;
    const Node* node = document_.routes[index].node->find("hostnames");
    if (node == nullptr) return;
    for (const Node& item : node->items) {
      const auto name = parse_override_name(item.text);
      if (name && !explicit_.contains(name->lower_wire())) add(*name, index, item.place, listeners);
    }
  }

  void add(const dns::Name& name, std::size_t route, const Place& place,
           const std::vector<std::size_t>& listeners) {
    const auto [at, added] = index_.try_emplace(name.lower_wire(), all_.size());
    if (added) all_.push_back({name, route, place, {}});
    auto& known = all_[at->second].listeners;
    for (const std::size_t listener : listeners) {
      if (std::find(known.begin(), known.end(), listener) == known.end()) known.push_back(listener);
    }
  }

  void warn_of_others(const Publication& publication) {
    const ListenerSettings& first = config_.listeners[publication.listeners.front()];
    for (const std::size_t i : publication.listeners) {
      const ListenerSettings& other = config_.listeners[i];
      if (published_addresses(other) == published_addresses(first)) continue;
      reader_.warning(
          publication.place,
          fmt::format("gateway.route.hostnames: '{}' is served by the listeners '{}' "
                      "and '{}'; DNS says the address of '{}' only; write a "
                      "[[dns.override]] for it, or publish_dns = false for one of them",
                      without_dot(publication.name), first.name, other.name, first.name));
      return;
    }
  }

  dns::OverrideSettings& override_for(const RuleKey& key) {
    const auto [at, added] = rules_.try_emplace(key, config_.policy.overrides.size());
    if (added) {
      const auto& [route, listeners, not_in_views] = key;
      dns::OverrideSettings& rule = config_.policy.overrides.emplace_back();
      rule.addresses = published_addresses(config_.listeners[listeners.front()]);
      config_.publishers.push_back(listeners);
      rule.not_in_views.assign(not_in_views.begin(), not_in_views.end());
      rule.source = config_.routes[route].source + ", publish_dns";
    }
    return config_.policy.overrides[at->second];
  }

  Reader& reader_;
  Document& document_;
  Config& config_;
  std::unordered_set<std::string> explicit_;
  std::vector<Publication> all_;
  std::unordered_map<std::string, Views> views_of_zones_;
  std::map<std::string, std::size_t> index_;  // into all_
  std::map<RuleKey, std::size_t> rules_;      // into the overrides
};

/// Names that are no names in DNS (addresses) are left out.
std::shared_ptr<const dns::HostSet> hosts_of(const ListenerSettings& listener,
                                             const CertificateNames& names) {
  std::vector<dns::Name> hosts;
  for (const std::string& certificate : listener.certificates) {
    const auto found = names.find(certificate);
    if (found == names.end()) continue;
    for (const std::string& text : found->second) {
      if (IpAddress::parse(text)) continue;
      if (auto name = dns::Name::parse(text)) hosts.push_back(std::move(*name));
    }
  }
  return std::make_shared<const dns::HostSet>(hosts);
}

class ServiceBinder {
 public:
  ServiceBinder(const Config& config, const CertificateNames& names) : config_(config) {
    for (const ListenerSettings& listener : config.listeners) {
      bindings_.push_back({listener.alpn, listener.https, hosts_of(listener, names)});
    }
  }

  /// `only`: indexes of listeners; nullptr: all on its addresses.
  std::vector<dns::ServiceBinding> services_for(const dns::OverrideSettings& rule,
                                                const std::vector<std::size_t>* only) const {
    std::vector<dns::ServiceBinding> services;
    for (std::size_t i = 0; i < bindings_.size(); ++i) {
      const ListenerSettings& listener = config_.listeners[i];
      const bool wanted =
          only == nullptr || std::find(only->begin(), only->end(), i) != only->end();
      if (wanted && listener.https != 0 && has_all_addresses(listener, rule)) {
        services.push_back(bindings_[i]);
      }
    }
    std::stable_partition(services.begin(), services.end(),
                          [](const dns::ServiceBinding& one) { return one.port == kHttpsPort; });
    return services;
  }

 private:
  const Config& config_;
  std::vector<dns::ServiceBinding> bindings_;  // by index of config_.listeners
};

}  // namespace

void publish_routes(Reader& reader, Document& document) { Publisher(reader, document).run(); }

void bind_services(Config& config, const CertificateNames& names) {
  const ServiceBinder binder(config, names);
  auto& overrides = config.policy.overrides;
  const std::size_t published_at = overrides.size() - config.publishers.size();
  for (std::size_t i = 0; i < overrides.size(); ++i) {
    if (overrides[i].https != dns::OverrideHttps::kGateway) continue;
    const bool published = i >= published_at;
    overrides[i].services = binder.services_for(
        overrides[i], published ? &config.publishers[i - published_at] : nullptr);
  }
}

}  // namespace postern::server
