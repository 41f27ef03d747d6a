#include "http/route.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <re2/re2.h>

namespace postern::http {
namespace {

/// Paths are bytes: in UTF-8 mode a path that is none would slip past "/admin/.*", and without
/// dot_nl one with "%0A" would.
constexpr int kRangeBytesMax = 64;

RE2::Options regex_options() {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_dot_nl(true);
  options.set_never_capture(true);
  options.set_log_errors(false);
  options.set_max_mem(kRegexBytesMax);
  return options;
}

/// Read from the end of a name to its beginning, so that every suffix has its hash on the way.
class SuffixHash {
 public:
  void add(char c) {
    hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3U;  // FNV-1a
  }
  std::uint64_t value() const { return hash_ ^ (hash_ >> 32); }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325U;
};

struct Suffix {
  std::uint64_t hash;
  std::size_t begin;
};

std::uint64_t hash_of(std::string_view name) {
  SuffixHash hash;
  for (std::size_t i = name.size(); i-- > 0;) hash.add(name[i]);
  return hash.value();
}

constexpr std::string_view kUpgrade = "upgrade";

/// The suffixes of `host` that are whole labels, shortest first; returns how many.
template <std::size_t size>
std::size_t suffixes_of(std::string_view host, std::array<Suffix, size>& out) {
  SuffixHash hash;
  std::size_t count = 0;
  for (std::size_t i = host.size(); i-- > 0;) {
    if (host[i] == '.' && count + 1 < size) out[count++] = {hash.value(), i + 1};
    hash.add(host[i]);
  }
  out[count++] = {hash.value(), 0};
  return count;
}

struct HostPattern {
  std::string name;
  bool wildcard = false;
};

Result<HostPattern> parse_hostname(std::string_view text) {
  HostPattern pattern;
  pattern.wildcard = text.starts_with("*.");
  const std::string_view name = text.substr(pattern.wildcard ? 2 : 0);
  const Result<HostPort> authority = parse_host_port(name);
  if (!authority || authority->is_address || name.find(':') != std::string_view::npos) {
    return fail(Code::kMalformed,
                fmt::format("'{}' is not a host name; allowed: 'name.example', '*.example', or no "
                            "hostnames at all for every host",
                            text));
  }
  pattern.name = authority->host();
  return pattern;
}

/// Is `value` what the lines of that name say, joined with ","?
bool header_is(const Fields& fields, std::string_view name, std::string_view value) {
  bool found = false;
  for (const Field& line : fields) {
    if (!same_name(line.name, name)) continue;
    if (found) {
      if (!value.starts_with(',')) return false;
      value.remove_prefix(1);
    }
    if (!value.starts_with(line.value)) return false;
    value.remove_prefix(line.value.size());
    found = true;
  }
  return found && value.empty();
}

/// `prefix` without "/" at its end.
bool has_prefix(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

bool path_matches(const RouteMatchSettings& settings, std::string_view rule_path, const RE2* regex,
                  std::string_view path) {
  switch (settings.kind) {
    case PathMatch::kExact:
      return path == rule_path;
    case PathMatch::kRegex:
      return RE2::FullMatch(re2::StringPiece(path.data(), path.size()), *regex);
    case PathMatch::kPrefix:
      break;
  }
  return has_prefix(path, rule_path);
}

bool rest_matches(const RouteMatchSettings& rule, const RouteRequest& request) {
  return (rule.method.empty() || rule.method == request.method) &&
         std::all_of(rule.headers.begin(), rule.headers.end(),
                     [&](const HeaderValue& header) {
                       if (same_name(header.name, kUpgrade)) {
                         return same_name(header.value, request.upgrade);
                       }
                       return header_is(request.fields, header.name, header.value);
                     }) &&
         std::all_of(rule.query.begin(), rule.query.end(), [&](const HeaderValue& parameter) {
           return query_has(request.query, parameter.name, parameter.value);
         });
}

// Checks of the configuration.

class Problems {
 public:
  template <class... Args>
  void add(std::string key, fmt::format_string<Args...> detail, Args&&... args) {
    all_.push_back({std::move(key), fmt::format(detail, std::forward<Args>(args)...)});
  }
  template <class T>
  void add_failure(std::string key, const Result<T>& result) {
    if (!result) all_.push_back({std::move(key), result.error().detail});
  }
  std::vector<RouteProblem> take() { return std::move(all_); }

 private:
  std::vector<RouteProblem> all_;
};

std::string_view key_of(PathMatch kind) {
  switch (kind) {
    case PathMatch::kExact:
      return "path_exact";
    case PathMatch::kRegex:
      return "path_regex";
    case PathMatch::kPrefix:
      break;
  }
  return "path_prefix";
}

void check_match_path(const RouteMatchSettings& match, const std::string& key, Problems& problems) {
  if (match.kind != PathMatch::kRegex) {
    problems.add_failure(key, parse_config_path(match.path));
    return;
  }
  const RE2 regex(match.path, regex_options());
  if (!regex.ok()) problems.add(key, "'{}': {}", match.path, regex.error());
}

void check_match(const RouteMatchSettings& match, const std::string& key, Problems& problems) {
  check_match_path(match, fmt::format("{}.{}", key, key_of(match.kind)), problems);
  if (!match.method.empty() && !is_field_name(match.method)) {
    problems.add(key + ".method", "'{}' is not a method", match.method);
  } else if (std::any_of(match.method.begin(), match.method.end(),
                         [](char c) { return c >= 'a' && c <= 'z'; })) {
    problems.add(key + ".method", "'{}': the case of methods counts, and all have capital letters",
                 match.method);
  }
  for (auto header = match.headers.begin(); header != match.headers.end(); ++header) {
    if (std::any_of(match.headers.begin(), header, [&](const HeaderValue& before) {
          return same_name(before.name, header->name);
        })) {
      problems.add(key + ".headers", "'{}' is there twice", header->name);
    }
    if (same_name(header->name, "host")) {
      problems.add(key + ".headers", "Host is matched by hostnames");
    } else if (!may_be_edited(header->name) && !same_name(header->name, kUpgrade)) {
      problems.add(key + ".headers",
                   "'{}' belongs to one connection or to the framing of a message", header->name);
    } else if (!is_field_name(header->name)) {
      problems.add(key + ".headers", "'{}' is not the name of a header", header->name);
    }
  }
}

void check_header_name(const std::string& name, const std::string& key, Problems& problems) {
  if (!is_field_name(name)) {
    problems.add(key, "'{}' is not the name of a header", name);
  } else if (same_name(name, "host")) {
    problems.add(key, "Host is not edited as a header; rewrite_host is for that");
  } else if (!may_be_edited(name)) {
    problems.add(key, "'{}' belongs to one connection or to the framing of a message", name);
  }
}

void check_header_values(const std::vector<HeaderValue>& lines, const std::string& key,
                         Problems& problems) {
  for (const HeaderValue& line : lines) {
    check_header_name(line.name, key, problems);
    if (!is_field_value(line.value)) {
      problems.add(key, "the value of '{}' has control characters, or blanks around it", line.name);
    }
  }
}

/// `side` is "request" or "response".
void check_edits(const HeaderEdits& edits, std::string_view side, Problems& problems) {
  const std::string add_key = fmt::format("filters.add_{}_headers", side);
  const std::string remove_key = fmt::format("filters.remove_{}_headers", side);
  check_header_values(edits.set, fmt::format("filters.set_{}_headers", side), problems);
  check_header_values(edits.add, add_key, problems);
  const auto is_set = [&](std::string_view name) {
    return std::any_of(edits.set.begin(), edits.set.end(),
                       [&](const HeaderValue& line) { return same_name(line.name, name); });
  };
  for (const HeaderValue& line : edits.add) {
    if (is_set(line.name)) problems.add(add_key, "'{}' is also set; one of the two", line.name);
  }
  for (const std::string& name : edits.remove) {
    check_header_name(name, remove_key, problems);
    if (is_set(name)) problems.add(remove_key, "'{}' is also set, which removes it", name);
  }
}

/// A path that is sent: it has to be a URL's path already.
bool is_sendable_path(std::string_view text, bool with_query) {
  RequestPath path;
  return text.starts_with('/') && path.parse(text).has_value() && path.is_normal() &&
         (with_query || !path.has_query());
}

void check_rewrite(const RouteSettings& route, Problems& problems) {
  const RewriteSettings& rewrite = route.filters.rewrite;
  if (!rewrite.host.empty() && !parse_host_port(rewrite.host)) {
    problems.add("filters.rewrite_host", "'{}' is not 'host' or 'host:port'", rewrite.host);
  }
  const auto check_path = [&](const std::string& path, const char* key) {
    if (!path.empty() && !is_sendable_path(path, false)) {
      problems.add(key, "'{}' is not a path such as '/a/b', percent-encoded where needed", path);
    }
  };
  check_path(rewrite.prefix, "filters.rewrite_prefix");
  check_path(rewrite.path, "filters.rewrite_path");
  const bool rewrites = !rewrite.host.empty() || !rewrite.prefix.empty() || !rewrite.path.empty();
  if (rewrites && route.backends.empty()) {
    problems.add("filters", "a rewrite is for what goes to backends, and there are none");
  }
  if (rewrite.prefix.empty()) return;
  if (!rewrite.path.empty()) {
    problems.add("filters.rewrite_prefix", "rewrite_path is there as well; one of the two");
  }
  if (std::any_of(route.matches.begin(), route.matches.end(), [](const RouteMatchSettings& match) {
        return match.kind != PathMatch::kPrefix;
      })) {
    problems.add("filters.rewrite_prefix", "only where all matches are path_prefix");
  }
}

void check_redirect(const RedirectSettings& redirect, Problems& problems) {
  if (!redirect.scheme.empty() && redirect.scheme != "http" && redirect.scheme != "https") {
    problems.add("redirect.scheme", "'{}'; allowed: http, https", redirect.scheme);
  }
  if (!redirect.hostname.empty()) {
    const auto authority = parse_host_port(redirect.hostname);
    if (!authority || authority->host() != redirect.hostname) {
      problems.add("redirect.hostname", "'{}' is not a host name in lower case, without a port",
                   redirect.hostname);
    }
  }
  if (!redirect.path.empty() && !is_sendable_path(redirect.path, true)) {
    problems.add("redirect.path", "'{}' is not a path such as '/a/b?c'", redirect.path);
  }
  constexpr std::array<std::uint16_t, 5> kStatuses{301, 302, 303, 307, 308};
  if (std::find(kStatuses.begin(), kStatuses.end(), redirect.status) == kStatuses.end()) {
    problems.add("redirect.status", "{}; allowed: 301, 302, 303, 307, 308", redirect.status);
  }
}

void check_respond(const RespondSettings& respond, Problems& problems) {
  const std::uint16_t status = respond.status;
  if (status < 200 || status > 599) {
    problems.add("respond.status", "{}; allowed: 200 to 599", status);
  }
  if ((status == 204 || status == 205 || status == 304) && !respond.body.empty()) {
    problems.add("respond.body", "a response with status {} has no body", status);
  }
  if (respond.body.size() > kRespondBytesMax) {
    problems.add("respond.body", "{} bytes; allowed: {} at most", respond.body.size(),
                 kRespondBytesMax);
  }
  if (!is_field_value(respond.content_type)) {
    problems.add("respond.content_type", "'{}' is not a value of a header", respond.content_type);
  }
}

/// Backends, redirect, respond: one of the three.
void check_action(const RouteSettings& route, Problems& problems) {
  const int actions =
      (route.backends.empty() ? 0 : 1) + (route.redirect ? 1 : 0) + (route.respond ? 1 : 0);
  if (actions != 1) {
    problems.add("", "a route has one of backends, redirect and respond; here are {}", actions);
  }
  if (route.backends.size() > kBackendsMax) {
    problems.add("backends", "{} of them; allowed: {} at most", route.backends.size(),
                 kBackendsMax);
  }
  if (route.redirect) check_redirect(*route.redirect, problems);
  if (route.respond) check_respond(*route.respond, problems);
}

}  // namespace

PathRange path_range(const std::string& pattern) {
  const RE2 regex("^(?:" + pattern + ")$", regex_options());
  PathRange range;
  if (!regex.ok() || !regex.PossibleMatchRange(&range.least, &range.most, kRangeBytesMax)) {
    return {};
  }
  return range;
}

bool may_match_path(const std::string& pattern) {
  const PathRange range = path_range(pattern);
  return range.least.compare(0, 1, "/") <= 0 && range.most.compare(0, 1, "/") >= 0;
}

std::vector<RouteProblem> check_route(const RouteSettings& route) {
  Problems problems;
  for (std::size_t i = 0; i < route.hostnames.size(); ++i) {
    problems.add_failure(fmt::format("hostnames[{}]", i), parse_hostname(route.hostnames[i]));
  }
  for (std::size_t i = 0; i < route.matches.size(); ++i) {
    check_match(route.matches[i], fmt::format("matches[{}]", i), problems);
  }
  check_edits(route.filters.request, "request", problems);
  check_edits(route.filters.response, "response", problems);
  check_rewrite(route, problems);
  check_action(route, problems);
  if (!route.health.path.empty() && !is_sendable_path(route.health.path, true)) {
    problems.add("health.path", "'{}' is not a path such as '/healthz'", route.health.path);
  }
  if (route.health.interval_ms == 0) problems.add("health.interval", "has to be longer than 0s");
  const TimeoutSettings& timeouts = route.timeouts;
  if (timeouts.request_ms != 0 && timeouts.backend_ms > timeouts.request_ms) {
    problems.add("timeouts.backend", "longer than timeouts.request, which ends both");
  }
  return problems.take();
}

RouteTable::Rule RouteTable::compile_rule(const RouteMatchSettings& settings) {
  Rule rule;
  rule.settings = &settings;
  if (settings.kind == PathMatch::kRegex) {
    rule.regex = std::make_shared<const RE2>(settings.path, regex_options());
    return rule;
  }
  rule.path = parse_config_path(settings.path).value_or(settings.path);
  if (settings.kind == PathMatch::kExact) return rule;
  if (rule.path.ends_with('/')) rule.path.pop_back();
  rule.elements = static_cast<std::size_t>(std::count(rule.path.begin(), rule.path.end(), '/'));
  return rule;
}

bool RouteTable::precedes(std::uint32_t a, std::uint32_t b) const {
  const Rule& x = rules_[a];
  const Rule& y = rules_[b];
  if (x.settings->kind != y.settings->kind) return x.settings->kind < y.settings->kind;
  if (x.settings->kind == PathMatch::kPrefix && x.path.size() != y.path.size()) {
    return x.path.size() > y.path.size();
  }
  if (x.settings->method.empty() != y.settings->method.empty()) return y.settings->method.empty();
  if (x.settings->headers.size() != y.settings->headers.size()) {
    return x.settings->headers.size() > y.settings->headers.size();
  }
  if (x.settings->query.size() != y.settings->query.size()) {
    return x.settings->query.size() > y.settings->query.size();
  }
  return a < b;
}

RouteTable::Host& RouteTable::host_of(std::string_view name) {
  const std::uint64_t hash = hash_of(name);
  if (slots_.size() < (hosts_.size() + 1) * 2) {
    slots_.assign(std::max<std::size_t>(8, slots_.size() * 2), 0);
    index_hosts();
  }
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
    Host& host = hosts_[slots_[slot] - 1];
    if (host.hash == hash && host.name == name) return host;
  }
  slots_[slot] = static_cast<std::uint32_t>(hosts_.size() + 1);
  depths_.set(static_cast<std::size_t>(std::count(name.begin(), name.end(), '.')) + 1);
  hosts_.push_back({std::string(name), hash, {}, {}});
  return hosts_.back();
}

/// REQUIRES: all slots are free and there are enough of them.
void RouteTable::index_hosts() {
  const std::size_t mask = slots_.size() - 1;
  for (std::uint32_t i = 0; i < hosts_.size(); ++i) {
    std::size_t slot = hosts_[i].hash & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = i + 1;
  }
}

void RouteTable::add(const RouteSettings& route, std::uint32_t index) {
  static const RouteMatchSettings every_request;
  const auto begin = static_cast<std::uint32_t>(rules_.size());
  const std::span<const RouteMatchSettings> matches =
      route.matches.empty() ? std::span(&every_request, 1) : std::span(route.matches);
  for (const RouteMatchSettings& settings : matches) {
    rules_.push_back(compile_rule(settings));
    rules_.back().route = static_cast<std::uint32_t>(routes_.size());
  }
  routes_.push_back({&route, index});
  const auto append = [&](Rules& rules) {
    // A host that the route names twice has its rules once.
    if (!rules.empty() && rules.back() >= begin) return;
    for (std::uint32_t i = begin; i < rules_.size(); ++i) rules.push_back(i);
  };
  if (route.hostnames.empty()) append(any_host_);
  for (const std::string& hostname : route.hostnames) {
    const Result<HostPattern> pattern = parse_hostname(hostname);
    if (!pattern) continue;
    Host& host = host_of(pattern->name);
    append(pattern->wildcard ? host.below : host.exact);
  }
}

RouteTable RouteTable::compile(std::span<const RouteSettings> routes, std::string_view listener) {
  RouteTable table;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const std::vector<std::string>& listeners = routes[i].listeners;
    if (listeners.empty() ||
        std::find(listeners.begin(), listeners.end(), listener) != listeners.end()) {
      table.add(routes[i], static_cast<std::uint32_t>(i));
    }
  }
  const auto sort = [&table](Rules& rules) {
    std::sort(rules.begin(), rules.end(),
              [&table](std::uint32_t a, std::uint32_t b) { return table.precedes(a, b); });
  };
  for (Host& host : table.hosts_) {
    sort(host.exact);
    sort(host.below);
  }
  sort(table.any_host_);
  return table;
}

