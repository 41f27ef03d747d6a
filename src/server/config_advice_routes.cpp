#include "server/config_advice_routes.h"

#include <algorithm>
#include <set>
#include <string>

#include <fmt/format.h>

#include "dns/override.h"
#include "server/config_help.h"

namespace postern::server {
namespace {

using gateway::ListenerSettings;
using http::RouteMatchSettings;
using http::RouteSettings;

// Listeners and certificates

void warn_of_trusted_everybody(Reader& reader, const Document& document) {
  for (const auto& [node, unused] : document.listeners) {
    const Node* proxies = node->find("trusted_proxies");
    if (proxies == nullptr) continue;
    for (const Node& item : proxies->items) {
      if (!item.text.ends_with("/0")) continue;
      reader.warning(item.place,
                     fmt::format("gateway.listener.trusted_proxies: '{}' is everybody, so any "
                                 "client may claim any address; write the proxy's address alone",
                                 item.text));
    }
  }
}

void warn_of_unused_certificates(Reader& reader, const Document& document) {
  const auto& listeners = document.config.listeners;
  for (std::size_t i = 0; i < document.certificates.size(); ++i) {
    const std::string& name = document.config.certificates[i].name;
    const bool used = std::any_of(listeners.begin(), listeners.end(), [&](const auto& listener) {
      const auto& names = listener.certificates;
      return listener.https != 0 && std::find(names.begin(), names.end(), name) != names.end();
    });
    if (used) continue;
    reader.warning(document.certificates[i].node->place,
                   fmt::format("tls.certificate '{}' is used by no listener with https; name it in "
                               "certificates of a [[gateway.listener]], or remove it",
                               name));
  }
}

void warn_of_keys_of_https(Reader& reader, const Document& document) {
  for (const auto& [node, listener] : document.listeners) {
    if (listener.tcp != 0 || listener.https != 0) continue;
    for (const std::string_view key : {"alpn", "quic"}) {
      const Node* value = node->find(key);
      if (value == nullptr || value->text == "ignore") continue;
      reader.warning(
          value->place,
          fmt::format("gateway.listener.{}: without https it has no effect; remove it", key));
    }
  }
}

// Matches

void warn_of_match(Reader& reader, const Node& node, const RouteMatchSettings& match) {
  if (match.kind == http::PathMatch::kRegex && !http::may_match_path(match.path)) {
    std::string bare = match.path;  // anchors have no place in the middle
    if (bare.starts_with('^')) bare.erase(0, 1);
    if (bare.ends_with('$')) bare.pop_back();
    reader.warning(key_place(node, "path_regex"),
                   fmt::format("gateway.route.matches.path_regex: '{}' is held against the whole "
                               "path, which begins with '/': it never fits; write \"/{}\", or "
                               "\".*{}.*\" for anywhere",
                               match.path, bare, bare));
  }
  if (match.kind == http::PathMatch::kPrefix && match.path.ends_with("/*")) {
    const std::string below =
        match.path.size() == 2 ? "/" : match.path.substr(0, match.path.size() - 2);
    reader.warning(key_place(node, "path_prefix"),
                   fmt::format("gateway.route.matches.path_prefix: the '*' of \"{}\" stands for "
                               "itself; a prefix covers all that is below it: write \"{}\"",
                               match.path, below));
  }
}

// Routes

void warn_of_keys_without_effect(Reader& reader, const Node& node, const RouteSettings& route) {
  if (const Node* health = node.find("health"); health != nullptr && route.health.path.empty()) {
    reader.warning(health->place,
                   "gateway.route.health: without a path no backend is asked; write one, as in "
                   "health = { path = \"/healthz\" }, or remove it");
  }
  if (!route.redirect && !route.respond) return;
  if (node.find("health") != nullptr) {
    reader.warning(key_place(node, "health"),
                   "gateway.route.health: without backends it has no effect; remove it");
  }
  const Node* const timeouts = node.find("timeouts");
  for (const std::string_view key : {"request", "backend"}) {  // idle is for clients, too
    if (timeouts == nullptr || timeouts->find(key) == nullptr) continue;
    reader.warning(
        key_place(*timeouts, key),
        fmt::format("gateway.route.timeouts.{}: without backends it has no effect; remove it",
                    key));
  }
  const Node* filters = node.find("filters");
  if (filters == nullptr) return;
  for (const std::string_view key :
       {"set_request_headers", "add_request_headers", "remove_request_headers"}) {
    if (filters->find(key) == nullptr) continue;
    reader.warning(key_place(*filters, key),
                   fmt::format("gateway.route.filters.{}: without backends it has no effect, since "
                               "it is for what they get; remove it",
                               key));
  }
}

/// Where a client that follows the redirect of a route comes to.
class RedirectLoops {
 public:
  RedirectLoops(Reader& reader, const Document& document) : reader_(reader), document_(document) {
    for (const ListenerSettings& listener : document.config.listeners) {
      tables_.push_back(http::RouteTable::compile(document.config.routes, listener.name));
    }
  }

