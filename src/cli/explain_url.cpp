#include "cli/explain_url.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/explain_dns.h"
#include "cli/record_text.h"
#include "http/header_filter.h"
#include "http/rewrite.h"
#include "http/route.h"
#include "http/url.h"
#include "server/config_values.h"

namespace postern::cli {
namespace {

using gateway::ListenerSettings;
using http::RouteSettings;
using server::Config;

/// A URL taken apart.
struct Target {
  bool tls = false;
  http::HostPort authority;
  std::uint16_t port = 0;
  std::string text;  // what a request line would have
  http::RequestPath path;

  std::string_view host() const { return authority.host(); }
};

/// Where the request comes in.
struct Entrance {
  const ListenerSettings* listener = nullptr;
  Endpoint endpoint;
  bool tls = false;
};

tl::unexpected<Error> wrong(std::string_view url) {
  return fail(Code::kInvalid,
              fmt::format("'{}' is not a URL that a browser asks for; write it like "
                          "\"https://app.example.com/path\"",
                          url));
}

bool parse_url(const std::string& url, Target* out) {
  out->tls = url.starts_with("https://");
  if (!out->tls && !url.starts_with("http://")) return false;
  const std::size_t begin = url.find("://") + 3;
  const std::size_t end = std::min(url.find_first_of("/?#", begin), url.size());
  const auto authority = http::parse_host_port(std::string_view(url).substr(begin, end - begin));
  if (!authority) return false;
  out->authority = *authority;
  out->port = authority->port != 0 ? authority->port : out->tls ? 443 : 80;
  const std::string_view rest = std::string_view(url).substr(end);
  out->text.clear();
  if (!rest.starts_with('/')) out->text.push_back('/');
  out->text += rest.substr(0, rest.find('#'));  // browsers keep the fragment
  return out->path.parse(out->text).has_value();
}

// DNS

/// What a browser cannot learn from the HTTPS record.
void say_https(Lines& lines, const Question& asked, Bytes reply) {
  if (reply.empty()) {
    const std::string edits = edits_of_https(asked);
    if (!edits.empty()) lines.say("https", edits);
  } else if (answer_lines(reply).empty()) {
    lines.say("https", "a query for HTTPS gets no data: nobody learns of HTTP/3 or ECH");
  }
}

/// What browsers ask: A, AAAA and HTTPS. Returns the addresses they get from here.
std::vector<IpAddress> say_addresses(Lines& lines, const Target& target,
                                     const UrlQuestion& question,
                                     const server::Snapshot& snapshot) {
  std::string_view host = target.host();
  if (target.authority.is_address) {
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    return {*IpAddress::parse(host)};
  }
  const auto name = dns::Name::parse(host);
  if (!name) return {};
  // RFC 9460 section 9.1: another port has a name of its own.
  const bool usual = target.port == (target.tls ? 443 : 80);
  const auto service =
      usual ? name : dns::Name::parse(fmt::format("_{}._https", target.port), name->view());
  std::vector<IpAddress> addresses;
  for (const dns::RrType type : {dns::RrType::kA, dns::RrType::kAaaa, dns::RrType::kHttps}) {
    const auto& of = type == dns::RrType::kHttps && service ? service : name;
    const Question asked = make_question(snapshot, of->view(), type, question.client);
    const std::vector<std::uint8_t> reply = reply_from_here(asked);
    if (type == dns::RrType::kA) {
      say_dns(lines, asked);
    } else if (!reply.empty()) {
      for (const std::string& line : answer_lines(reply)) lines.say("", line);
    }
    if (type == dns::RrType::kHttps) say_https(lines, asked, reply);
    for (const IpAddress& ip : answer_addresses(reply)) addresses.push_back(ip);
  }
  return addresses;
}

// The listener

std::optional<Endpoint> find_address(const ListenerSettings& listener,
                                     const std::vector<IpAddress>& addresses, std::uint16_t port) {
  for (const IpAddress& own : listener.addresses) {
    for (const IpAddress& ip : addresses) {
      const bool any = own.is_unspecified() && own.is_v4() == ip.is_v4();
      if (any || own == ip) return Endpoint{ip, port};
    }
  }
  return std::nullopt;
}

bool is_port_of(const ListenerSettings& listener, std::uint16_t port) {
  return listener.http == port || listener.https == port || listener.tcp == port;
}

/// For a client whose addresses are not said here.
Entrance guess_entrance(const Config& config, const Target& target) {
  for (const ListenerSettings& listener : config.listeners) {
    const std::uint16_t port = target.tls ? listener.https : listener.http;
    if (port == target.port && !listener.addresses.empty()) {
      return {&listener, {listener.addresses.front(), port}, target.tls};
    }
  }
  return {};
}

/// The listener that such a connection reaches. A specific address comes before 0.0.0.0, as the
/// kernel has it.
Entrance find_entrance(const Config& config, const std::vector<IpAddress>& addresses,
                       std::uint16_t port) {
  Entrance found;
  for (const ListenerSettings& listener : config.listeners) {
    const auto endpoint = find_address(listener, addresses, port);
    if (!endpoint || !is_port_of(listener, port)) continue;
    const auto& own = listener.addresses;
    const bool exact = std::find(own.begin(), own.end(), endpoint->ip) != own.end();
    if (found.listener == nullptr || exact) {
      found = {&listener, *endpoint, listener.https == port};
    }
    if (exact) break;
  }
  return found;
}

void say_listener(Lines& lines, const Entrance& entrance) {
  const ListenerSettings& listener = *entrance.listener;
  lines.say("listener", fmt::format("{} ({}), {} on {}", listener.name, listener.source,
                                    entrance.tls        ? "HTTPS"
                                    : listener.tcp == 0 ? "HTTP"
                                                        : "TCP",
                                    entrance.endpoint.to_string()));
}

std::string_view alt_svc_text(http::AltSvc policy) {
  switch (policy) {
    case http::AltSvc::kStrip:
      return "strip: the backend's is removed";
    case http::AltSvc::kPass:
      return "pass: the backend's is passed on";
    default:
      return "clear: the backend's is removed, and browsers are told to forget what they had";
  }
}

bool has_name(const std::vector<std::string>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& one) {
    return one.size() == name.size() && http::same_name(one, name);
  });
}

