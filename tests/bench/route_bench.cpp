#include "http/route.h"

#include <memory>
#include <string>
#include <vector>

#include "bench.h"

namespace postern::bench {
namespace {

http::RouteSettings route_to(std::string hostname, const char* prefix) {
  http::RouteSettings settings;
  settings.hostnames.push_back(std::move(hostname));
  settings.matches.emplace_back();
  settings.matches.back().path = prefix;
  settings.respond.emplace();
  return settings;
}

/// So many exact hosts with two prefixes each, and one wildcard.
std::vector<http::RouteSettings> some_hosts(unsigned hosts) {
  std::vector<http::RouteSettings> routes{route_to("*.apps.example", "/")};
  for (unsigned i = 0; i < hosts; ++i) {
    const std::string name = "host" + std::to_string(i) + ".home.example";
    routes.push_back(route_to(name, "/"));
    routes.push_back(route_to(name, "/api"));
  }
  return routes;
}

void bench_hosts(Bench& bench, unsigned hosts) {
  const std::vector<http::RouteSettings> routes = some_hosts(hosts);
  const http::RouteTable table = http::RouteTable::compile(routes, "internal");
  std::vector<std::string> names;
  names.reserve(hosts);
  for (unsigned i = 0; i < hosts; ++i) {
    names.push_back("host" + std::to_string(i * 7919 % hosts) + ".home.example");
  }
  const http::Fields fields;
  const std::string suffix = " among " + std::to_string(hosts) + " hosts";
  bench.run("route: exact host" + suffix, [&](std::uint64_t i) {
    keep(table.match({names[i % hosts], "GET", "/api/v1/things", "", fields}));
  });
  bench.run("route: the same host again" + suffix, [&](std::uint64_t) {
    keep(table.match({names[0], "GET", "/api/v1/things", "", fields}));
  });
  bench.run("route: wildcard host" + suffix, [&](std::uint64_t) {
    keep(table.match({"a.b.apps.example", "GET", "/api/v1/things", "", fields}));
  });
  bench.run("route: no such host" + suffix, [&](std::uint64_t) {
    keep(table.match({"www.example.com", "GET", "/api/v1/things", "", fields}));
  });
}

void bench_rules(Bench& bench) {
  http::RouteSettings regex = route_to("a.example", "/api/v[0-9]+/things/[a-z0-9-]+");
  regex.matches[0].kind = http::PathMatch::kRegex;
  http::RouteSettings narrow = route_to("b.example", "/api");
  narrow.matches[0].method = "GET";
  narrow.matches[0].headers = {{"x-env", "dev"}};
  narrow.matches[0].query = {{"v", "1"}};
  const std::vector<http::RouteSettings> routes{regex, narrow};
  const http::RouteTable table = http::RouteTable::compile(routes, "internal");
  http::Fields fields;
  for (const char* name : {"accept", "user-agent", "cookie", "accept-encoding", "x-env"}) {
    fields.add(name, "dev");
  }
  bench.run("route: regular expression", [&](std::uint64_t) {
    keep(table.match({"a.example", "GET", "/api/v1/things/one-more", "", fields}));
  });
  bench.run("route: method, header and query", [&](std::uint64_t) {
    keep(table.match({"b.example", "GET", "/api/v1/things", "page=2&v=1", fields}));
  });
}

void bench_urls(Bench& bench) {
  http::RequestPath path;
  bench.run("url: plain path",
            [&](std::uint64_t) { keep(path.parse("/api/v1/things/one-more?page=2&v=1")); });
  bench.run("url: path with escapes and dot segments", [&](std::uint64_t) {
    keep(path.parse("/api/v1/../v2/things/%6fne%20more?page=2&v=1"));
  });
  bench.run("url: authority",
            [&](std::uint64_t) { keep(http::parse_host_port("host1234.home.example:8443")); });
}

}  // namespace

void bench_route(Bench& bench) {
  for (const unsigned hosts : {1U, 100U, 10'000U}) bench_hosts(bench, hosts);
  bench_rules(bench);
  bench_urls(bench);
}

}  // namespace postern::bench
