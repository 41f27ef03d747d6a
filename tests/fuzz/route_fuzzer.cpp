// Requests against routes: lines of text, first authority, method and target, then header fields
// "name:value"; behind an empty line the values of one more route. The table has to find what a
// plain search through all routes finds, for every spelling of the path.
#include <array>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "check.h"
#include "http/forwarded.h"
#include "http/route.h"

namespace postern::fuzz {
namespace {

using http::PathMatch;
using http::RouteMatch;
using http::RouteMatchSettings;
using http::RouteSettings;

class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  std::string_view next() {
    const std::size_t end = std::min(rest_.find('\n'), rest_.size());
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return line;
  }

 private:
  std::string_view rest_;
};

RouteSettings route(std::vector<std::string> hostnames, std::vector<RouteMatchSettings> matches) {
  RouteSettings settings;
  settings.hostnames = std::move(hostnames);
  settings.matches = std::move(matches);
  settings.respond.emplace();
  return settings;
}

RouteMatchSettings path(PathMatch kind, const char* text) {
  RouteMatchSettings match;
  match.kind = kind;
  match.path = text;
  return match;
}

std::vector<RouteSettings> some_routes() {
  RouteMatchSettings all = path(PathMatch::kPrefix, "/a");
  all.method = "GET";
  all.headers = {{"x-env", "dev"}};
  all.query = {{"v", "1"}};
  RouteMatchSettings header = path(PathMatch::kPrefix, "/a");
  header.headers = {{"x-env", "a,b"}};
  return {
      route({"a.example", "*.a.example"}, {path(PathMatch::kPrefix, "/a/b"), all}),
      route({"a.example"}, {path(PathMatch::kExact, "/a"), header}),
      route({"*.example"}, {path(PathMatch::kPrefix, "/a/"), path(PathMatch::kExact, "/x%2Fy")}),
      route({"*.b.a.example"}, {path(PathMatch::kRegex, "/[ab]+/.*"), all}),
      route({}, {path(PathMatch::kPrefix, "/a b"), path(PathMatch::kExact, "/")})};
}

struct Request {
  http::HostPort authority;
  std::string_view method;
  http::RequestPath path;
  http::Fields fields;

  bool read(Lines& lines) {
    const auto host = http::parse_host_port(lines.next());
    if (!host) return false;
    authority = *host;
    method = lines.next();
    if (!path.parse(lines.next())) return false;
    for (std::string_view line = lines.next(); !line.empty(); line = lines.next()) {
      const std::size_t colon = std::min(line.find(':'), line.size());
      fields.add(line.substr(0, colon), line.substr(std::min(colon + 1, line.size())));
    }
    return true;
  }

  http::RouteRequest with(std::string_view decoded) const {
    return {authority.host(), method, decoded, path.query(), fields};
  }
};

/// How well a host name fits: 0 not at all, 1 as any host, then by length, exact before wildcards.
std::size_t host_rank(const RouteSettings& settings, std::string_view host) {
  std::size_t best = settings.hostnames.empty() ? 1 : 0;
  for (const std::string& name : settings.hostnames) {
    const bool wildcard = name.starts_with("*.");
    // ".x" of "*.x"
    const std::string_view text = std::string_view(name).substr(wildcard ? 1 : 0);
    if (wildcard ? host.size() > text.size() && host.ends_with(text) : host == text) {
      best = std::max(best, wildcard ? 1 + text.size() : 1000 + text.size());
    }
  }
  return best;
}

/// Does a rule hold? By a table that has nothing but this rule.
bool holds(const RouteMatchSettings& match, const http::RouteRequest& request) {
  const std::vector<RouteSettings> one{route({}, {match})};
  return static_cast<bool>(http::RouteTable::compile(one, "").match(request));
}

RouteMatch search(const std::vector<RouteSettings>& routes, const http::RouteRequest& request) {
  using Rank = std::tuple<std::size_t, int, std::size_t, bool, std::size_t, std::size_t>;
  Rank best{};
  RouteMatch found;
  static http::Route winner;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const std::size_t host = host_rank(routes[i], request.host);
    for (const RouteMatchSettings& match : routes[i].matches) {
      if (host == 0 || !holds(match, request)) continue;
      std::size_t length = 0;
      if (match.kind == PathMatch::kPrefix) {
        length = http::parse_config_path(match.path)->size() - (match.path.ends_with('/') ? 1 : 0);
      }
      const Rank rank{host,
                      2 - static_cast<int>(match.kind),
                      length,
                      !match.method.empty(),
                      match.headers.size(),
                      match.query.size()};
      if (found && rank <= best) continue;
      best = rank;
      winner = {&routes[i], static_cast<std::uint32_t>(i)};
      found = {&winner, &match, 0};
    }
  }
  return found;
}

