#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "server/config_gateway.h"
#include "server/config_help.h"

namespace postern::server {
namespace {

using Listener = Element<gateway::ListenerSettings>;
using Route = Element<http::RouteSettings>;
using Places = std::unordered_map<std::string, Place>;

bool is_empty_array(const Node* node) {
  return node != nullptr && node->kind == Node::Kind::kArray && node->items.empty();
}

void check_name(Reader& reader, const Node& node, const std::string& name, std::string_view section,
                Places* seen) {
  if (has_wrong_type(node, "name")) return;
  const Place place = key_place(node, "name");
  if (name.empty()) {
    reader.error(place, fmt::format("{} without a name; add name = \"lan\"", section));
    return;
  }
  const auto [first, added] = seen->try_emplace(name, place);
  if (added) return;
  reader.error(place, fmt::format("{}.name: '{}' is given twice, first at {}; choose another",
                                  section, name, reader.place_text(first->second)));
}

// [[tls.certificate]]

void check_certificate_file(Reader& reader, const Node& node, const std::string& name,
                            std::string_view key, std::string* file) {
  if (has_wrong_type(node, key)) return;
  const Node* value = node.find(key);
  if (value == nullptr || file->empty()) {
    reader.error(key_place(node, key), fmt::format("tls.certificate '{}' without {}; add {} = "
                                                   "\"tls/tls.{}\", a PEM file",
                                                   name, key, key, key == "key" ? "key" : "crt"));
    return;
  }
  *file = beside(reader.file_of(value->place), *file);
  const std::string why = why_not_readable(*file);
  if (why.empty()) return;
  reader.error(value->place,
               fmt::format("tls.certificate.{}: cannot read '{}': {}; a path is relative to the "
                           "file that has it",
                           key, *file, why));
  file->clear();  // nobody tries to read it and says the same again
}

void check_certificates(Reader& reader, Document& document) {
  Places seen;
  for (auto& [node, certificate] : document.certificates) {
    check_name(reader, *node, certificate.name, "tls.certificate", &seen);
    check_certificate_file(reader, *node, certificate.name, "cert", &certificate.cert);
    check_certificate_file(reader, *node, certificate.name, "key", &certificate.key);
  }
}

// [[gateway.listener]]

constexpr std::array<std::string_view, 10> kHttpKeys{
    "http",    "https", "certificates",     "alpn",       "redirect_to_https", "hsts",
    "alt_svc", "quic",  "client_ip_header", "publish_dns"};
constexpr std::array<std::string_view, 3> kTcpKeys{"backends", "proxy_protocol", "idle"};

bool is_off(const Node& value) {
  return value.kind == Node::Kind::kInteger ? value.integer == 0
                                            : value.kind == Node::Kind::kBoolean && !value.boolean;
}

bool is_tcp(const Listener& listener) {
  const Node* tcp = listener.node->find("tcp");
  return tcp != nullptr && !is_off(*tcp);
}

void check_tcp_listener(Reader& reader, Listener& listener) {
  auto& [node, settings] = listener;
  for (const std::string_view key : kHttpKeys) {
    const Node* value = node->find(key);
    if (value == nullptr || is_off(*value)) continue;
    reader.error(value->place, fmt::format("gateway.listener.{} is for HTTP, and '{}' is plain TCP "
                                           "(tcp = {}); remove it, or make two listeners",
                                           key, settings.name, settings.tcp));
  }
  const Node* backends = node->find("backends");
  if (backends == nullptr || is_empty_array(backends)) {
    reader.error(key_place(*node, "backends"),
                 fmt::format("gateway.listener '{}' has tcp, but no backends; add backends = "
                             "[\"10.43.0.20:5432\"]",
                             settings.name));
  }
  settings.http = settings.https = 0;
  settings.redirect_to_https = settings.publish_dns = settings.quic_refuse = false;
}

void check_https(Reader& reader, Listener& listener) {
  auto& [node, settings] = listener;
  const Node* certificates = node->find("certificates");
  const bool none = certificates == nullptr || is_empty_array(certificates);
  if (settings.https != 0 && none) {
    reader.error(
        node->find("https") != nullptr ? key_place(*node, "https")
                                       : key_place(*node, "certificates"),
        fmt::format("gateway.listener '{}': https = {} needs certificates; name one or set https = "
                    "0",
                    settings.name, settings.https));
  }
  if (is_empty_array(node->find("alpn"))) {
    reader.error(key_place(*node, "alpn"),
                 "gateway.listener.alpn is empty; allowed: \"h2\", \"http/1.1\"");
  }
  if (settings.https != 0) return;
  settings.quic_refuse = false;
  const Node* redirect = node->find("redirect_to_https");
  for (const Node* value : {redirect, node->find("hsts")}) {
    if (value == nullptr || is_off(*value) || (value != redirect && settings.hsts_s == 0)) continue;
    reader.error(value->place,
                 fmt::format("gateway.listener.{} is of no use with https = 0; remove it",
                             value == redirect ? "redirect_to_https" : "hsts"));
  }
  settings.redirect_to_https = false;
}

void check_http_listener(Reader& reader, Listener& listener) {
  auto& [node, settings] = listener;
  for (const std::string_view key : kTcpKeys) {
    const Node* value = node->find(key);
    if (value == nullptr || is_off(*value)) continue;
    reader.error(value->place,
                 fmt::format("gateway.listener.{} is for a listener with tcp; where HTTP goes is "
                             "said by [[gateway.route]]",
                             key));
  }
  if (settings.http == 0 && settings.https == 0) {
    reader.error(
        key_place(*node, "http"),
        fmt::format("gateway.listener '{}' serves nothing: http, https and tcp are 0; give "
                    "one of them a port",
                    settings.name));
  }
  check_https(reader, listener);
}

void check_listener_keys(Reader& reader, Listener& listener) {
  auto& [node, settings] = listener;
  const Node* address = node->find("address");
  if (address == nullptr || is_empty_array(address)) {
    reader.error(key_place(*node, "address"),
                 fmt::format("gateway.listener '{}' without an address; add address = "
                             "[\"192.168.10.50\"], or [\"0.0.0.0\", \"::\"] for all",
                             settings.name));
  }
  if (is_tcp(listener)) {
    check_tcp_listener(reader, listener);
  } else {
    check_http_listener(reader, listener);
  }
}

struct Port {
  std::string_view key;
  std::uint16_t number;
};

std::array<Port, 3> ports_of(const gateway::ListenerSettings& listener) {
  return {{{"http", listener.http}, {"https", listener.https}, {"tcp", listener.tcp}}};
}

/// What stands in the way of other listeners than those of the gateway, "" when nothing does.
std::string taken_by(const Document& document, const Endpoint& endpoint) {
  for (const Endpoint& listen : document.config.listen) {
    if (overlap(endpoint, listen)) return "dns.listen, " + listen.to_string();
  }
  const auto& admin = document.config.server.admin;
  if (admin && overlap(endpoint, *admin)) return "server.admin, " + admin->to_string();
  return {};
}

/// Everything that listeners listen on, to find what two of them want.
class Endpoints {
 public:
  Endpoints(Reader& reader, const Document& document) : reader_(reader), document_(document) {}

