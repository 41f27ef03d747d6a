// Warnings about what is valid and cannot be meant.
#include <doctest/doctest.h>

#include "folder.h"
#include "server/config.h"

namespace postern::server {
namespace {

const test::Folder& folder() {
  static const test::Folder folder;
  static const bool written = [] {
    folder.write("resolv.conf", "nameserver 192.0.2.53\n");
    folder.write("tls.crt", "");
    folder.write("tls.key", "");
    return true;
  }();
  static_cast<void>(written);
  return folder;
}

ConfigResult load(const std::string& text) {
  return load_config_text(text, folder().path("t.toml"), {folder().path("resolv.conf")});
}

/// Each problem without its file, one a line.
std::string problems(const std::string& text) {
  std::string all;
  for (const ConfigProblem& problem : load(text).problems) {
    all += folder().shorten(problem.to_string()) + "\n";
  }
  return all;
}

/// A listener on http 8080 and https 8443 of 127.0.0.1, named "a", with one more line.
std::string listener(const std::string& line = "") {
  return "[[tls.certificate]]\nname = \"lan\"\ncert = \"tls.crt\"\nkey = \"tls.key\"\n"
         "[[gateway.listener]]\nname = \"a\"\naddress = [\"127.0.0.1\"]\nhttp = 8080\n"
         "https = 8443\ncertificates = [\"lan\"]\n" +
         line + "\n";
}

std::string route(const std::string& lines) {
  return "[[gateway.route]]\nhostnames = [\"app.example\"]\n" + lines + "\n";
}

bool says(const std::string& text, std::string_view words) {
  return problems(text).find(words) != std::string::npos;
}

constexpr std::string_view kLoop = "leads to this same route";
constexpr std::string_view kNeverFits = "it never fits";
constexpr std::string_view kCircle = "requests go in a circle";

}  // namespace

TEST_CASE("a redirect to itself") {
  const auto loops = [](const std::string& lines) {
    return says(listener() + route(lines), kLoop);
  };
  CHECK(loops("redirect = { path = \"/x\" }"));
  CHECK(loops("redirect = { hostname = \"app.example\" }"));
  CHECK(loops("redirect = { scheme = \"https\", port = 8443 }"));
  CHECK(loops("redirect = { scheme = \"http\", port = 8080 }"));
  CHECK(loops("redirect = { port = 8443, path = \"/\" }"));
  CHECK(loops("matches = [{ path_exact = \"/a\" }]\nredirect = { path = \"/a\" }"));
  CHECK(loops("matches = [{ path_prefix = \"/a\" }]\nredirect = { path = \"/a/b\" }"));
  CHECK_FALSE(loops("matches = [{ path_prefix = \"/a\" }]\nredirect = { path = \"/ab\" }"));
  CHECK_FALSE(loops("matches = [{ path_exact = \"/\" }]\nredirect = { path = \"/app\" }"));
  CHECK_FALSE(loops("redirect = { hostname = \"other.example\" }"));
  CHECK_FALSE(loops("redirect = { scheme = \"https\" }"));  // port 443 is not the listener's
  // The target is another route's.
  CHECK_FALSE(loops("redirect = { path = \"/app\" }\n" +
                    route("matches = [{ path_prefix = \"/app\" }]\nrespond = {}")));
}

TEST_CASE("a redirect that leads out of its own route") {
  const auto loops = [](const std::string& lines) { return says(listener() + lines, kLoop); };
  // From any host to one that is not served here.
  CHECK_FALSE(loops("[[gateway.route]]\nredirect = { hostname = \"shop.example.com\" }\n"));
  CHECK(loops("[[gateway.route]]\nredirect = { path = \"/x\" }\n"));
  CHECK(
      loops("[[gateway.route]]\nhostnames = [\"*.example\"]\n"
            "redirect = { hostname = \"a.example\" }\n"));
  // What a browser asks behind a form.
  const std::string form = "matches = [{ method = \"POST\" }]\n";
  CHECK_FALSE(loops(route(form + "redirect = { path = \"/done\", status = 303 }")));
  CHECK_FALSE(loops(route(form + "redirect = { path = \"/done\", status = 302 }")));
  CHECK(loops(route(form + "redirect = { path = \"/done\", status = 307 }")));
  const std::string login = route("matches = [{ path_exact = \"/login\" }]\nrespond = {}");
  CHECK_FALSE(loops(route("redirect = { path = \"/login?next=1\" }") + login));
  CHECK(loops(route("redirect = { path = \"/login?next=1\" }")));
}

TEST_CASE("a redirect to itself is told at its place") {
  CHECK(problems(listener() + route("redirect = { path = \"/x\" }")).find("t.toml:14:") == 0);
}

TEST_CASE("a backend that is a listener of ours") {
  const auto circles = [](const std::string& url, const std::string& more = "") {
    return says(listener() + route("backends = [{ url = \"" + url + "\" }]") + more, kCircle);
  };
  CHECK(circles("http://127.0.0.1:8080"));
  CHECK(circles("https://127.0.0.1:8443"));
  CHECK(circles("http://localhost:8080"));
  CHECK_FALSE(circles("http://127.0.0.1:8081"));
  CHECK_FALSE(circles("http://127.0.0.2:8080"));
  CHECK(circles("http://127.0.0.1:5432",
                "[[gateway.listener]]\nname = \"b\"\naddress = [\"0.0.0.0\"]\nhttp = 5432\n"
                "https = 0\n"));
}

TEST_CASE("a backend whose name our own DNS leads back here") {
  const auto circles = [](const std::string& url, const std::string& more = "") {
    return says(listener() + route("backends = [{ url = \"" + url + "\" }]") + more, kCircle);
  };
  const std::string wildcard =
      "[[dns.override]]\nnames = [\"*.example\"]\naddress = [\"127.0.0.1\"]\n";
  CHECK(circles("https://nas.example:8443", wildcard));
  CHECK(circles("https://app.example:8443"));  // publish_dns
  CHECK_FALSE(circles("https://nas.example:8443"));
  CHECK_FALSE(circles("https://nas.example:5001", wildcard));
  CHECK_FALSE(circles("https://nas.example:8443",
                      wildcard + "[[dns.override]]\nnames = [\"nas.example\"]\nforward = true\n"));
  CHECK_FALSE(circles(
      "https://nas.example:8443",
      wildcard + "[[dns.override]]\nnames = [\"nas.example\"]\naddress = [\"127.0.0.9\"]\n"));
  const std::string db =
      "[[gateway.listener]]\nname = \"db\"\naddress = [\"127.0.0.1\"]\n"
      "tcp = 5432\nbackends = [\"db.example:5432\"]\n";
  CHECK(says(listener() + db + wildcard, "until there are too many"));
  CHECK_FALSE(says(listener() + db, "until there are too many"));
}

TEST_CASE("a backend that is another listener") {
  const std::string other =
      "[[gateway.listener]]\nname = \"b\"\naddress = [\"{}\"]\nhttp = 8081\nhttps = 0\n";
  const auto at = [&](const std::string& address) {
    return std::string(other).replace(other.find("{}"), 2, address);
  };
  const auto circles = [](const std::string& lines, const std::string& more) {
    return says(listener() + route(lines) + more, kCircle);
  };
  CHECK(circles("backends = [{ url = \"http://127.0.0.1:8081\" }]", at("0.0.0.0")));
  CHECK_FALSE(circles("backends = [{ url = \"http://[::1]:8081\" }]", at("0.0.0.0")));
  CHECK(circles("backends = [{ url = \"http://[::1]:8081\" }]", at("::")));
  // The route is not on that listener, or asks it for another host.
  CHECK_FALSE(circles("listeners = [\"a\"]\nbackends = [{ url = \"http://127.0.0.1:8081\" }]",
                      at("127.0.0.1")));
  CHECK_FALSE(
      circles("backends = [{ url = \"http://127.0.0.1:8081\" }]\n"
              "filters = { rewrite_host = \"b.example\" }",
              at("127.0.0.1")));
  const std::string db =
      "[[gateway.listener]]\nname = \"db\"\naddress = [\"0.0.0.0\"]\ntcp = 5432\n";
  const std::string to_db = route("backends = [{ url = \"http://127.0.0.1:5432\" }]");
  CHECK(says(listener() + to_db + db + "backends = [\"192.0.2.1:5432\"]\n", "plain TCP"));
  CHECK(says(db + "backends = [\"127.0.0.1:5432\"]\n", "until there are too many"));
  CHECK_FALSE(says(db + "backends = [\"192.0.2.1:5432\"]\n", "until there are too many"));
}

TEST_CASE("a path_regex that no path fits") {
  const auto never = [](const std::string& pattern) {
    return says(listener() + route("matches = [{ path_regex = '" + pattern + "' }]\nrespond = {}"),
                kNeverFits);
  };
  CHECK(never("api"));
  CHECK(never("api/.*"));
  CHECK(never("^api$"));
  CHECK(says(listener() + route("matches = [{ path_regex = '^api$' }]\nrespond = {}"),
             "write \"/api\", or \".*api.*\""));
  CHECK_FALSE(never("/api"));
  CHECK_FALSE(never(".*api"));
  CHECK_FALSE(never("(/a|/b).*"));
  CHECK_FALSE(never("[^a]api"));
  CHECK_FALSE(never("(api|/api)"));
}

TEST_CASE("a path_prefix with the asterisk of others") {
  const auto said = [](const std::string& prefix, std::string_view what) {
    return says(
        listener() + route("matches = [{ path_prefix = \"" + prefix + "\" }]\nrespond = {}"), what);
  };
  CHECK(said("/api/*", "a prefix covers all that is below it: write \"/api\""));
  CHECK(said("/*", "write \"/\""));
  CHECK_FALSE(said("/api", "stands for itself"));
  CHECK_FALSE(said("/a*b", "stands for itself"));
}

TEST_CASE("health without a path") {
  const auto said = [](const std::string& health) {
    return says(listener() + route("backends = [{ url = \"http://x\" }]\nhealth = " + health),
                "without a path no backend is asked");
  };
  CHECK(said("{ interval = \"2s\" }"));
  CHECK_FALSE(said("{ path = \"/healthz\" }"));
}

TEST_CASE("everybody is a trusted proxy") {
  const std::string rest = route("respond = {}");
  CHECK(says(listener("trusted_proxies = [\"0.0.0.0/0\"]") + rest, "is everybody"));
  CHECK(says(listener("trusted_proxies = [\"10.0.0.1\", \"::/0\"]") + rest, "is everybody"));
  CHECK_FALSE(says(listener("trusted_proxies = [\"10.0.0.0/8\"]") + rest, "is everybody"));
}

TEST_CASE("a certificate that nobody uses") {
  const std::string unused =
      "[[tls.certificate]]\nname = \"old\"\ncert = \"tls.crt\"\n"
      "key = \"tls.key\"\n";
  CHECK(says(listener() + unused + route("respond = {}"),
             "tls.certificate 'old' is used by no listener"));
  CHECK_FALSE(says(listener() + route("respond = {}"), "is used by no listener"));
}

TEST_CASE("keys without effect") {
  CHECK(says(listener() + route("respond = {}\nhealth = { path = \"/\" }"),
             "gateway.route.health: without backends"));
  CHECK(says(listener() + route("redirect = { hostname = \"b.example\" }\n"
                                "timeouts = { request = \"5s\" }"),
             "gateway.route.timeouts.request: without backends"));
  CHECK_FALSE(
      says(listener() + route("respond = {}\ntimeouts = { idle = \"5s\" }"), "without backends"));
  for (const char* key :
       {"set_request_headers = { A = \"b\" }", "remove_request_headers = [\"A\"]"}) {
    const std::string filters = std::string("filters = { ") + key + " }";
    const std::string name(key, std::string_view(key).find(' '));
    CHECK(says(listener() + route("respond = {}\n" + filters),
               "gateway.route.filters." + name + ": without backends"));
    CHECK_FALSE(says(listener() + route("backends = [{ url = \"http://x\" }]\n" + filters),
                     "without backends"));
  }
  CHECK_FALSE(says(listener() + route("respond = {}\nfilters = { set_response_headers = { A = "
                                      "\"b\" } }"),
                   "without backends"));
}

TEST_CASE("keys of https in a listener without it") {
  const auto plain = [](const std::string& line) {
    return "[[gateway.listener]]\nname = \"a\"\naddress = [\"127.0.0.1\"]\nhttp = 8080\nhttps = "
           "0\n" +
           line + "\n" + route("respond = {}");
  };
  CHECK(
      says(plain("alpn = [\"h2\"]"), "t.toml:6:8: warning: gateway.listener.alpn: without https"));
  CHECK(says(plain("quic = \"refuse\""), "t.toml:6:8: warning: gateway.listener.quic: without"));
  CHECK_FALSE(says(plain("quic = \"ignore\""), "without https"));
  CHECK_FALSE(says(plain(""), "without https"));
  CHECK_FALSE(says(listener("alpn = [\"h2\"]\nquic = \"refuse\"") + route("respond = {}"),
                   "without https"));
}

TEST_CASE("a backend that stands in a route twice") {
  const auto warnings = [](const std::string& first, const std::string& second) {
    return problems(listener() + route("backends = [{ url = \"" + first + "\" },\n{ url = \"" +
                                       second + "\" }]"));
  };
  CHECK(warnings("http://x:80", "http://x")
            .find("t.toml:15:1: warning: gateway.route.backends: http://x:80 stands here twice") !=
        std::string::npos);
  CHECK(warnings("https://x", "https://X:443").find("twice") != std::string::npos);
  CHECK(warnings("http://x", "http://x:81").find("twice") == std::string::npos);
  CHECK(warnings("http://x:443", "https://x").find("twice") == std::string::npos);
  CHECK(warnings("http://x", "http://y").find("twice") == std::string::npos);
}

TEST_CASE("listeners on all addresses are in the way of those on one") {
  const std::string all =
      "[[gateway.listener]]\nname = \"b\"\naddress = [\"0.0.0.0\"]\n"
      "http = 8080\nhttps = 0\n";
  const auto result = load(listener() + all + route("respond = {}"));
  CHECK_FALSE(result.ok());
  CHECK(says(listener() + all + route("respond = {}"),
             "http on 0.0.0.0:8080 is in the way of the listener 'a'"));
}

TEST_CASE("a dot at the end of a hostname changes nothing") {
  const auto result = load(listener() +
                           "[[gateway.route]]\nhostnames = [\"app.example.\"]\n"
                           "respond = {}\n");
  REQUIRE(result.ok());
  CHECK(result.config.routes[0].hostnames == std::vector<std::string>{"app.example"});
}

}  // namespace postern::server
