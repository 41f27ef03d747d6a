#include "gateway/request_counts.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace postern::gateway {
namespace {

http::RouteSettings route(std::vector<std::string> hosts, http::PathMatch kind, std::string path) {
  http::RouteSettings settings;
  settings.hostnames = std::move(hosts);
  settings.matches.emplace_back();
  settings.matches[0].kind = kind;
  settings.matches[0].path = std::move(path);
  return settings;
}

}  // namespace

TEST_CASE("a route is called by its first host and path, and no two are called the same") {
  using http::PathMatch;
  http::RouteSettings bare;
  bare.hostnames = {"a.example", "b.example"};
  const std::vector<http::RouteSettings> routes{
      route({"a.example"}, PathMatch::kPrefix, "/api"),
      route({"a.example"}, PathMatch::kExact, "/api"),
      route({"a-name-that-is-longer-than-a-string-holds-by-itself.example"}, PathMatch::kPrefix,
            "/"),
      route({}, PathMatch::kRegex, "/v[0-9]"),
      bare,
      route({"a.example"}, PathMatch::kPrefix, "/api"),
      route({"a.example"}, PathMatch::kPrefix, "/api")};
  CHECK(route_names(routes) ==
        std::vector<std::string>{"a.example/api", "a.example=/api",
                                 "a-name-that-is-longer-than-a-string-holds-by-itself.example/",
                                 "*~/v[0-9]", "a.example/", "a.example/api#2", "a.example/api#3"});
}

TEST_CASE("requests are counted by names, which stay when the configuration is read again") {
  RequestCounts counts;
  const auto listener = counts.name_id("internal");
  const auto first = counts.name_id("a.example/");
  const auto backend = counts.name_id("http://a:80");
  counts.count({.listener = listener, .route = first, .backend = backend, .status = 204});
  CHECK(counts.name_id("b.example/") != first);
  const auto again = counts.name_id("a.example/");
  counts.count({.listener = listener, .route = again, .backend = backend, .status = 200});
  counts.count({.listener = listener, .status = 404});
  counts.count({.listener = listener, .route = first, .backend = backend});
  const auto series = counts.series();
  REQUIRE(series.size() == 2);
  CHECK(series[0].listener == "internal");
  CHECK(series[0].route == "a.example/");
  CHECK(series[0].backend == "http://a:80");
  CHECK(series[0].by_class == std::array<std::uint64_t, 6>{1, 0, 2, 0, 0, 0});
  CHECK(series[1].route == "none");
  CHECK(series[1].backend == "none");
  CHECK(series[1].by_class == std::array<std::uint64_t, 6>{0, 0, 0, 0, 1, 0});
}

TEST_CASE("an upgraded connection does not count as a slow request") {
  RequestCounts counts;
  const auto name = counts.name_id("a.example/");
  counts.count({.route = name,
                .status = 101,
                .duration_us = 3'600'000'000,
                .first_byte_us = 900,
                .upgraded = true});
  counts.count({.route = name, .status = 200, .duration_us = 5'000, .first_byte_us = 2'000});
  const auto times = counts.times();
  REQUIRE(times.size() == 1);
  CHECK(times[0].duration.count() == 1);
  CHECK(times[0].duration.sum_us == 5'000);
  CHECK(times[0].first_byte.count() == 2);
}

TEST_CASE("names without end become other") {
  RequestCounts counts;
  RequestCounts::NameId last = 0;
  for (std::size_t i = 0; i < RequestCounts::kNamesMax + 10; ++i) {
    last = counts.name_id(fmt::format("host{}.example/", i));
    counts.count({.listener = last, .route = last, .status = 200});
  }
  CHECK(last == RequestCounts::kOther);
  CHECK(counts.series().size() == RequestCounts::kNamesMax - 1);
  CHECK(counts.series().back().route == "other");
}

TEST_CASE("series without end become one") {
  RequestCounts counts;
  std::vector<RequestCounts::NameId> ids;
  for (int i = 0; i < 200; ++i) ids.push_back(counts.name_id(fmt::format("{}", i)));
  for (const auto route : ids) {
    for (const auto backend : ids) counts.count({.route = route, .backend = backend});
  }
  CHECK(counts.series().size() == RequestCounts::kSeriesMax + 1);
  CHECK(counts.series().back().listener == "other");
  CHECK(counts.series().back().by_class[0] == 200 * 200 - RequestCounts::kSeriesMax);
}

}  // namespace postern::gateway
