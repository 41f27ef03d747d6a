#include "http/url.h"

#include <string>

#include <doctest/doctest.h>

namespace postern::http {
namespace {

std::string host_of(std::string_view text) {
  const auto authority = parse_host_port(text);
  return authority ? std::string(authority->host()) : "refused";
}

int port_of(std::string_view text) {
  const auto authority = parse_host_port(text);
  return authority ? authority->port : -1;
}

std::string normal(std::string_view target) {
  RequestPath path;
  return path.parse(target) ? std::string(path.path()) : "refused";
}

std::string decoded(std::string_view target) {
  RequestPath path;
  return path.parse(target) ? std::string(path.decoded()) : "refused";
}

std::string backend(std::string_view text) {
  const auto url = parse_backend_url(text);
  return url ? url->to_string() : "refused";
}

}  // namespace

TEST_CASE("a host is compared in lower case and without the dot at its end") {
  CHECK(host_of("ArgoCD.Example") == "argocd.example");
  CHECK(host_of("argocd.example.") == "argocd.example");
  CHECK(host_of("a_b.x-1.example:8443") == "a_b.x-1.example");
  CHECK(host_of("localhost") == "localhost");
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  CHECK(longest.size() == 253);
  CHECK(host_of(longest) == longest);
  CHECK(host_of(longest + ".") == longest);
  CHECK(host_of(longest + ".:80") == longest);
  CHECK(host_of(longest + "b") == "refused");
}

TEST_CASE("a port is 1 to 65535, and an empty one is none") {
  CHECK(port_of("a.example") == 0);
  CHECK(port_of("a.example:") == 0);
  CHECK(port_of("a.example:443") == 443);
  CHECK(port_of("a.example:65535") == 65535);
  CHECK(port_of("a.example:65536") == -1);
  CHECK(port_of("a.example:0") == -1);
  CHECK(port_of("a.example:+1") == -1);
  CHECK(port_of("a.example:80x") == -1);
  CHECK(port_of("a.example:80:90") == -1);
}

TEST_CASE("addresses are hosts: IPv4, and IPv6 in brackets") {
  CHECK(host_of("192.168.10.50:80") == "192.168.10.50");
  CHECK(host_of("[2001:DB8::1]:8443") == "[2001:db8::1]");
  CHECK(port_of("[2001:db8::1]:8443") == 8443);
  CHECK(parse_host_port("[::1]")->is_address);
  CHECK(parse_host_port("10.0.0.1")->is_address);
  CHECK_FALSE(parse_host_port("10.example")->is_address);
  for (const char* bad : {"1.2.3", "1.2.3.256", "a.1", "2001:db8::1", "[::1", "[1.2.3.4]", "[]",
                          "[::1]x", "[fe80::1%25eth0]", "[::1]]"}) {
    CHECK_MESSAGE(host_of(bad) == "refused", bad);
  }
}

TEST_CASE("an authority with a user, an escape or odd bytes is refused") {
  for (const char* bad : {"", ":80", ".", "a..b", ".a", "user@a.example", "a%2eb", "a b", "a/b",
                          "a,b", "*.example", "\xc3\xa4.example", "a\texample", "a..", "a?b"}) {
    CHECK_MESSAGE(host_of(bad) == "refused", bad);
  }
  CHECK(host_of(std::string_view("a\0b", 3)) == "refused");
}

TEST_CASE("a backend is a scheme, a host and a port") {
  CHECK(backend("http://argocd-server") == "http://argocd-server:80");
  CHECK(backend("https://10.43.0.20") == "https://10.43.0.20:443");
  CHECK(backend("h2c://grpc.svc:50051") == "h2c://grpc.svc:50051");
  CHECK(backend("HTTP://Host:8080/") == "http://host:8080");
  CHECK(backend("http://[2001:db8::1]:8080") == "http://[2001:db8::1]:8080");
  CHECK(parse_backend_url("http://[2001:db8::1]")->host == "2001:db8::1");
  for (const char* bad : {"argocd-server:80", "ftp://x", "http://", "http:///x", "http://x/path",
                          "http://u:p@x", "http://x:0", "http://x?y", "http://::1", "//x"}) {
    CHECK_MESSAGE(backend(bad) == "refused", bad);
  }
}

TEST_CASE("what is wrong with a backend is said, with what is allowed") {
  CHECK(parse_backend_url("ftp://x").error().detail ==
        "'ftp' is not a scheme of backends; allowed: http://, https://, h2c://");
  CHECK(parse_backend_url("http://x/api").error().detail.find("rewrite_prefix") !=
        std::string::npos);
}

TEST_CASE("dot segments are removed as in RFC 3986 sections 5.2.4 and 5.4") {
  CHECK(normal("/a/b/c/./../../g") == "/a/g");
  CHECK(normal("/b/c/g") == "/b/c/g");
  CHECK(normal("/b/c/./g") == "/b/c/g");
  CHECK(normal("/b/c/") == "/b/c/");
  CHECK(normal("/b/c/.") == "/b/c/");
  CHECK(normal("/b/c/./") == "/b/c/");
  CHECK(normal("/b/c/..") == "/b/");
  CHECK(normal("/b/c/../") == "/b/");
  CHECK(normal("/b/c/../g") == "/b/g");
  CHECK(normal("/b/c/../..") == "/");
  CHECK(normal("/b/c/../../g") == "/g");
  CHECK(normal("/b/c/../../../g") == "/g");
  CHECK(normal("/../g") == "/g");
  CHECK(normal("/./g") == "/g");
  CHECK(normal("/b/c/g.") == "/b/c/g.");
  CHECK(normal("/b/c/.g") == "/b/c/.g");
  CHECK(normal("/b/c/g..") == "/b/c/g..");
  CHECK(normal("/b/c/..g") == "/b/c/..g");
  CHECK(normal("/b/c/./../g") == "/b/g");
  CHECK(normal("/b/c/./g/.") == "/b/c/g/");
  CHECK(normal("/b/c/g/./h") == "/b/c/g/h");
  CHECK(normal("/b/c/g/../h") == "/b/c/h");
  CHECK(normal("/b/c/g;x=1/./y") == "/b/c/g;x=1/y");
  CHECK(normal("/b/c/g;x=1/../y") == "/b/c/y");
  CHECK(normal("/b/c/g?y/../x") == "/b/c/g");
  CHECK(normal("/...") == "/...");
  CHECK(normal("/..") == "/");
  CHECK(normal("/") == "/");
}

TEST_CASE("encoded dots are dots, other bytes reach the backend as they came") {
  CHECK(normal("/public/%2e%2E/admin") == "/admin");
  CHECK(normal("/public/.%2e/admin") == "/admin");
  CHECK(normal("/public/%2e/admin") == "/public/admin");
  CHECK(normal("/%7efoo/%c3%bc/%61") == "/%7efoo/%c3%bc/%61");
  CHECK(normal("/a/%7E/../b%2fc") == "/a/b%2fc");
}

TEST_CASE("empty segments stay") {
  CHECK(normal("//") == "//");
  CHECK(normal("//a///b") == "//a///b");
  CHECK(normal("/a//../b") == "/a/b");
  CHECK(normal("/a/..//b") == "//b");
}

TEST_CASE("routes see the path decoded, an encoded slash or percent sign stays encoded") {
  CHECK(decoded("/%61dmin") == "/admin");
  CHECK(decoded("/a%20b") == "/a b");
  CHECK(decoded("/gr%C3%B6sse") == "/gr\xc3\xb6sse");
  CHECK(decoded("/group%2fproject") == "/group%2Fproject");
  CHECK(decoded("/a%252fb") == "/a%252fb");
  CHECK(decoded("/a%25b") == "/a%25b");
  CHECK(decoded("/x/%2e%2e/%61") == "/a");
  CHECK(decoded("/plain") == "/plain");
}

TEST_CASE("segments that only some servers take for dot segments are refused") {
  for (const char* bad :
       {"/public/..%2fadmin", "/public/..%2Fadmin", "/public/x%2f..%2f..%2fadmin", "/..%5cadmin",
        "/public/..%5c", "/public/%2e%2e%2fadmin", "/public/..;/admin", "/public/..;x=1/admin",
        "/.;/admin", "/public/%2e%2e;/admin", "/x%2f..", "/.%2fadmin", "/a%5c.%2fb"}) {
    CHECK_MESSAGE(normal(bad) == "refused", bad);
  }
  for (const char* good : {"/a..%2fb", "/a;..", "/...%2fb", "/@scope%2fname", "/a%5cb", "/;x",
                           "/a;/b", "/a;x=..%3f", "/%2f", "/.well-known%2fx"}) {
    CHECK_MESSAGE(normal(good) == good, good);
  }
}

TEST_CASE("bytes that no URL has and broken escapes are refused") {
  for (const char* bad : {"", "a", "http://x/", "**", "*?", "/a b", "/a\tb", "/a#b", "/a\\b", "/%",
                          "/%2", "/%zz", "/%00", "/a\xc3\xa4", "/a\x7f", "/a?b c", "/a?b#c"}) {
    CHECK_MESSAGE(normal(bad) == "refused", bad);
  }
  CHECK(normal(std::string_view("/a\0b", 4)) == "refused");
  CHECK(normal("/a|b{c}^\"<>`") == "/a|b{c}^\"<>`");
  // Browsers send it as it is in a query (WHATWG URL, "query state").
  CHECK(normal("/a?b=C:\\d") == "/a");
}

TEST_CASE("the query is what stands behind the first question mark, unchanged") {
  RequestPath path;
  REQUIRE(path.parse("/a/../b?x=/../y&z=%zz?q"));
  CHECK(path.path() == "/b");
  CHECK(path.query() == "x=/../y&z=%zz?q");
  CHECK(path.has_query());
  CHECK_FALSE(path.is_normal());
  REQUIRE(path.parse("/a?"));
  CHECK(path.has_query());
  CHECK(path.query().empty());
  CHECK(path.is_normal());
  REQUIRE(path.parse("*"));
  CHECK(path.path() == "*");
  CHECK_FALSE(path.has_query());
}

TEST_CASE("a path of the configuration gets the form that requests are matched in") {
  CHECK(parse_config_path("/a%20b/%2f").value() == "/a b/%2F");
  CHECK(parse_config_path("/a b/gr\xc3\xb6sse").value() == "/a b/gr\xc3\xb6sse");
  CHECK(parse_config_path("/").value() == "/");
  for (const char* bad :
       {"", "a", "//", "/a//b", "/a/../b", "/a/.", "/a?b", "/a#", "/%z", "/a\\b"}) {
    CHECK_MESSAGE(!parse_config_path(bad).has_value(), bad);
  }
}

TEST_CASE("what is behind the first elements of a path begins with its slash") {
  CHECK(path_behind("/a/b/c", 2) == "/c");
  CHECK(path_behind("/a/b/c", 0) == "/a/b/c");
  CHECK(path_behind("/a/b/", 2) == "/");
  CHECK(path_behind("/a/b", 2).empty());
  CHECK(path_behind("/a", 9).empty());
  CHECK(path_behind("/a%2Fb/c", 1) == "/c");
}

TEST_CASE("a query parameter is the first of its name, decoded, with plus signs left alone") {
  CHECK(query_has("animal=whale&color=blue", "color", "blue"));
  CHECK(query_has("a=1&a=2", "a", "1"));
  CHECK_FALSE(query_has("a=1&a=2", "a", "2"));
  CHECK(query_has("%61=%31", "a", "1"));
  CHECK(query_has("q=a+b", "q", "a+b"));
  CHECK_FALSE(query_has("q=a+b", "q", "a b"));
  CHECK(query_has("q=a%2Bb%26c%3Dd", "q", "a+b&c=d"));
  CHECK(query_has("debug", "debug", ""));
  CHECK(query_has("&&debug=&", "debug", ""));
  CHECK(query_has("x=%zz", "x", "%zz"));
  CHECK(query_has("x=a=b", "x", "a=b"));
  CHECK_FALSE(query_has("Animal=whale", "animal", "whale"));
  CHECK_FALSE(query_has("animal=whaledolphin", "animal", "whale"));
  CHECK_FALSE(query_has("animal=wha", "animal", "whale"));
  CHECK_FALSE(query_has("", "animal", ""));
}

}  // namespace postern::http
