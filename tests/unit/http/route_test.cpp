#include "http/route.h"

#include <algorithm>
#include <random>
#include <string>

#include <doctest/doctest.h>

namespace postern::http {
namespace {

BackendSettings backend(const char* url) { return {parse_backend_url(url).value(), 1}; }

/// A route to a backend, told apart by `source`.
RouteSettings route(const char* source, std::vector<std::string> hostnames,
                    std::vector<RouteMatchSettings> matches = {}) {
  RouteSettings settings;
  settings.hostnames = std::move(hostnames);
  settings.matches = std::move(matches);
  settings.backends.push_back(backend("http://backend"));
  settings.source = source;
  return settings;
}

RouteMatchSettings path(PathMatch kind, const char* text) {
  RouteMatchSettings match;
  match.kind = kind;
  match.path = text;
  return match;
}
RouteMatchSettings exact(const char* text) { return path(PathMatch::kExact, text); }
RouteMatchSettings prefix(const char* text) { return path(PathMatch::kPrefix, text); }
RouteMatchSettings regex(const char* text) { return path(PathMatch::kRegex, text); }

RouteMatchSettings with(RouteMatchSettings match, const char* method,
                        std::vector<HeaderValue> headers = {},
                        std::vector<HeaderValue> query = {}) {
  match.method = method;
  match.headers = std::move(headers);
  match.query = std::move(query);
  return match;
}

/// A table and the settings that it borrows.
class Routes {
 public:
  explicit Routes(std::vector<RouteSettings> routes, const char* listener = "internal")
      : routes_(std::move(routes)) {
    for (const RouteSettings& settings : routes_) {
      for (const RouteProblem& problem : check_route(settings)) {
        FAIL(settings.source << ": " << problem.key << ": " << problem.detail);
      }
    }
    table_ = RouteTable::compile(routes_, listener);
  }

  RouteMatch match(std::string_view authority, std::string_view target,
                   std::string_view method = "GET", const std::vector<Field>& lines = {}) const {
    const auto host = parse_host_port(authority);
    RequestPath request_path;
    REQUIRE(host.has_value());
    REQUIRE(request_path.parse(target).has_value());
    Fields fields;
    for (const Field& line : lines) fields.add(line.name, line.value);
    return table_.match(
        {host->host(), method, request_path.decoded(), request_path.query(), fields});
  }

  std::string find(std::string_view authority, std::string_view target,
                   std::string_view method = "GET", const std::vector<Field>& lines = {}) const {
    const RouteMatch found = match(authority, target, method, lines);
    return found ? found.route->settings->source : "404";
  }

  const RouteTable& table() const { return table_; }