/// The certificate that SNI picks (net/tls.h): an exact name before a wildcard; for an address,
/// which browsers send no SNI for, the first. By index; nullopt: the handshake is refused.
std::optional<std::size_t> pick_certificate(const server::Snapshot& snapshot,
                                            const ListenerSettings& listener,
                                            const Target& target) {
  std::vector<std::size_t> offered;
  const auto& all = snapshot.config.certificates;
  for (const std::string& name : listener.certificates) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == name; });
    if (found != all.end()) offered.push_back(static_cast<std::size_t>(found - all.begin()));
  }
  if (offered.empty() || snapshot.gateway == nullptr) return std::nullopt;
  if (target.authority.is_address) return offered.front();
  const std::string_view host = target.host();
  const std::string wildcard =
      fmt::format("*{}", host.substr(std::min(host.find('.'), host.size())));
  for (const std::string_view wanted : {host, std::string_view(wildcard)}) {
    for (const std::size_t index : offered) {
      if (has_name(snapshot.gateway->certificates[index].identity->names(), wanted)) return index;
    }
  }
  return std::nullopt;
}

void say_tls(Lines& lines, const server::Snapshot& snapshot, const Entrance& entrance,
             const Target& target) {
  const ListenerSettings& listener = *entrance.listener;
  if (const auto index = pick_certificate(snapshot, listener, target)) {
    const server::CertificateSettings& one = snapshot.config.certificates[*index];
    lines.say("tls", fmt::format("{} ({}), {}, for {}", one.name, one.source, one.cert,
                                 fmt::join(snapshot.gateway->certificates[*index].identity->names(),
                                           ", ")));
  } else {
    lines.say("tls", fmt::format("none of the certificates {} has the name: the handshake is "
                                 "refused (unrecognized_name)",
                                 fmt::join(listener.certificates, ", ")));
  }
  lines.say("alpn", fmt::format("{}", fmt::join(listener.alpn, ", ")));
  lines.say("quic", listener.quic_refuse
                        ? fmt::format("refused at once on UDP port {}", listener.https)
                        : std::string("ignored"));
  lines.say("alt-svc", alt_svc_text(listener.alt_svc));
  if (listener.hsts_s != 0) lines.say("hsts", http::hsts_value(listener.hsts_s));
}

// The route

std::string rule_text(const http::RouteMatchSettings& rule) {
  constexpr std::array<std::string_view, 3> kKinds{"path_exact", "path_regex", "path_prefix"};
  std::string text =
      fmt::format("{} = \"{}\"", kKinds[static_cast<std::size_t>(rule.kind)], rule.path);
  if (!rule.method.empty()) text += fmt::format(", method = \"{}\"", rule.method);
  for (const auto& [name, value] : rule.headers)
    text += fmt::format(", header {}: {}", name, value);
  for (const auto& [name, value] : rule.query) text += fmt::format(", query {}={}", name, value);
  return text;
}

void say_edits(Lines& lines, std::string_view side, const http::HeaderEdits& edits) {
  std::vector<std::string> all;
  for (const std::string& name : edits.remove) all.push_back("remove " + name);
  for (const auto& [name, value] : edits.set) all.push_back(fmt::format("set {}: {}", name, value));
  for (const auto& [name, value] : edits.add) all.push_back(fmt::format("add {}: {}", name, value));
  if (!all.empty()) lines.say(side, fmt::format("{}", fmt::join(all, "; ")));
}

std::string timeout_text(std::uint64_t milliseconds) {
  return milliseconds == 0 ? "none" : server::duration_text(milliseconds);
}

