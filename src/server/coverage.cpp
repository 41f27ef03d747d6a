#include "server/coverage.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "server/config_help.h"

namespace postern::server {
namespace {

using gateway::ListenerSettings;
using http::RouteSettings;

/// `host` may be a wildcard itself: "*.x" is covered as far as a certificate can.
bool is_covered(const std::vector<std::string>& names, const std::string& host) {
  const std::size_t dot = host.find('.');
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name == host || (name.starts_with("*.") && dot != std::string::npos &&
                            std::string_view(name).substr(1) == std::string_view(host).substr(dot));
  });
}

bool has(const std::vector<std::string>& list, const std::string& one) {
  return std::find(list.begin(), list.end(), one) != list.end();
}

class Coverage {
 public:
  Coverage(const Config& config, const CertificateNames& names) : config_(config), names_(names) {}

  void check_routes() {
    for (const RouteSettings& route : config_.routes) {
      for (const std::string& hostname : route.hostnames) check_route(route, to_lower(hostname));
    }
  }

  void check_overrides() {
    for (const dns::OverrideSettings& rule : config_.policy.overrides) {
      if (rule.forward || rule.cname) continue;
      for (const dns::Name& name : rule.names) check_override(rule, to_lower(without_dot(name)));
    }
  }

  std::vector<UncoveredHost> take() { return std::move(uncovered_); }

 private:
  void check_route(const RouteSettings& route, const std::string& host) {
    said_.insert(host);
    for (const ListenerSettings& listener : config_.listeners) {
      if (listener.tcp != 0 || !is_on(route, listener)) continue;
      const auto names = names_of(listener);
      if (!names || is_covered(*names, host)) continue;
      auto problem = warning_at(
          route.source, fmt::format("gateway.route.hostnames: no certificate of the listener '{}' "
                                    "covers '{}', so browsers refuse it; there are: {}",
                                    listener.name, host, fmt::join(*names, ", ")));
      uncovered_.push_back({host, {listener.name}, std::move(problem)});
    }
  }

  /// Names of routes have been looked at.
  void check_override(const dns::OverrideSettings& rule, const std::string& host) {
    if (said_.contains(host)) return;
    std::vector<std::string> all, listeners;
    for (const ListenerSettings& listener : config_.listeners) {
      if (!shares_address(listener, rule)) continue;
      const auto names = names_of(listener);
      if (!names && listener.https != 0) return;
      if (!names) continue;
      all.insert(all.end(), names->begin(), names->end());
      listeners.push_back(listener.name);
    }
    if (listeners.empty() || is_covered(all, host)) return;
    auto problem = warning_at(
        rule.source, fmt::format("dns.override.names: '{}' leads to the listener '{}', which has "
                                 "no certificate that covers it; there are: {}",
                                 host, fmt::join(listeners, "', '"), fmt::join(all, ", ")));
    uncovered_.push_back({host, std::move(listeners), std::move(problem)});
  }

  /// nullopt: no HTTPS, or not known.
  std::optional<std::vector<std::string>> names_of(const ListenerSettings& listener) const {
    if (listener.https == 0) return std::nullopt;
    std::vector<std::string> all;
    for (const std::string& certificate : listener.certificates) {
      const auto names = names_.find(certificate);
      if (names == names_.end()) return std::nullopt;
      all.insert(all.end(), names->second.begin(), names->second.end());
    }
    return all;
  }

  const Config& config_;
  const CertificateNames& names_;
  std::set<std::string> said_;
  std::vector<UncoveredHost> uncovered_;
};

/// (host, listener)
std::set<std::pair<std::string, std::string>> pairs_of(
    const std::vector<UncoveredHost>& uncovered) {
  std::set<std::pair<std::string, std::string>> pairs;
  for (const UncoveredHost& one : uncovered) {
    for (const std::string& listener : one.listeners) pairs.emplace(one.host, listener);
  }
  return pairs;
}

}  // namespace

std::vector<UncoveredHost> find_uncovered(const Config& config, const CertificateNames& names) {
  Coverage coverage(config, names);
  coverage.check_routes();
  coverage.check_overrides();
  return coverage.take();
}

std::vector<ConfigProblem> warnings_of(const std::vector<UncoveredHost>& uncovered) {
  std::vector<ConfigProblem> problems;
  problems.reserve(uncovered.size());
  for (const UncoveredHost& one : uncovered) problems.push_back(one.problem);
  return problems;
}

std::vector<LostHosts> find_lost(const Config& config, const std::vector<std::size_t>& renewed,
                                 const CertificateNames& names_before,
                                 const std::vector<UncoveredHost>& uncovered_before,
                                 const std::vector<UncoveredHost>& uncovered) {
  const auto before = pairs_of(uncovered_before);
  const auto now = pairs_of(uncovered);
  std::vector<LostHosts> lost;
  for (const std::size_t index : renewed) {
    const std::string& name = config.certificates[index].name;
    const auto names = names_before.find(name);
    if (names == names_before.end()) continue;
    for (const ListenerSettings& listener : config.listeners) {
      if (!has(listener.certificates, name)) continue;
      LostHosts of_listener{index, listener.name, {}};
      for (const auto& one : now) {
        const bool is_new = one.second == listener.name && !before.contains(one);
        if (is_new && is_covered(names->second, one.first)) of_listener.hosts.push_back(one.first);
      }
      if (!of_listener.hosts.empty()) lost.push_back(std::move(of_listener));
    }
  }
  return lost;
}

}  // namespace postern::server
