#include "http/rewrite.h"

#include <string>

#include <doctest/doctest.h>

namespace postern::http {
namespace {

std::string target(std::string_view request, const RewriteSettings& rewrite,
                   std::size_t elements = 0) {
  RequestPath path;
  REQUIRE(path.parse(request));
  TextArena arena;
  return std::string(backend_target(path, rewrite, elements, arena));
}

std::string with_prefix(std::string_view request, std::size_t elements, const char* replacement) {
  return target(request, {"", replacement, ""}, elements);
}

std::string location(const RedirectSettings& redirect, const RequestedPlace& place,
                     std::string_view request = "/a?b=c") {
  RequestPath path;
  REQUIRE(path.parse(request));
  TextArena arena;
  return std::string(redirect_location(redirect, place, path, arena));
}

RedirectSettings to(const char* scheme, const char* hostname, std::uint16_t port,
                    const char* path = "") {
  RedirectSettings redirect;
  redirect.scheme = scheme;
  redirect.hostname = hostname;
  redirect.port = port;
  redirect.path = path;
  return redirect;
}

}  // namespace

TEST_CASE("a prefix is replaced by element (the table of the Gateway API's HTTPPathModifier)") {
  CHECK(with_prefix("/foo/bar", 1, "/xyz") == "/xyz/bar");
  CHECK(with_prefix("/foo/bar", 1, "/xyz/") == "/xyz/bar");
  CHECK(with_prefix("/foo", 1, "/xyz") == "/xyz");
  CHECK(with_prefix("/foo/", 1, "/xyz") == "/xyz/");
  CHECK(with_prefix("/foo/bar", 1, "/") == "/bar");
  CHECK(with_prefix("/foo/", 1, "/") == "/");
  CHECK(with_prefix("/foo", 1, "/") == "/");
}

TEST_CASE("the root as a prefix puts the replacement in front") {
  CHECK(with_prefix("/bar", 0, "/xyz") == "/xyz/bar");
  CHECK(with_prefix("/", 0, "/xyz") == "/xyz/");
}

TEST_CASE("a prefix that the client wrote in other bytes is replaced as a whole") {
  CHECK(with_prefix("/%66oo%2Fx/%62ar?q", 1, "/xyz") == "/xyz/%62ar?q");
  CHECK(with_prefix("/x/../foo/bar", 1, "/xyz") == "/xyz/bar");
}

TEST_CASE("a path is replaced as a whole and the query stays") {
  CHECK(target("/a/b?c=d", {"", "", "/x"}) == "/x?c=d");
  CHECK(target("/a/b?", {"", "", "/x"}) == "/x?");
  CHECK(target("/a/b", {"", "", "/x"}) == "/x");
}

TEST_CASE("without a rewrite the backend gets the bytes that came, but for dot segments") {
  CHECK(target("/%7Ea//b?c=%zz", {}) == "/%7Ea//b?c=%zz");
  CHECK(target("/a/../%7Eb?c=/../", {}) == "/%7Eb?c=/../");
  CHECK(target("*", {"", "/x", ""}) == "*");
}

TEST_CASE("a redirect's port is left out when it is the usual one of the scheme") {
  const RequestedPlace plain{false, "app.example", 80};
  const RequestedPlace plain8080{false, "app.example", 8080};
  const RequestedPlace tls{true, "app.example", 443};
  const RequestedPlace tls8443{true, "app.example", 8443};
  CHECK(location(to("https", "", 443), plain) == "https://app.example/a?b=c");
  CHECK(location(to("https", "", 0), plain8080) == "https://app.example/a?b=c");
  CHECK(location(to("https", "", 8443), plain) == "https://app.example:8443/a?b=c");
  CHECK(location(to("http", "", 80), tls) == "http://app.example/a?b=c");
  CHECK(location(to("http", "", 443), tls) == "http://app.example:443/a?b=c");
  CHECK(location(to("", "", 0), plain) == "http://app.example/a?b=c");
  CHECK(location(to("", "", 0), plain8080) == "http://app.example:8080/a?b=c");
  CHECK(location(to("", "", 0), tls8443) == "https://app.example:8443/a?b=c");
  CHECK(location(to("", "", 8083), plain) == "http://app.example:8083/a?b=c");
  CHECK(location(to("https", "", 65535), tls) == "https://app.example:65535/a?b=c");
}

TEST_CASE("a redirect goes to another host or path and keeps the query") {
  const RequestedPlace place{true, "app.example", 443};
  CHECK(location(to("", "new.example", 0), place) == "https://new.example/a?b=c");
  CHECK(location(to("", "", 0, "/new"), place) == "https://app.example/new?b=c");
  CHECK(location(to("", "", 0, "/new?x=y"), place) == "https://app.example/new?x=y");
  CHECK(location(to("", "", 0, "/new"), place, "/a") == "https://app.example/new");
  CHECK(location(to("", "", 0), {true, "[2001:db8::1]", 443}) == "https://[2001:db8::1]/a?b=c");
}

TEST_CASE("a path with two slashes in front is not taken for a host") {
  CHECK(location(to("https", "", 0), {false, "app.example", 80}, "//evil.example/x") ==
        "https://app.example//evil.example/x");
  CHECK(location(to("https", "", 0), {false, "app.example", 80}, "/x/..//evil.example") ==
        "https://app.example//evil.example");
  CHECK(location(to("https", "", 0), {false, "app.example", 80}, "*") == "https://app.example/");
}

}  // namespace postern::http