void say_backends(Lines& lines, const RouteSettings& route, const http::RouteMatch& match,
                  const Target& target) {
  http::TextArena arena;
  const std::string_view sent =
      http::backend_target(target.path, route.filters.rewrite, match.prefix_elements, arena);
  std::uint64_t sum = 0;
  for (const http::BackendSettings& backend : route.backends) sum += backend.weight;
  for (const http::BackendSettings& backend : route.backends) {
    lines.say("backend",
              fmt::format("{}{}{}", backend.url.to_string(), sent,
                          route.backends.size() == 1
                              ? ""
                              : fmt::format(", {} of {} requests", backend.weight, sum)));
  }
  const std::string& host = route.filters.rewrite.host;
  if (!host.empty()) lines.say("host", host);
  if (!route.health.path.empty()) {
    lines.say("health", fmt::format("{} every {}", route.health.path,
                                    server::duration_text(route.health.interval_ms)));
  }
  lines.say(
      "timeouts",
      fmt::format("request {}, backend {}, idle {}", timeout_text(route.timeouts.request_ms),
                  timeout_text(route.timeouts.backend_ms), timeout_text(route.timeouts.idle_ms)));
  if (route.body_bytes_max != 0) {
    lines.say("body", fmt::format("{} at most, else 413", server::size_text(route.body_bytes_max)));
  }
}

void say_action(Lines& lines, const RouteSettings& route, const http::RouteMatch& match,
                const Target& target, const Entrance& entrance) {
  if (route.redirect) {
    http::TextArena arena;
    const auto location = http::redirect_location(
        *route.redirect, {entrance.tls, target.host(), target.port}, target.path, arena);
    lines.say("redirect", fmt::format("{} to {}", route.redirect->status, location));
  } else if (route.respond) {
    lines.say("respond", fmt::format("{}, {}, {} bytes", route.respond->status,
                                     route.respond->content_type, route.respond->body.size()));
  } else {
    say_backends(lines, route, match, target);
  }
  say_edits(lines, "request", route.filters.request);
  say_edits(lines, "response", route.filters.response);
}

void say_route(Lines& lines, const Config& config, const Entrance& entrance, const Target& target,
               const std::string& method) {
  const auto table = http::RouteTable::compile(config.routes, entrance.listener->name);
  const http::Fields none;
  const http::RouteMatch match =
      table.match({target.host(), method, target.path.decoded(), target.path.query(), none});
  if (!match) return lines.say("route", "none: 404");
  const RouteSettings& route = *match.route->settings;
  lines.say("route", fmt::format("{}, {}", route.source, rule_text(*match.rule)));
  say_action(lines, route, match, target, entrance);
}

/// True when the request goes no further.
bool say_redirect_to_https(Lines& lines, const Entrance& entrance, const Target& target) {
  const ListenerSettings& listener = *entrance.listener;
  if (entrance.tls || !listener.redirect_to_https) return false;
  const std::string port = listener.https == 443 ? "" : fmt::format(":{}", listener.https);
  lines.say("redirect",
            fmt::format("to https://{}{}{} (redirect_to_https)", target.host(), port, target.text));
  return true;
}

void say_gateway(Lines& lines, const server::Snapshot& snapshot, const Target& target,
                 const UrlQuestion& question, const std::vector<IpAddress>& addresses) {
  const Config& config = snapshot.config;
  const Entrance entrance = addresses.empty() ? guess_entrance(config, target)
                                              : find_entrance(config, addresses, target.port);
  if (addresses.empty()) {
    lines.say("address",
              fmt::format("not said here{}", entrance.listener == nullptr
                                                 ? ", and no listener has such a port"
                                                 : "; if the client comes all the same:"));
    if (entrance.listener == nullptr) return;
  }
  if (entrance.listener == nullptr) {
    std::vector<std::string> places;
    places.reserve(addresses.size());
    for (const IpAddress& ip : addresses) places.push_back(Endpoint{ip, target.port}.to_string());
    return lines.say("listener", fmt::format("none of ours on {}", fmt::join(places, ", ")));
  }
  say_listener(lines, entrance);
  if (entrance.listener->tcp == target.port) {
    std::vector<std::string> backends;
    backends.reserve(entrance.listener->backends.size());
    for (const auto& b : entrance.listener->backends) {
      backends.push_back(fmt::format("{}:{}", b.host, b.port));
    }
    return lines.say("backends", fmt::format("{}; bytes as they are", fmt::join(backends, ", ")));
  }
  if (entrance.tls != target.tls) {
    return lines.say("answer", entrance.tls ? "none: this port speaks TLS only"
                                            : "none: this port does not speak TLS");
  }
  if (say_redirect_to_https(lines, entrance, target)) return;
  if (entrance.tls) say_tls(lines, snapshot, entrance, target);
  say_route(lines, config, entrance, target, question.method);
}

}  // namespace

Result<server::Explanation> explain_url(const UrlQuestion& question,
                                        const server::Snapshot& snapshot) {
  Target target;
  if (!parse_url(question.url, &target)) return wrong(question.url);
  Lines lines(fmt::format("{} {}", question.method, question.url));
  const auto addresses = say_addresses(lines, target, question, snapshot);
  say_gateway(lines, snapshot, target, question, addresses);
  return lines.take();
}

}  // namespace postern::cli
