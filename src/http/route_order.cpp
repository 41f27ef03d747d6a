#include "http/route_order.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>

#include "http/authority.h"
#include "http/url.h"

namespace postern::http {
namespace {

/// What precedence tells apart, or no request can have both of.
struct Likeness {
  std::string host;
  PathMatch kind;
  std::string path;  ///< not of a path_regex: two of them may fit one path
  std::string method;
  std::size_t headers;
  std::size_t query;

  friend bool operator<(const Likeness& a, const Likeness& b) {
    return std::tie(a.host, a.kind, a.path, a.method, a.headers, a.query) <
           std::tie(b.host, b.kind, b.path, b.method, b.headers, b.query);
  }
};

struct Entry {
  std::size_t route;
  std::size_t match;
  const RouteSettings* settings;
  const RouteMatchSettings* rule;
  PathRange paths;  ///< of a path_regex
};

std::set<std::string> hosts_of(const RouteSettings& route) {
  if (route.hostnames.empty()) return {"*"};
  std::set<std::string> hosts;
  for (const std::string& text : route.hostnames) {
    const std::size_t begin = text.starts_with("*.") ? 2 : 0;
    const auto name = parse_host_port(std::string_view(text).substr(begin));
    if (name) hosts.insert(text.substr(0, begin) + std::string(name->host()));
  }
  return hosts;
}

std::string path_of(const RouteMatchSettings& rule) {
  if (rule.kind == PathMatch::kRegex) return "";
  std::string path = parse_config_path(rule.path).value_or(rule.path);
  if (rule.kind == PathMatch::kPrefix && path.ends_with('/')) path.pop_back();
  return path;
}

/// Do both ask for one name, with other values?
bool exclude(const std::vector<HeaderValue>& a, const std::vector<HeaderValue>& b) {
  return std::any_of(a.begin(), a.end(), [&](const HeaderValue& x) {
    return std::any_of(b.begin(), b.end(), [&](const HeaderValue& y) {
      return x.name == y.name && x.value != y.value;
    });
  });
}

bool share_listener(const RouteSettings& a, const RouteSettings& b) {
  return a.listeners.empty() || b.listeners.empty() ||
         std::find_first_of(a.listeners.begin(), a.listeners.end(), b.listeners.begin(),
                            b.listeners.end()) != a.listeners.end();
}

/// Could one request fit both? True when in doubt. REQUIRES: both are of one Likeness.
bool meet(const Entry& a, const Entry& b) {
  return a.route != b.route && share_listener(*a.settings, *b.settings) &&
         a.paths.least <= b.paths.most && b.paths.least <= a.paths.most &&
         !exclude(a.rule->headers, b.rule->headers) && !exclude(a.rule->query, b.rule->query);
}

using Groups = std::map<Likeness, std::vector<Entry>>;

void add(const Entry& entry, Groups& groups) {
  const RouteMatchSettings& rule = *entry.rule;
  for (const std::string& host : hosts_of(*entry.settings)) {
    groups[{host, rule.kind, path_of(rule), rule.method, rule.headers.size(), rule.query.size()}]
        .push_back(entry);
  }
}

}  // namespace

std::vector<RouteRank> route_ranks(std::span<const RouteSettings> routes) {
  static const RouteMatchSettings every_request;
  Groups groups;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const std::span<const RouteMatchSettings> rules =
        routes[i].matches.empty() ? std::span(&every_request, 1) : std::span(routes[i].matches);
    for (std::size_t k = 0; k < rules.size(); ++k) {
      const bool regex = rules[k].kind == PathMatch::kRegex;
      add({i, k, &routes[i], &rules[k], regex ? path_range(rules[k].path) : PathRange{}}, groups);
    }
  }
  std::vector<RouteRank> ranks;
  for (const auto& [likeness, entries] : groups) {
    for (auto one = entries.begin(); one != entries.end(); ++one) {
      const auto before = std::count_if(entries.begin(), one,
                                        [&](const Entry& other) { return meet(other, *one); });
      if (before == 0) continue;
      ranks.push_back(
          {one->route, one->match, likeness.host, static_cast<std::size_t>(before) + 1});
    }
  }
  std::sort(ranks.begin(), ranks.end(), [](const RouteRank& a, const RouteRank& b) {
    return std::tie(a.route, a.match, a.host) < std::tie(b.route, b.match, b.host);
  });
  return ranks;
}

}  // namespace postern::http
