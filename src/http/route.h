// Which route a request takes: host, path, method, header fields and query, with the precedence of
// the Gateway API's HTTPRoute. Compiled once from the configuration, then constant and shared by
// all threads.
//
// Hosts: the exact name, then the longest wildcard, then routes without hostnames. "*.x" covers
// every depth below x and not x itself. The more specific host only comes first: when none of its
// routes matches, those of the less specific ones are tried, and 404 is for requests that no route
// at all matches. That is the letter of the specification ("precedence must be given to",
// HTTPRouteSpec hostnames; "when no rules matching a request", HTTPRouteRule matches);
// implementations that compile hosts to virtual hosts of Envoy or nginx stop at the first host.
//
// Within a host, whatever the route: exact path, regular expression, longest prefix; then a match
// on the method, the greater number of header matches, of query matches, the order in the file.
// The place of regular expressions is left open by the specification; before prefixes, because "/"
// as the last resort would hide them all, and not by their length, which says nothing.
//
// Time grows with the matches of the hosts that fit, not with the number of hosts: one hash look-up
// per label depth that occurs. No memory is allocated, except by RE2 for its cache of states.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/head.h"
#include "http/header_filter.h"
#include "http/rewrite.h"
#include "http/url.h"

namespace re2 {
class RE2;
}

namespace postern::http {

enum class PathMatch : std::uint8_t {
  kExact,   ///< path_exact: "/foo" is not "/foo/"
  kRegex,   ///< path_regex: all of the path, bytes, "." any of them (RE2)
  kPrefix,  ///< path_prefix: by element, "/foo" and "/foo/" match /foo, /foo/, /foo/x, not /foobar
};

/// One entry of `matches`: all of it has to hold. Paths are compared with RequestPath::decoded().
struct RouteMatchSettings {
  PathMatch kind = PathMatch::kPrefix;
  std::string path = "/";
  std::string method;  ///< "": any; case counts, and GET is not HEAD
  /// Whole values; several lines count as one joined with ",". Upgrade whatever its case, for
  /// extended CONNECT (RFC 8441) as well.
  std::vector<HeaderValue> headers;
  std::vector<HeaderValue> query;  ///< as query_has()
};

constexpr std::size_t kBackendsMax = 64;  ///< of a route

struct BackendSettings {
  BackendUrl url;
  std::uint32_t weight = 1;
};

struct FilterSettings {
  HeaderEdits request;
  HeaderEdits response;
  RewriteSettings rewrite;
};

constexpr std::size_t kRespondBytesMax = 64U << 10;

/// Answered by the gateway itself.
struct RespondSettings {
  std::uint16_t status = 200;
  std::string content_type = "text/plain";
  std::string body;
};

/// 0: none.
struct TimeoutSettings {
  std::uint64_t request_ms = 0;
  std::uint64_t backend_ms = 0;
  std::uint64_t idle_ms = 600'000;
  bool idle_given = false;  ///< holds for what was upgraded, too
};

struct HealthSettings {
  std::string path;  ///< "": backends are not asked
  std::uint64_t interval_ms = 10'000;
};

/// [[gateway.route]]
struct RouteSettings {
  std::vector<std::string> listeners;       ///< empty: all
  std::vector<std::string> hostnames;       ///< "argocd.example", "*.example"; empty: any
  std::vector<RouteMatchSettings> matches;  ///< one has to hold; empty: every request
  std::vector<BackendSettings> backends;
  FilterSettings filters;
  std::optional<RedirectSettings> redirect;  ///< in place of backends
  std::optional<RespondSettings> respond;    ///< in place of backends
  TimeoutSettings timeouts;
  std::uint64_t body_bytes_max = 0;  ///< 0: no limit
  HealthSettings health;
  std::string source;  ///< "FILE:LINE" of its first line
};

/// A value that cannot be served; `key` is its place below the route: "matches[0].path_regex".
struct RouteProblem {
  std::string key;
  std::string detail;
};

/// Memory of one regular expression; a pattern that needs more is a problem.
constexpr std::int64_t kRegexBytesMax = std::int64_t{1} << 20;

/// All that a path_regex matches is in here; more may be.
struct PathRange {
  std::string least;
  std::string most = "\xff";
};
PathRange path_range(const std::string& pattern);

/// Could the pattern of a path_regex fit a path, which begins with "/"? True when in doubt.
bool may_match_path(const std::string& pattern);

/// All that is wrong with a route by itself (not whether its listeners exist).
std::vector<RouteProblem> check_route(const RouteSettings& route);

struct Route {
  const RouteSettings* settings = nullptr;
  std::uint32_t index = 0;  ///< of all routes of the configuration
};

/// What a request is matched by.
struct RouteRequest {
  std::string_view host;    ///< HostPort::host()
  std::string_view method;  ///< RequestHead::method
  std::string_view path;    ///< RequestPath::decoded()
  std::string_view query;   ///< RequestPath::query()
  const Fields& fields;
  std::string_view upgrade = {};  ///< RequestHead::protocol: what a match of Upgrade is about
};

struct RouteMatch {
  const Route* route = nullptr;
  const RouteMatchSettings* rule = nullptr;  ///< the entry of its `matches`
  std::size_t prefix_elements = 0;           ///< of the path; for backend_target()

  explicit operator bool() const { return route != nullptr; }
};

class RouteTable {
 public:
  RouteTable() = default;

  /// The routes of one listener. REQUIRES: check_route() finds nothing in them, and `routes` stays
  /// as long as the table and what it returns.
  static RouteTable compile(std::span<const RouteSettings> routes, std::string_view listener);

  /// The one route for this request; none: 404.
  RouteMatch match(const RouteRequest& request) const;

  bool empty() const { return routes_.empty(); }
  std::size_t host_count() const { return hosts_.size(); }

 private:
  /// One entry of `matches`.
  struct Rule {
    std::uint32_t route = 0;  // in routes_
    const RouteMatchSettings* settings = nullptr;
    std::string path;  // decoded; a prefix without "/" at its end
    std::size_t elements = 0;
    std::shared_ptr<const re2::RE2> regex;
  };
  using Rules = std::vector<std::uint32_t>;  // in rules_, in the order of precedence
  struct Host {
    std::string name;  // without "*."
    std::uint64_t hash = 0;
    Rules exact;
    Rules below;
  };
  static constexpr std::size_t kLabelsMax = 127;

  static Rule compile_rule(const RouteMatchSettings& settings);
  bool precedes(std::uint32_t a, std::uint32_t b) const;
  Host& host_of(std::string_view name);
  void add(const RouteSettings& route, std::uint32_t index);
  void index_hosts();
  const Host* find(std::string_view name, std::uint64_t hash) const;
  const Rule* first_match(const Rules& rules, const RouteRequest& request) const;
  const Rule* match_hosts(const RouteRequest& request) const;

  std::vector<Route> routes_;
  std::vector<Rule> rules_;
  std::vector<Host> hosts_;
  Rules any_host_;
  std::vector<std::uint32_t> slots_;  // open addressing by hash; index into hosts_ + 1, 0 = free
  std::bitset<kLabelsMax + 1> depths_;
};

}  // namespace postern::http