 private:
  std::vector<RouteSettings> routes_;
  RouteTable table_;
};

/// The problems of a route as "key: detail" lines.
std::string problems(const RouteSettings& settings) {
  std::string text;
  for (const RouteProblem& problem : check_route(settings)) {
    text += problem.key + ": " + problem.detail + "\n";
  }
  return text;
}

std::string problems_of_match(RouteMatchSettings match) {
  return problems(route("r", {}, {std::move(match)}));
}

}  // namespace

TEST_CASE("a wildcard host covers every depth below its name and not the name itself") {
  const Routes routes({route("wild", {"*.vanillax.me"})});
  CHECK(routes.find("llama.vanillax.me", "/") == "wild");
  CHECK(routes.find("a.b.c.VANILLAX.me.", "/") == "wild");
  CHECK(routes.find("vanillax.me", "/") == "404");
  CHECK(routes.find("xvanillax.me", "/") == "404");
  CHECK(routes.find("me", "/") == "404");
}

TEST_CASE("the more specific host comes first whatever the order in the file") {
  std::vector<RouteSettings> all{route("any", {}),
                                 route("wild", {"*.vanillax.me"}),
                                 route("apex", {"vanillax.me"}),
                                 route("exact", {"llama.vanillax.me"}),
                                 route("lab", {"*.lab.vanillax.me"}),
                                 route("me", {"*.me"})};
  std::mt19937 random(1);
  for (int i = 0; i < 24; ++i) {
    std::shuffle(all.begin(), all.end(), random);
    const Routes routes(all);
    CHECK(routes.find("llama.vanillax.me", "/") == "exact");
    CHECK(routes.find("x.vanillax.me", "/") == "wild");
    CHECK(routes.find("lab.vanillax.me", "/") == "wild");
    CHECK(routes.find("a.b.lab.vanillax.me", "/") == "lab");
    CHECK(routes.find("vanillax.me", "/") == "apex");
    CHECK(routes.find("other.me", "/") == "me");
    CHECK(routes.find("example.com", "/") == "any");
    CHECK(routes.find("192.0.2.1", "/") == "any");
    CHECK(routes.find("[2001:db8::1]", "/") == "any");
  }
}

TEST_CASE("ports of the request do not matter to the host") {
  const Routes routes({route("r", {"app.example"})});
  CHECK(routes.find("app.example:8443", "/") == "r");
}

TEST_CASE("a more specific host wins even with a shorter path") {
  const Routes routes({route("wild", {"*.example"}, {prefix("/v2/deep")}),
                       route("exact", {"app.example"}, {prefix("/v2")})});
  CHECK(routes.find("app.example", "/v2/deep") == "exact");
}

TEST_CASE("what no route of the specific host matches is tried with the less specific ones") {
  const Routes routes({route("exact", {"app.example"}, {prefix("/api")}),
                       route("wild", {"*.example"}, {prefix("/docs")}), route("any", {})});
  CHECK(routes.find("app.example", "/api/x") == "exact");
  CHECK(routes.find("app.example", "/docs/x") == "wild");
  CHECK(routes.find("app.example", "/other") == "any");
  const Routes closed({route("exact", {"app.example"}, {prefix("/api")})});
  CHECK(closed.find("app.example", "/docs") == "404");
}

TEST_CASE("a prefix matches whole elements, with or without a slash at its end") {
  const Routes routes({route("foo", {}, {prefix("/foo")}), route("bar", {}, {prefix("/bar/")})});
  for (const char* target : {"/foo", "/foo/", "/foo/x", "/foo?x", "/foo//x"}) {
    CHECK_MESSAGE(routes.find("x", target) == "foo", target);
  }
  for (const char* target : {"/foobar", "/fo", "/Foo", "/", "//foo", "/foo%2Fx"}) {
    CHECK_MESSAGE(routes.find("x", target) == "404", target);
  }
  CHECK(routes.find("x", "/bar") == "bar");
  CHECK(routes.find("x", "/bar/x") == "bar");
}

TEST_CASE("an exact path is that path only") {
  const Routes routes({route("r", {}, {exact("/abc")})});
  CHECK(routes.find("x", "/abc") == "r");
  CHECK(routes.find("x", "/abc?q") == "r");
  for (const char* target : {"/abc/", "/Abc", "/abcd", "/"}) {
    CHECK_MESSAGE(routes.find("x", target) == "404", target);
  }
}

TEST_CASE("a guarded path is guarded in every spelling that a backend takes for it") {
  const Routes routes({route("guard", {}, {prefix("/admin")}), route("open", {}, {prefix("/")})});
  for (const char* target :
       {"/admin", "/admin/x", "/%61dmin", "/public/../admin", "/public/%2e%2e/admin/x", "/./admin",
        "/admin/../admin", "/%61%64%6D%69%6e/"}) {
    CHECK_MESSAGE(routes.find("x", target) == "guard", target);
  }
  CHECK(routes.find("x", "/admin/../public") == "open");
}

TEST_CASE("an encoded slash separates nothing") {
  const Routes routes(
      {route("project", {}, {prefix("/group%2fproject")}), route("group", {}, {prefix("/group")})});
  CHECK(routes.find("x", "/group%2Fproject/x") == "project");
  CHECK(routes.find("x", "/group/project") == "group");
  CHECK(routes.find("x", "/group%252Fproject") == "404");
}

TEST_CASE("order of paths: exact, then the longest prefix (Gateway API path match order)") {
  const Routes routes({route("prefix-root", {}, {prefix("/match")}),
                       route("prefix-prefix", {}, {prefix("/match/prefix/")}),
                       route("prefix-one", {}, {prefix("/match/prefix/one")}),
                       route("exact-match", {}, {exact("/match")}),
                       route("exact-exact", {}, {exact("/match/exact")}),
                       route("exact-one", {}, {exact("/match/exact/one")})});
  CHECK(routes.find("x", "/match/exact/one") == "exact-one");
  CHECK(routes.find("x", "/match/exact") == "exact-exact");
  CHECK(routes.find("x", "/match") == "exact-match");
  CHECK(routes.find("x", "/match/prefix/one/any") == "prefix-one");
  CHECK(routes.find("x", "/match/prefix/any") == "prefix-prefix");
  CHECK(routes.find("x", "/match/any") == "prefix-root");
}

TEST_CASE(
    "regular expressions come behind exact paths and before prefixes, by order and not length") {
  const Routes routes({route("prefix", {}, {prefix("/api/test/long/prefix")}),
                       route("first", {}, {regex("/api/.*")}),
                       route("second", {}, {regex("/api/test/[a-z]+/prefix/much/longer")}),
                       route("exact", {}, {exact("/api/test")})});
  CHECK(routes.find("x", "/api/test") == "exact");
  CHECK(routes.find("x", "/api/test/long/prefix") == "first");
  CHECK(routes.find("x", "/api/test/long/prefix/much/longer") == "first");
  CHECK(routes.find("x", "/api") == "404");
}

TEST_CASE("a regular expression has to match the whole path") {
  const Routes routes({route("r", {}, {regex("/v[0-9]+/users|/me")})});
  CHECK(routes.find("x", "/v12/users") == "r");
  CHECK(routes.find("x", "/me") == "r");
  for (const char* target : {"/v12/users/", "/x/v1/users", "/v/users", "/me/x", "/V1/users"}) {
    CHECK_MESSAGE(routes.find("x", target) == "404", target);
  }
  const Routes folded({route("r", {}, {regex("(?i)/v1")})});
  CHECK(folded.find("x", "/V1") == "r");
}

TEST_CASE("no byte of a path slips past the dot of a regular expression") {
  const Routes routes({route("guard", {}, {regex("/admin/.*")}), route("open", {}, {prefix("/")})});
  for (const char* target : {"/admin/a%0Ab", "/admin/%ff%fe", "/admin/%C3%BC", "/admin/%2F"}) {
    CHECK_MESSAGE(routes.find("x", target) == "guard", target);
  }
  const Routes german({route("r", {}, {regex("/gr(\xc3\xb6|oe)sse")})});
  CHECK(german.find("x", "/gr%C3%B6sse") == "r");
}

TEST_CASE("matches of one route are alternatives, parts of a match hold together") {
  const Routes routes(
      {route("r", {}, {with(prefix("/foo"), "", {{"version", "v2"}}), prefix("/v2/foo")})});
  CHECK(routes.find("x", "/foo", "GET", {{"Version", "v2"}}) == "r");
  CHECK(routes.find("x", "/v2/foo") == "r");
  CHECK(routes.find("x", "/foo") == "404");
  CHECK(routes.find("x", "/bar", "GET", {{"version", "v2"}}) == "404");
}

TEST_CASE("methods match exactly, HEAD is not GET (Gateway API method matching)") {
  const Routes routes(
      {route("post", {}, {with(prefix("/"), "POST")}), route("get", {}, {with(prefix("/"), "GET")}),
       route("path1", {}, {with(prefix("/path1"), "GET")}),
       route("put", {}, {with(prefix("/"), "PUT", {{"version", "one"}})}),
       route("all", {}, {with(prefix("/path2"), "POST", {{"version", "two"}})}),
       route("or", {},
             {with(prefix("/path3"), "PATCH"),
              with(prefix("/path4"), "DELETE", {{"version", "three"}})}),
       route("path5", {}, {prefix("/path5")}), route("patch", {}, {with(prefix("/"), "PATCH")}),
       route("four", {}, {with(prefix("/"), "", {{"version", "four"}})})});
  CHECK(routes.find("x", "/", "POST") == "post");
  CHECK(routes.find("x", "/", "GET") == "get");
  CHECK(routes.find("x", "/", "HEAD") == "404");
  CHECK(routes.find("x", "/", "get") == "404");
  CHECK(routes.find("x", "/path1", "GET") == "path1");
  CHECK(routes.find("x", "/", "PUT", {{"version", "one"}}) == "put");
  CHECK(routes.find("x", "/path2", "POST", {{"version", "two"}}) == "all");
  CHECK(routes.find("x", "/path3", "PATCH") == "or");
  CHECK(routes.find("x", "/path4", "DELETE", {{"version", "three"}}) == "or");
  CHECK(routes.find("x", "/", "PUT") == "404");
  CHECK(routes.find("x", "/path4", "DELETE") == "404");
  CHECK(routes.find("x", "/path5", "PATCH") == "path5");
  CHECK(routes.find("x", "/", "PATCH", {{"version", "four"}}) == "patch");
}

TEST_CASE("the greater number of header matches wins (Gateway API header matching)") {
  const Routes routes(
      {route("one", {}, {with(prefix("/"), "", {{"version", "one"}})}),
       route("two", {}, {with(prefix("/"), "", {{"version", "two"}})}),
       route("orange", {}, {with(prefix("/"), "", {{"version", "two"}, {"color", "orange"}})}),
       route("cold", {},
             {with(prefix("/"), "", {{"color", "blue"}}),
              with(prefix("/"), "", {{"color", "green"}})}),
       route("warm", {},
             {with(prefix("/"), "", {{"color", "red"}}),
              with(prefix("/"), "", {{"color", "yellow"}})})});
  CHECK(routes.find("x", "/", "GET", {{"Version", "one"}}) == "one");
  CHECK(routes.find("x", "/", "GET", {{"VERSION", "two"}}) == "two");
  CHECK(routes.find("x", "/", "GET", {{"version", "two"}, {"color", "orange"}}) == "orange");
  CHECK(routes.find("x", "/", "GET", {{"color", "blue"}}) == "cold");
  CHECK(routes.find("x", "/", "GET", {{"color", "green"}}) == "cold");
  CHECK(routes.find("x", "/", "GET", {{"color", "yellow"}}) == "warm");
  CHECK(routes.find("x", "/", "GET", {{"color", "red"}, {"version", "two"}}) == "two");
  CHECK(routes.find("x", "/", "GET", {{"color", "purple"}}) == "404");
  CHECK(routes.find("x", "/", "GET", {{"version", "One"}}) == "404");
  CHECK(routes.find("x", "/") == "404");
}

TEST_CASE("several lines of a header are one value joined with commas") {
  const Routes routes({route("r", {}, {with(prefix("/"), "", {{"x-env", "a,b"}})}),
                       route("empty", {}, {with(prefix("/"), "", {{"x-empty", ""}})})});
  CHECK(routes.find("x", "/", "GET", {{"X-Env", "a"}, {"other", "1"}, {"x-env", "b"}}) == "r");
  CHECK(routes.find("x", "/", "GET", {{"x-env", "a,b"}}) == "r");
  CHECK(routes.find("x", "/", "GET", {{"x-env", "a"}}) == "404");
  CHECK(routes.find("x", "/", "GET", {{"x-env", "a"}, {"x-env", "b"}, {"x-env", "c"}}) == "404");
  CHECK(routes.find("x", "/", "GET", {{"x-env", "a,"}, {"x-env", "b"}}) == "404");
  CHECK(routes.find("x", "/", "GET", {{"x-empty", ""}}) == "empty");
  CHECK(routes.find("x", "/", "GET", {{"x-env", "b"}, {"x-env", "a"}}) == "404");
}

TEST_CASE("the greater number of query matches wins (Gateway API query parameter matching)") {
  const auto query = [](const char* source, const char* where, std::vector<HeaderValue> parameters,
                        std::vector<HeaderValue> headers = {}) {
    return route(source, {}, {with(prefix(where), "", std::move(headers), std::move(parameters))});
  };
  const Routes routes(
      {query("whale", "/", {{"animal", "whale"}}), query("dolphin", "/", {{"animal", "dolphin"}}),
       query("blue", "/", {{"animal", "dolphin"}, {"color", "blue"}}),
       query("upper", "/", {{"ANIMAL", "Whale"}}), query("path1", "/path1", {{"animal", "whale"}}),
       query("header", "/", {{"animal", "whale"}}, {{"version", "one"}}),
       query("path5", "/path5", {{"animal", "hydra"}}), query("hydra", "/", {{"animal", "hydra"}}),
       query("four", "/", {}, {{"version", "four"}})});
  CHECK(routes.find("x", "/?animal=whale") == "whale");
  CHECK(routes.find("x", "/?animal=dolphin") == "dolphin");
  CHECK(routes.find("x", "/?animal=dolphin&color=blue") == "blue");
  CHECK(routes.find("x", "/?color=blue&animal=dolphin") == "blue");
  CHECK(routes.find("x", "/?ANIMAL=Whale") == "upper");
  CHECK(routes.find("x", "/?animal=whale&otherparam=irrelevant") == "whale");
  CHECK(routes.find("x", "/?animal=dolphin&color=yellow") == "dolphin");
  CHECK(routes.find("x", "/path1?animal=whale") == "path1");
  CHECK(routes.find("x", "/?animal=whale", "GET", {{"version", "one"}}) == "header");
  CHECK(routes.find("x", "/path5?animal=hydra") == "path5");
  CHECK(routes.find("x", "/?animal=hydra", "GET", {{"version", "four"}}) == "four");
  for (const char* target : {"/?color=blue", "/?animal=dog", "/?animal=whaledolphin", "/"}) {
    CHECK_MESSAGE(routes.find("x", target) == "404", target);
  }
}

TEST_CASE("rules of several routes with one host are one list (Gateway API across routes)") {
  const Routes routes({route("part1", {"example.com", "example.net"},
                             {prefix("/"), with(prefix("/"), "", {{"version", "one"}})}),
                       route("part2", {"example.com"},
                             {prefix("/v2"), with(prefix("/"), "", {{"version", "two"}})})});
  CHECK(routes.find("example.com", "/") == "part1");
  CHECK(routes.find("example.com", "/example", "GET", {{"version", "one"}}) == "part1");
  CHECK(routes.find("example.com", "/v2/example") == "part2");
  CHECK(routes.find("example.net", "/v2") == "part1");
  CHECK(routes.find("example.com", "/", "GET", {{"version", "two"}}) == "part2");
}

TEST_CASE("of equal matches the first in the file wins") {
  const Routes routes({route("first", {"a.example"}, {prefix("/x")}),
                       route("second", {"a.example"}, {prefix("/x/"), exact("/y")}),
                       route("third", {"a.example"}, {exact("/y")})});
  CHECK(routes.find("a.example", "/x/1") == "first");
  CHECK(routes.find("a.example", "/y") == "second");
}

TEST_CASE("a table has the routes of its listener, with their place among all") {
  RouteSettings other = route("other", {"a.example"});
  other.listeners = {"external"};
  RouteSettings both = route("both", {"a.example"});
  both.listeners = {"external", "internal"};
  const Routes routes({other, both, route("every", {"b.example"})});
  CHECK(routes.find("a.example", "/") == "both");
  CHECK(routes.match("a.example", "/").route->index == 1);
  CHECK(routes.find("b.example", "/") == "every");
}

TEST_CASE("a match says which rule it was and how much of the path it covers") {
  const Routes routes({route("r", {}, {exact("/e"), prefix("/a/b/"), prefix("/")})});
  CHECK(routes.match("x", "/a/b/c").prefix_elements == 2);
  CHECK(routes.match("x", "/a/b/c").rule->path == "/a/b/");
  CHECK(routes.match("x", "/z").prefix_elements == 0);
  CHECK(routes.match("x", "/e").rule->kind == PathMatch::kExact);
}

TEST_CASE("OPTIONS * is no path, so only an expression can match it") {
  const Routes routes({route("r", {}, {prefix("/")})});
  CHECK(routes.find("x", "*", "OPTIONS") == "404");
}

TEST_CASE("an empty table matches nothing") {
  const Routes routes({});
  CHECK(routes.table().empty());
  CHECK(routes.find("x", "/") == "404");
}

TEST_CASE("thousands of hosts are each found") {
  std::vector<RouteSettings> all(3000);
  std::vector<std::string> names(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    names[i] = "host" + std::to_string(i) + ".example";
    all[i] = route(names[i].c_str(), {names[i], "*." + names[i]});
  }
  const Routes routes(all);
  CHECK(routes.table().host_count() == names.size());
  for (const std::string& name : names) {
    CHECK(routes.find(name, "/") == name);
    CHECK(routes.find("a.b." + name, "/") == name);
  }
  CHECK(routes.find("host3000.example", "/") == "404");
}

TEST_CASE("a host of 127 labels is looked up") {
  std::string host = "a";
  while (host.size() < 253) host += ".a";
  const Routes routes({route("r", {"*.a.a"})});
  CHECK(routes.find(host, "/") == "r");
}

TEST_CASE("host names that are none are problems") {
  for (const char* bad : {"", "*", "*.", "a.*.b", "f*.example", "a..b", "192.0.2.1", "a.example:80",
                          "[::1]", "*.10", "http://a.example"}) {
    CHECK_MESSAGE(problems(route("r", {bad})).find("hostnames[0]: ") == 0, bad);
  }
  CHECK(problems(route("r", {"A.Example", "*.example.", "a_b.example"})).empty());
}

TEST_CASE("a bad regular expression is a problem in RE2's words") {
  CHECK(problems_of_match(regex("/a(b")) == "matches[0].path_regex: '/a(b': missing ): /a(b\n");
  CHECK(problems_of_match(regex("/(?=x)")).find("invalid perl operator") != std::string::npos);
  CHECK(problems_of_match(regex("(([a-z]{1000}){100}){10}")).find("matches[0].path_regex: ") == 0);
}

TEST_CASE("an expression that would blow up elsewhere is answered in linear time") {
  const Routes routes({route("r", {}, {regex("/(a*)*b")})});
  CHECK(routes.find("x", "/" + std::string(60'000, 'a')) == "404");
  CHECK(routes.find("x", "/" + std::string(60'000, 'a') + "b") == "r");
}

TEST_CASE("paths, methods and names of matches are checked") {
  CHECK(problems_of_match(prefix("api")).find("matches[0].path_prefix: ") == 0);
  CHECK(problems_of_match(exact("/a/../b")).find("matches[0].path_exact: ") == 0);
  CHECK(problems_of_match(with(prefix("/"), "GE T")).find("matches[0].method: ") == 0);
  CHECK(problems_of_match(with(prefix("/"), "", {{"a b", ""}})).find("matches[0].headers: ") == 0);
  CHECK(problems_of_match(with(prefix("/"), "", {{"host", "x"}})).find("matches[0].headers: ") ==
        0);
}

TEST_CASE("a header that is matched twice in two spellings is a problem") {
  CHECK(problems_of_match(with(prefix("/"), "", {{"X-Env", "a"}, {"x-env", "b"}})) ==
        "matches[0].headers: 'x-env' is there twice\n");
}

TEST_CASE("a rewrite without backends is a problem") {
  RouteSettings settings = route("r", {});
  settings.backends.clear();
  settings.redirect.emplace();
  settings.filters.rewrite.path = "/x";
  CHECK(problems(settings).find("filters: ") == 0);
}

TEST_CASE("a route has one of backends, redirect and respond") {
  RouteSettings settings = route("r", {});
  settings.redirect.emplace();
  CHECK(problems(settings).find("here are 2") != std::string::npos);
  settings.backends.clear();
  CHECK(problems(settings).empty());
  settings.redirect.reset();
  CHECK(problems(settings).find("here are 0") != std::string::npos);
  settings.respond.emplace();
  CHECK(problems(settings).empty());
}

TEST_CASE("filters that would break a message or contradict each other are problems") {
  RouteSettings settings = route("r", {}, {exact("/a")});
  settings.filters.request.set = {{"Host", "x"}, {"X-A", "1"}};
  settings.filters.request.add = {{"x-a", "2"}, {"X-B", "a\r\nb"}};
  settings.filters.request.remove = {"x-A", "Content-Length"};
  settings.filters.response.set = {{"bad name", ""}};
  settings.filters.rewrite = {"a b", "/x", "/y z"};
  const std::string text = problems(settings);
  for (const char* part :
       {"filters.set_request_headers: Host", "filters.add_request_headers: 'x-a'",
        "filters.add_request_headers: the value of 'X-B'", "filters.remove_request_headers: 'x-A'",
        "filters.remove_request_headers: 'Content-Length'",
        "filters.set_response_headers: ", "filters.rewrite_host: ", "filters.rewrite_path: ",
        "filters.rewrite_prefix: rewrite_path is there", "filters.rewrite_prefix: only where"}) {
    CHECK_MESSAGE(text.find(part) != std::string::npos, part);
  }
}

TEST_CASE("more backends than are weighed are a problem") {
  RouteSettings settings = route("r", {});
  settings.backends.assign(kBackendsMax, {parse_backend_url("http://192.0.2.1").value(), 1});
  CHECK(problems(settings) == "");
  settings.backends.push_back(settings.backends.front());
  CHECK(problems(settings) == "backends: 65 of them; allowed: 64 at most\n");
}

TEST_CASE("redirects, responses, health paths and timeouts are checked") {
  RouteSettings settings = route("r", {});
  settings.backends.clear();
  settings.redirect = RedirectSettings{"ftp", "A.example:80", 0, "x", 305};
  settings.health.path = "healthz";
  settings.health.interval_ms = 0;
  settings.timeouts.request_ms = 1000;
  settings.timeouts.backend_ms = 2000;
  std::string text = problems(settings);
  for (const char* part :
       {"redirect.scheme: ", "redirect.hostname: ", "redirect.path: ", "redirect.status: ",
        "health.path: ", "health.interval: ", "timeouts.backend: "}) {
    CHECK_MESSAGE(text.find(part) != std::string::npos, part);
  }
  settings.redirect.reset();
  settings.respond = RespondSettings{204, "text/\nplain", "body"};
  text = problems(settings);
  CHECK(text.find("respond.body: ") != std::string::npos);
  CHECK(text.find("respond.content_type: ") != std::string::npos);
  settings.respond->status = 101;
  CHECK(problems(settings).find("respond.status: ") != std::string::npos);
}

}  // namespace postern::http