  void check(const Node& node, const RouteSettings& route) {
    const auto& listeners = document_.config.listeners;
    for (std::size_t i = 0; i < listeners.size(); ++i) {
      if (!is_on(route, listeners[i]) || !returns(listeners[i], *route.redirect)) continue;
      if (!is_found(tables_[i], route)) continue;
      reader_.warning(key_place(node, "redirect"),
                      fmt::format("gateway.route.redirect: on the listener '{}' it leads to this "
                                  "same route, and browsers give up (ERR_TOO_MANY_REDIRECTS); give "
                                  "it another hostname or path, or remove it{}",
                                  listeners[i].name, hint(listeners[i], *route.redirect)));
      return;
    }
  }

 private:
  static std::string_view hint(const ListenerSettings& listener,
                               const http::RedirectSettings& redirect) {
    if (redirect.scheme != "https" || listener.https == 0) return "";
    return "; from http to https the listener's redirect_to_https leads by itself";
  }

  /// Is the redirect's target a port of this listener?
  static bool returns(const ListenerSettings& listener, const http::RedirectSettings& redirect) {
    if (listener.tcp != 0) return false;
    if (redirect.scheme.empty()) {
      return redirect.port == 0 || redirect.port == listener.http ||
             redirect.port == listener.https;
    }
    const bool tls = redirect.scheme == "https";
    const std::uint16_t usual = tls ? 443 : 80;
    const std::uint16_t port = redirect.port != 0 ? redirect.port : usual;
    return port == (tls ? listener.https : listener.http);
  }

  /// With a GET for the target: an example of the route's own host and path, where it is not said.
  static bool is_found(const http::RouteTable& table, const RouteSettings& route) {
    // A route for any host that leads to a host without a route: most likely that is elsewhere.
    if (route.hostnames.empty() && !route.redirect->hostname.empty()) return false;
    const std::vector<std::string> any_host{"host.example"};
    const auto& hosts = route.hostnames.empty() ? any_host : route.hostnames;
    return std::any_of(hosts.begin(), hosts.end(), [&](const std::string& pattern) {
      const std::string own = pattern.starts_with("*.") ? "x" + pattern.substr(1) : pattern;
      const std::string host =
          route.redirect->hostname.empty() ? to_lower(own) : route.redirect->hostname;
      if (route.matches.empty()) return is_found(table, route, host, {});
      return std::any_of(route.matches.begin(), route.matches.end(),
                         [&](const auto& match) { return is_found(table, route, host, match); });
    });
  }

  /// What a client asks for the target with: of other methods a 303 makes a GET, of POST a 301 and
  /// a 302 do, too (RFC 9110 section 15.4).
  static std::string method_behind(const std::string& method, std::uint16_t status) {
    const bool becomes_get =
        status == 303 || (method == "POST" && (status == 301 || status == 302));
    if (method.empty() || (becomes_get && method != "HEAD")) return "GET";
    return method;
  }

  static bool is_found(const http::RouteTable& table, const RouteSettings& route,
                       const std::string& host, const RouteMatchSettings& match) {
    if (!match.headers.empty() || !match.query.empty()) return false;
    std::string path = route.redirect->path;
    path.erase(std::min(path.find('?'), path.size()));
    if (path.empty()) path = match.kind == http::PathMatch::kRegex ? "/" : match.path;
    const http::Fields fields;
    const http::RouteMatch found =
        table.match({host, method_behind(match.method, route.redirect->status), path, "", fields});
    return found && found.route->settings == &route;
  }

  Reader& reader_;
  const Document& document_;
  std::vector<http::RouteTable> tables_;
};

bool listens(const ListenerSettings& listener, const IpAddress& ip, std::uint16_t port) {
  if (port == 0 || (port != listener.http && port != listener.https && port != listener.tcp)) {
    return false;
  }
  return std::any_of(listener.addresses.begin(), listener.addresses.end(), [&](const auto& own) {
    return own == ip || (own.is_unspecified() && ip.is_loopback() && own.is_v4() == ip.is_v4());
  });
}

/// Backends' names are looked up in our own nameserver first, where the override of a wildcard may
/// lead them back here.
class OwnListeners {
 public:
  explicit OwnListeners(const Config& config) : listeners_(config.listeners) {
    std::vector<const dns::OverrideSettings*> rules;
    for (const auto& rule : config.policy.overrides) {
      if (rule.views.empty()) rules.push_back(&rule);
    }
    overrides_ = dns::OverrideTable::compile(rules);
  }