const RouteTable::Host* RouteTable::find(std::string_view name, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash & mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
    const Host& host = hosts_[slots_[slot] - 1];
    if (host.hash == hash && host.name == name) return &host;
  }
  return nullptr;
}

const RouteTable::Rule* RouteTable::first_match(const Rules& rules,
                                                const RouteRequest& request) const {
  for (const std::uint32_t i : rules) {
    const Rule& rule = rules_[i];
    if (path_matches(*rule.settings, rule.path, rule.regex.get(), request.path) &&
        rest_matches(*rule.settings, request)) {
      return &rule;
    }
  }
  return nullptr;
}

const RouteTable::Rule* RouteTable::match_hosts(const RouteRequest& request) const {
  if (hosts_.empty() || request.host.size() > HostPort::kHostBytesMax) return nullptr;
  std::array<Suffix, kLabelsMax> suffixes;
  const std::size_t count = suffixes_of(request.host, suffixes);
  for (std::size_t labels = count; labels > 0; --labels) {
    if (!depths_.test(labels)) continue;
    const auto [hash, begin] = suffixes[labels - 1];
    const Host* const host = find(request.host.substr(begin), hash);
    if (host == nullptr) continue;
    const Rule* const rule = first_match(begin == 0 ? host->exact : host->below, request);
    if (rule != nullptr) return rule;
  }
  return nullptr;
}

RouteMatch RouteTable::match(const RouteRequest& request) const {
  const Rule* rule = match_hosts(request);
  if (rule == nullptr) rule = first_match(any_host_, request);
  if (rule == nullptr) return {};
  return {&routes_[rule->route], rule->settings, rule->elements};
}

}  // namespace postern::http