  /// One problem of a listener is enough.
  void add(const Listener& listener) {
    for (const IpAddress& ip : listener.value.addresses) {
      for (const Port& port : ports_of(listener.value)) {
        if (port.number != 0 && !add(listener, {ip, port.number}, port.key)) return;
      }
    }
  }

 private:
  struct Owner {
    Endpoint endpoint;
    const Listener* listener;
    std::string_view key;
  };

  bool add(const Listener& listener, const Endpoint& endpoint, std::string_view key) {
    std::string other = taken_by(document_, endpoint);
    const auto owner = std::find_if(owners_.begin(), owners_.end(),
                                    [&](const Owner& o) { return overlap(o.endpoint, endpoint); });
    if (owner != owners_.end() && owner->listener == &listener) {
      other = fmt::format("its own {}", owner->key);
    } else if (owner != owners_.end()) {
      other = fmt::format("the listener '{}' at {}", owner->listener->value.name,
                          reader_.line_text(owner->listener->node->place));
    }
    owners_.push_back({endpoint, &listener, key});
    if (other.empty()) return true;
    reader_.error(key_place(*listener.node, key),
                  fmt::format("gateway.listener '{}': {} on {} is in the way of {}; choose another "
                              "port or address",
                              listener.value.name, key, endpoint.to_string(), other));
    return false;
  }

