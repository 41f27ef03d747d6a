// The gateway's part of the API.
#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "server/api.h"

namespace postern::server {
namespace {

constexpr std::int64_t kDayS = 86'400;

Json backend_json(const std::string& text, std::uint64_t weight, const WorkerCounts& counts) {
  gateway::BackendCounts own;
  for (const gateway::BackendCounts& one : counts.gateway.backends) {
    if (one.backend == text) own = one;
  }
  return {{"backend", text},
          {"weight", weight},
          {"healthy", own.healthy()},
          {"requests", own.requests},
          {"failures", own.failures},
          {"connections", own.connections},
          {"addresses_left_out", own.left_out}};
}

// Each once: several routes may have it.
Json uncovered_json(const GatewayPart& part, const std::string& listener) {
  std::set<std::string_view> hosts;
  for (const UncoveredHost& one : part.uncovered) {
    const auto& all = one.listeners;
    if (std::find(all.begin(), all.end(), listener) != all.end()) hosts.insert(one.host);
    if (hosts.size() >= kApiListMax) break;
  }
  return hosts;
}

Json listener_json(const gateway::ListenerSettings& listener, const GatewayPart& part,
                   const WorkerCounts& counts) {
  Json addresses = Json::array(), backends = Json::array();
  for (const IpAddress& ip : listener.addresses) addresses.push_back(ip.to_string());
  for (const gateway::TcpBackend& one : listener.backends) {
    const bool brackets = one.host.find(':') != std::string::npos;
    backends.push_back(backend_json(brackets ? fmt::format("[{}]:{}", one.host, one.port)
                                             : fmt::format("{}:{}", one.host, one.port),
                                    1, counts));
  }
  return {{"name", listener.name},
          {"address", std::move(addresses)},
          {"http", listener.http},
          {"https", listener.https},
          {"tcp", listener.tcp},
          {"certificates", listener.certificates},
          {"uncovered", uncovered_json(part, listener.name)},
          {"alpn", listener.alpn},
          {"quic", listener.quic_refuse ? "refuse" : "ignore"},
          {"redirect_to_https", listener.redirect_to_https},
          {"backends", std::move(backends)},
          {"source", listener.source}};
}

std::string match_text(const http::RouteMatchSettings& match) {
  constexpr std::array<std::string_view, 3> kMarks{"= ", "~ ", ""};
  std::string text = fmt::format("{}{}", kMarks[static_cast<std::size_t>(match.kind)], match.path);
  if (!match.method.empty()) text = match.method + " " + text;
  for (const auto& [name, value] : match.headers) text += fmt::format(", {}: {}", name, value);
  for (const auto& [name, value] : match.query) text += fmt::format(", {}={}", name, value);
  return text;
}

std::string redirect_text(const http::RedirectSettings& redirect) {
  return fmt::format("{} to {}{}{}", redirect.status, redirect.scheme,
                     redirect.scheme.empty() ? "" : "://", redirect.hostname);
}

Json route_json(const http::RouteSettings& route, const WorkerCounts& counts) {
  Json matches = Json::array(), backends = Json::array();
  for (const http::RouteMatchSettings& match : route.matches) matches.push_back(match_text(match));
  for (const http::BackendSettings& one : route.backends) {
    backends.push_back(backend_json(one.url.to_string(), one.weight, counts));
  }
  std::string action;
  if (route.redirect) action = redirect_text(*route.redirect);
  if (route.respond) action = fmt::format("{} from here", route.respond->status);
  return {{"hostnames", route.hostnames},    {"listeners", route.listeners},
          {"matches", std::move(matches)},   {"action", action},
          {"backends", std::move(backends)}, {"health", route.health.path},
          {"source", route.source}};
}

Json certificate_json(const ServerState& server, std::size_t i, std::int64_t now_s) {
  const CertificateSettings& settings = server.snapshot->config.certificates[i];
  const net::TlsIdentity& identity = *server.snapshot->gateway->certificates[i].identity;
  std::string rejected;
  for (const CertificateRejection& one : *server.certificates_rejected) {
    if (one.index == i) rejected = one.reason;
  }
  const std::int64_t left_s = identity.not_after_s() - now_s;
  return {{"name", settings.name},
          {"names", identity.names()},
          {"not_before", identity.not_before_s()},
          {"not_after", identity.not_after_s()},
          {"days_left", left_s < 0 ? -1 : left_s / kDayS},
          {"fingerprint", identity.fingerprint()},
          {"rejected", rejected},
          {"file", settings.cert},
          {"source", settings.source}};
}

}  // namespace

Json gateway_json(const ServerState& server, const WorkerCounts& counts) {
  const Config& config = server.snapshot->config;
  Json listeners = Json::array(), routes = Json::array(), certificates = Json::array();
  for (const auto& listener : config.listeners) {
    listeners.push_back(listener_json(listener, *server.snapshot->gateway, counts));
  }
  for (const http::RouteSettings& route : config.routes) {
    if (routes.size() >= kApiListMax) break;
    routes.push_back(route_json(route, counts));
  }
  for (std::size_t i = 0; i < config.certificates.size(); ++i) {
    certificates.push_back(certificate_json(server, i, unix_now_s()));
  }
  return {{"requests", counts.gateway.requests_h1 + counts.gateway.requests_h2},
          {"connections", counts.gateway.connections},
          {"tcp_connections", counts.gateway.tcp_connections},
          {"listeners", std::move(listeners)},
          {"routes", std::move(routes)},
          {"routes_total", config.routes.size()},
          {"certificates", std::move(certificates)}};
}

}  // namespace postern::server