  /// nullptr when nothing of ours listens there.
  const ListenerSettings* find(const std::string& host, std::uint16_t port) const {
    for (const IpAddress& ip : addresses_of(host)) {
      const auto found =
          std::find_if(listeners_.begin(), listeners_.end(),
                       [&](const auto& listener) { return listens(listener, ip, port); });
      if (found != listeners_.end()) return &*found;
    }
    return nullptr;
  }

 private:
  std::vector<IpAddress> addresses_of(const std::string& host) const {
    if (const auto ip = IpAddress::parse(host == "localhost" ? "127.0.0.1" : host)) return {*ip};
    const auto name = dns::Name::parse(host);
    if (!name || host.find('.') == std::string::npos) return {};  // such a one the system knows
    const auto match = overrides_.find(dns::LookupName(name->view()), dns::RrType::kA);
    if (!match || match.rule->forward) return {};
    std::vector<IpAddress> addresses;
    const Bytes a = match.rule->a.bytes();
    for (std::size_t at = 0; at < a.size(); at += 4) addresses.push_back(IpAddress::v4(&a[at]));
    const Bytes aaaa = match.rule->aaaa.bytes();
    for (std::size_t at = 0; at < aaaa.size(); at += 16) {
      addresses.push_back(IpAddress::v6(&aaaa[at]));
    }
    return addresses;
  }

  const std::vector<ListenerSettings>& listeners_;
  dns::OverrideTable overrides_;
};

void warn_of_own_backends(Reader& reader, const OwnListeners& listeners, const Node& node,
                          const RouteSettings& route) {
  const Node* backends = node.find("backends");
  if (backends == nullptr) return;
  for (std::size_t i = 0; i < route.backends.size() && i < backends->items.size(); ++i) {
    const http::BackendUrl& url = route.backends[i].url;
    const ListenerSettings* const own = listeners.find(url.host, url.port);
    if (own == nullptr) continue;
    // With another host they may find another route there, or this one is not on that listener.
    const bool returns = own->tcp == 0 && is_on(route, *own) && route.filters.rewrite.host.empty();
    if (!returns && own->tcp == 0) continue;
    reader.warning(
        backends->items[i].place,
        fmt::format("gateway.route.backends: {} is the listener '{}' {}; write the service's own "
                    "address and port",
                    url.to_string(), own->name,
                    returns ? "itself, so requests go in a circle"
                            : "of this gateway, which passes on plain TCP"));
  }
}

void warn_of_backends_twice(Reader& reader, const Node& node, const RouteSettings& route) {
  const Node* backends = node.find("backends");
  if (backends == nullptr) return;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < route.backends.size() && i < backends->items.size(); ++i) {
    const std::string url = route.backends[i].url.to_string();
    if (seen.insert(url).second) continue;
    reader.warning(backends->items[i].place,
                   fmt::format("gateway.route.backends: {} stands here twice; remove one, and give "
                               "the other a larger weight if it is to get more",
                               url));
  }
}

void warn_of_own_relays(Reader& reader, const OwnListeners& listeners, const Document& document) {
  for (std::size_t i = 0; i < document.listeners.size(); ++i) {
    const ListenerSettings& listener = document.config.listeners[i];
    const Node* backends = document.listeners[i].node->find("backends");
    for (std::size_t b = 0; b < listener.backends.size(); ++b) {
      const gateway::TcpBackend& backend = listener.backends[b];
      if (listeners.find(backend.host, backend.port) != &listener) continue;
      reader.warning(
          backends->items[b].place,
          fmt::format("gateway.listener.backends: '{}' is the listener '{}' itself, so connections "
                      "go in a circle until there are too many; write the service's own address "
                      "and port",
                      backends->items[b].text, listener.name));
    }
  }
}

}  // namespace

void advise_on_routes(Reader& reader, const Document& document) {
  warn_of_trusted_everybody(reader, document);
  warn_of_unused_certificates(reader, document);
  warn_of_keys_of_https(reader, document);
  const OwnListeners own(document.config);
  warn_of_own_relays(reader, own, document);
  RedirectLoops loops(reader, document);
  for (std::size_t i = 0; i < document.routes.size(); ++i) {
    const Node& node = *document.routes[i].node;
    const RouteSettings& route = document.config.routes[i];
    const Node* matches = node.find("matches");
    for (std::size_t m = 0; m < route.matches.size(); ++m) {
      warn_of_match(reader, matches->items[m], route.matches[m]);
    }
    warn_of_keys_without_effect(reader, node, route);
    if (route.redirect) loops.check(node, route);
    warn_of_own_backends(reader, own, node, route);
    warn_of_backends_twice(reader, node, route);
  }
}

}  // namespace postern::server