void check_sent(const Request& request, const RouteMatch& match) {
  http::TextArena arena;
  http::RequestPath sent;
  const auto target = http::backend_target(request.path, {}, match.prefix_elements, arena);
  require(sent.parse(target).has_value() && sent.decoded() == request.path.decoded() &&
              sent.query() == request.path.query(),
          "what is sent normalises to what was matched");
  const auto rewritten =
      http::backend_target(request.path, {"", "/new", ""}, match.prefix_elements, arena);
  require(sent.parse(rewritten).has_value() && sent.query() == request.path.query(),
          "a rewritten target is a target");
  require(request.path.path() == "*" || sent.path().starts_with("/new"), "with its new prefix");
  const auto location = http::redirect_location(
      {"https", "", 0, "", 301}, {false, request.authority.host(), 80}, request.path, arena);
  require(location.starts_with("https://" + std::string(request.authority.host()) + "/"),
          "a redirect stays on the host");
}

void check_match(const std::vector<RouteSettings>& routes, const Request& request) {
  const http::RouteTable table = http::RouteTable::compile(routes, "internal");
  const RouteMatch match = table.match(request.with(request.path.decoded()));
  const RouteMatch other = search(routes, request.with(request.path.decoded()));
  require(match.rule == other.rule, "the table finds what a search finds");
  http::RequestPath normal;
  require(normal.parse(request.path.path()).has_value(), "a normal path is a path");
  require(table.match(request.with(normal.decoded())).rule == match.rule,
          "no match differs between equal forms of a path");
  if (match) check_sent(request, match);
}

void check_fields(Request& request) {
  static const http::ForwardedSettings settings;
  const http::Peer peer(IpAddress::parse("192.0.2.1").value(), settings);
  http::TextArena arena;
  const std::string authority(request.authority.host());
  if (!http::remove_hop_by_hop(request.fields, false)) return;
  http::set_forwarded(request.fields, arena, peer, {true, authority}, settings);
  for (const char* gone : {"connection", "keep-alive", "transfer-encoding", "upgrade"}) {
    require(request.fields.count(gone) == 0, "hop-by-hop fields are gone");
  }
  require(request.fields.value("x-forwarded-for") == "192.0.2.1" &&
              request.fields.count("x-forwarded-for") == 1,
          "a stranger cannot say who it is");
}

/// A route made of text; only a good one may be compiled.
void add_route(Lines& lines, std::vector<RouteSettings>* routes) {
  const std::string_view hostname = lines.next();
  RouteMatchSettings match;
  const std::string_view kind = lines.next();
  if (kind == "e") match.kind = PathMatch::kExact;
  if (kind == "r") match.kind = PathMatch::kRegex;
  match.path = lines.next();
  match.method = lines.next();
  RouteSettings settings = route({}, {match});
  if (!hostname.empty()) settings.hostnames.emplace_back(hostname);
  // The search takes names as they are.
  const auto host = http::parse_host_port(hostname.substr(hostname.starts_with("*.") ? 2 : 0));
  const bool plain = hostname.empty() || (host && hostname.ends_with(host->host()));
  if (plain && http::check_route(settings).empty()) routes->push_back(std::move(settings));
}

void run(Bytes data) {
  const ExactCopy copy(data);
  Lines lines(as_text(copy.bytes()));
  Request request;
  if (!request.read(lines)) return;
  std::vector<RouteSettings> routes = some_routes();
  add_route(lines, &routes);
  check_match(routes, request);
  check_fields(request);
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run({data, size});
  return 0;
}