  Reader& reader_;
  const Document& document_;
  std::vector<Owner> owners_;
};

void check_listeners(Reader& reader, Document& document) {
  std::vector<std::string_view> certificates;
  for (const auto& element : document.certificates) certificates.push_back(element.value.name);
  Places seen;
  Endpoints endpoints(reader, document);
  for (Listener& listener : document.listeners) {
    check_name(reader, *listener.node, listener.value.name, "gateway.listener", &seen);
    check_listener_keys(reader, listener);
    endpoints.add(listener);
    const Node* named = listener.node->find("certificates");
    if (named == nullptr || is_tcp(listener)) continue;
    for (const Node& item : named->items) {
      check_reference(reader, item, "gateway.listener.certificates", "tls.certificate",
                      certificates);
    }
  }
}

// [[gateway.route]]

void check_route_listeners(Reader& reader, const Document& document, const Node& node) {
  const Node* listeners = node.find("listeners");
  if (listeners == nullptr) return;
  std::vector<std::string_view> known;
  for (const Listener& listener : document.listeners) {
    if (!is_tcp(listener)) known.push_back(listener.value.name);
  }
  for (const Node& item : listeners->items) {
    const bool tcp = std::any_of(document.listeners.begin(), document.listeners.end(),
                                 [&](const Listener& listener) {
                                   return listener.value.name == item.text && is_tcp(listener);
                                 });
    if (!tcp) {
      check_reference(reader, item, "gateway.route.listeners", "gateway.listener", known);
      continue;
    }
    reader.error(item.place, fmt::format("gateway.route.listeners: '{}' is a plain TCP listener, "
                                         "which has backends of its own; name one for HTTP",
                                         item.text));
  }
}

void check_action(Reader& reader, const Node& node) {
  std::vector<std::string_view> given;
  for (const std::string_view key : {"backends", "redirect", "respond"}) {
    if (node.find(key) != nullptr) given.push_back(key);
  }
  if (given.empty()) {
    reader.error(node.place,
                 "gateway.route says nothing about its requests; give one of backends, redirect, "
                 "respond");
  } else if (given.size() > 1) {
    reader.error(key_place(node, given[1]),
                 fmt::format("gateway.route has {}; keep one of them", fmt::join(given, " and ")));
  } else if (is_empty_array(node.find("backends"))) {
    reader.error(key_place(node, "backends"),
                 "gateway.route.backends is empty; name one at least, or respond in its place");
  }
}

void check_backends(Reader& reader, const Route& route) {
  const Node* backends = route.node->find("backends");
  if (backends == nullptr || backends->items.empty()) return;
  for (const Node& item : backends->items) {
    if (item.kind != Node::Kind::kTable || item.find("url") != nullptr) continue;
    reader.error(item.place,
                 "gateway.route.backends: a backend without url; add url = \"http://host:port\"");
  }
  const auto& values = route.value.backends;
  if (std::any_of(values.begin(), values.end(), [](const auto& b) { return b.weight != 0; }))
    return;
  reader.error(backends->place,
               "gateway.route.backends: every weight is 0, so that no request "
               "could go anywhere; give one of them a weight");
}

void check_matches(Reader& reader, const Node& node) {
  const Node* matches = node.find("matches");
  if (matches == nullptr) return;
  for (const Node& item : matches->items) {
    const Node* first = nullptr;
    for (const std::string_view key : {"path_prefix", "path_exact", "path_regex"}) {
      const Node* path = item.find(key);
      if (path == nullptr) continue;
      if (first != nullptr) {
        reader.error(path->place,
                     "gateway.route.matches: more than one of path_prefix, "
                     "path_exact, path_regex; write one match for each");
      }
      first = path;
    }
  }
}

/// The node that "matches[0].path_regex" means, or the last one on the way that is there.
const Node& node_at(const Node& route, std::string_view key) {
  const Node* at = &route;
  while (!key.empty()) {
    const std::size_t end = std::min(key.find_first_of(".["), key.size());
    const Node* next = nullptr;
    if (std::size_t index = 0; key.starts_with('[')) {
      std::from_chars(key.data() + 1, key.data() + key.size(), index);
      next = index < at->items.size() ? &at->items[index] : nullptr;
      key.remove_prefix(std::min(key.find(']'), key.size() - 1) + 1);
    } else {
      next = at->find(key.substr(0, end));
      key.remove_prefix(end);
    }
    if (key.starts_with('.')) key.remove_prefix(1);
    if (next == nullptr) break;
    at = next;
  }
  return *at;
}

/// "matches[0].path_regex" without the index, which the place says.
std::string key_text(std::string_view key) {
  std::string text = "gateway.route";
  bool inside = false;
  if (!key.empty()) text += '.';
  for (const char c : key) {
    inside = (inside || c == '[') && c != ']';
    if (!inside && c != ']') text += c;
  }
  return text;
}

/// What is wrong with a value by itself; what check_action() and the reader said is left out.
void check_route_values(Reader& reader, const Route& route) {
  for (const http::RouteProblem& problem : http::check_route(route.value)) {
    if (problem.key.empty()) continue;
    const Node* backends = route.node->find("backends");
    if (problem.key == "filters" && backends != nullptr) continue;
    const Node& node = node_at(*route.node, problem.key);
    reader.error(node.place, fmt::format("{}: {}", key_text(problem.key), problem.detail));
  }
}

void check_routes(Reader& reader, const Document& document) {
  for (const Route& route : document.routes) {
    check_route_listeners(reader, document, *route.node);
    check_action(reader, *route.node);
    check_backends(reader, route);
    check_matches(reader, *route.node);
    check_route_values(reader, route);
  }
}

}  // namespace

void check_gateway(Reader& reader, Document& document) {
  check_certificates(reader, document);
  check_listeners(reader, document);
  check_routes(reader, document);
}

void finish_gateway(Reader& reader, Document& document) {
  move_values(reader, document.certificates, &document.config.certificates);
  move_values(reader, document.listeners, &document.config.listeners);
  move_values(reader, document.routes, &document.config.routes);
}

}  // namespace postern::server
