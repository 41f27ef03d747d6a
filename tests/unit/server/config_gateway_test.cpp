#include <doctest/doctest.h>

#include "folder.h"
#include "server/config.h"

namespace postern::server {
namespace {

/// With the files that the texts below name.
const test::Folder& folder() {
  static const test::Folder folder;
  static const bool written = [] {
    folder.write("resolv.conf", "nameserver 192.0.2.53\n");
    folder.write("tls/tls.crt", "");
    folder.write("tls/tls.key", "");
    folder.write("lan.zone", "");
    return true;
  }();
  static_cast<void>(written);
  return folder;
}

ConfigResult load(std::string_view text) {
  const ConfigSurroundings surroundings{folder().path("resolv.conf")};
  return load_config_text(text, folder().path("t.toml"), surroundings);
}

std::vector<std::string> problems(std::string_view text) {
  std::vector<std::string> texts;
  for (const ConfigProblem& p : load(text).problems) {
    texts.push_back(folder().shorten(p.to_string()));
  }
  return texts;
}

std::string problem(std::string_view text) {
  const auto all = problems(text);
  std::string joined;
  for (const auto& one : all) joined += (joined.empty() ? "" : "\n") + one;
  return joined;
}

using Texts = std::vector<std::string>;

constexpr const char* kCertificate =
    "[[tls.certificate]]\nname = \"lan\"\ncert = \"tls/tls.crt\"\nkey = \"tls/tls.key\"\n";
// Four lines each.
constexpr const char* kListener =
    "[[gateway.listener]]\nname = \"a\"\naddress = [\"127.0.0.1\"]\nhttps = 0\n";
constexpr const char* kRoute =
    "[[gateway.route]]\nhostnames = [\"app.example\"]\nlisteners = [\"a\"]\nrespond = {}\n";

/// A listener with one more line, the fifth, and a route.
std::string with_listener(const std::string& line) {
  return std::string(kListener) + line + "\n" + kRoute;
}

/// A route on a listener; the first of `lines` is line 7.
std::string with_route(const std::string& lines) {
  return std::string(kListener) + "[[gateway.route]]\nhostnames = [\"app.example\"]\n" + lines +
         "\n";
}

std::string tcp_listener(const std::string& line) {
  return "[[gateway.listener]]\nname = \"pg\"\naddress = [\"127.0.0.1\"]\ntcp = 5432\n" + line +
         "\n";
}

const http::RouteSettings& only_route(const ConfigResult& result) {
  for (const ConfigProblem& p : result.problems) FAIL_CHECK(p.to_string());
  REQUIRE(result.config.routes.size() == 1);
  return result.config.routes[0];
}

}  // namespace

TEST_CASE("every key of certificates and listeners is read") {
  const ConfigResult result = load(std::string(kCertificate) + R"(
[[gateway.listener]]
name = "internal"
address = ["192.168.10.50", "fd00::50"]
http = 8080
https = 8443
certificates = ["lan"]
alpn = ["http/1.1"]
redirect_to_https = false
hsts = "365d"
alt_svc = "strip"
quic = "ignore"
trusted_proxies = ["192.168.10.0/24"]
client_ip_header = "CF-Connecting-IP"
publish_dns = false

[[gateway.listener]]
name = "postgres"
address = ["192.168.10.50"]
tcp = 5432
backends = ["10.43.0.20:5432", "[fd00::1]:5433", "DB.home.arpa:1"]
proxy_protocol = true
idle = "2h"
trusted_proxies = ["10.0.0.0/8"]

[[gateway.route]]
listeners = ["internal"]
respond = { status = 204 }

[gateway]
ech_public_names = ["Front.Example", "other.example"]
[gateway.limits]
header_bytes = "32KiB"
headers = 50
header_timeout = "5s"
connections = 100
streams = 64
)");
  for (const ConfigProblem& p : result.problems) FAIL_CHECK(p.to_string());
  const Config& c = result.config;
  REQUIRE(c.certificates.size() == 1);
  CHECK(c.certificates[0].name == "lan");
  CHECK(folder().shorten(c.certificates[0].cert) == "tls/tls.crt");
  CHECK(folder().shorten(c.certificates[0].key) == "tls/tls.key");
  CHECK(folder().shorten(c.certificates[0].source) == "t.toml:1");
  REQUIRE(c.listeners.size() == 2);
  const gateway::ListenerSettings& web = c.listeners[0];
  CHECK(web.name == "internal");
  CHECK(web.addresses[1].to_string() == "fd00::50");
  CHECK(web.http == 8080);
  CHECK(web.https == 8443);
  CHECK(web.tcp == 0);
  CHECK(web.certificates == Texts{"lan"});
  CHECK(web.alpn == Texts{"http/1.1"});
  CHECK_FALSE(web.redirect_to_https);
  CHECK(web.hsts_s == 31'536'000);
  CHECK(web.alt_svc == http::AltSvc::kStrip);
  CHECK_FALSE(web.quic_refuse);
  CHECK(web.forwarded.trusted_proxies[0].to_string() == "192.168.10.0/24");
  CHECK(web.forwarded.client_ip_header == "CF-Connecting-IP");
  CHECK_FALSE(web.publish_dns);
  CHECK(folder().shorten(web.source) == "t.toml:6");
  const gateway::ListenerSettings& tcp = c.listeners[1];
  CHECK(tcp.tcp == 5432);
  CHECK(tcp.http == 0);
  CHECK(tcp.https == 0);
  CHECK(tcp.backends == std::vector<gateway::TcpBackend>{
                            {"10.43.0.20", 5432}, {"fd00::1", 5433}, {"db.home.arpa", 1}});
  CHECK(tcp.proxy_protocol);
  CHECK(tcp.idle_ms == 7'200'000);
  CHECK(c.ech_public_names == Texts{"front.example", "other.example"});
  CHECK(c.gateway_limits.header_bytes == 32768);
  CHECK(c.gateway_limits.headers == 50);
  CHECK(c.gateway_limits.header_timeout_ms == 5000);
  CHECK(c.gateway_limits.connections == 100);
  CHECK(c.gateway_limits.streams == 64);
}

TEST_CASE("every key of a route is read") {
  const auto result = load(with_route(R"(listeners = ["a"]
matches = [{ path_prefix = "/api", method = "GET", headers = { "x-env" = "dev" }, query = { v = "1" } },
           { path_exact = "/" }, { path_regex = "/[0-9]+" }, { method = "PUT" }]
backends = [{ url = "http://one:8080", weight = 3 }, { url = "https://two" }]
timeouts = { request = "30s", backend = "10s", idle = "0s" }
limits = { body = "10MiB" }
health = { path = "/healthz", interval = "5s" }
[gateway.route.filters]
set_request_headers = { "X-A" = "1" }
add_request_headers = { "X-B" = "2" }
remove_request_headers = ["X-C"]
set_response_headers = { "X-D" = "4" }
add_response_headers = { "X-E" = "5", "X-F" = "6" }
remove_response_headers = ["X-G", "Server"]
rewrite_host = "inner.example"
)"));
  const http::RouteSettings& route = only_route(result);
  CHECK(route.listeners == Texts{"a"});
  CHECK(route.hostnames == Texts{"app.example"});
  REQUIRE(route.matches.size() == 4);
  CHECK(route.matches[0].kind == http::PathMatch::kPrefix);
  CHECK(route.matches[0].path == "/api");
  CHECK(route.matches[0].method == "GET");
  CHECK(route.matches[0].headers == std::vector<http::HeaderValue>{{"x-env", "dev"}});
  CHECK(route.matches[0].query == std::vector<http::HeaderValue>{{"v", "1"}});
  CHECK(route.matches[1].kind == http::PathMatch::kExact);
  CHECK(route.matches[2].kind == http::PathMatch::kRegex);
  CHECK(route.matches[2].path == "/[0-9]+");
  CHECK(route.matches[3].path == "/");
  REQUIRE(route.backends.size() == 2);
  CHECK(route.backends[0].url.to_string() == "http://one:8080");
  CHECK(route.backends[0].weight == 3);
  CHECK(route.backends[1].url.to_string() == "https://two:443");
  CHECK(route.backends[1].weight == 1);
  CHECK(route.timeouts.request_ms == 30'000);
  CHECK(route.timeouts.backend_ms == 10'000);
  CHECK(route.timeouts.idle_ms == 0);
  CHECK(route.timeouts.idle_given);
  CHECK(route.body_bytes_max == 10U << 20);
  CHECK(route.health.path == "/healthz");
  CHECK(route.health.interval_ms == 5000);
  CHECK(route.filters.request.set == std::vector<http::HeaderValue>{{"X-A", "1"}});
  CHECK(route.filters.request.add == std::vector<http::HeaderValue>{{"X-B", "2"}});
  CHECK(route.filters.request.remove == Texts{"X-C"});
  CHECK(route.filters.response.set == std::vector<http::HeaderValue>{{"X-D", "4"}});
  CHECK(route.filters.response.add.size() == 2);
  CHECK(route.filters.response.remove == Texts{"X-G", "Server"});
  CHECK(route.filters.rewrite.host == "inner.example");
  CHECK(folder().shorten(route.source) == "t.toml:5");
}

TEST_CASE("redirect, respond and the path rewrites are read") {
  const auto redirect = load(with_route(
      R"(redirect = { scheme = "https", hostname = "b.example", port = 8443, path = "/x", status = 308 })"));
  const auto& to = only_route(redirect).redirect;
  REQUIRE(to);
  CHECK(to->scheme == "https");
  CHECK(to->hostname == "b.example");
  CHECK(to->port == 8443);
  CHECK(to->path == "/x");
  CHECK(to->status == 308);
  const auto respond =
      load(with_route(R"(respond = { status = 503, content_type = "text/html", body = "later" })"));
  const auto& answer = only_route(respond).respond;
  REQUIRE(answer);
  CHECK(answer->status == 503);
  CHECK(answer->content_type == "text/html");
  CHECK(answer->body == "later");
  const auto prefix =
      load(with_route("backends = [{ url = \"http://b\" }]\nfilters = { rewrite_prefix = \"/\" }"));
  CHECK(only_route(prefix).filters.rewrite.prefix == "/");
  const auto path =
      load(with_route("backends = [{ url = \"http://b\" }]\nfilters = { rewrite_path = \"/p\" }"));
  CHECK(only_route(path).filters.rewrite.path == "/p");
}

TEST_CASE("what is not said of a listener has the default of the contract") {
  const auto result = load(std::string(kCertificate) +
                           "[[gateway.listener]]\nname = \"a\"\naddress = [\"127.0.0.1\"]\n"
                           "certificates = [\"lan\"]\n" +
                           kRoute);
  REQUIRE(result.ok());
  CHECK(result.problems.empty());
  const gateway::ListenerSettings& listener = result.config.listeners[0];
  CHECK(listener.http == 80);
  CHECK(listener.https == 443);
  CHECK(listener.alpn == Texts{"h2", "http/1.1"});
  CHECK(listener.redirect_to_https);
  CHECK(listener.hsts_s == 0);
  CHECK(listener.alt_svc == http::AltSvc::kClear);
  CHECK(listener.quic_refuse);
  CHECK(listener.forwarded.trusted_proxies.empty());
  CHECK(listener.forwarded.client_ip_header == "X-Forwarded-For");
  CHECK(listener.publish_dns);
  CHECK(result.config.ech_public_names == Texts{"cloudflare-ech.com"});
}

TEST_CASE("a listener without HTTPS does not redirect to it, and refuses no QUIC") {
  const auto result = load(with_listener("quic = \"refuse\""));
  REQUIRE(result.ok());
  CHECK_FALSE(result.config.listeners[0].redirect_to_https);
  CHECK_FALSE(result.config.listeners[0].quic_refuse);
}

TEST_CASE("a certificate needs a name and two files that can be read") {
  CHECK(problem("[[tls.certificate]]\nname = \"lan\"\ncert = \"tls/tls.crt\"\n") ==
        "t.toml:1:1: tls.certificate 'lan' without key; add key = \"tls/tls.key\", a PEM file");
  CHECK(problem("[[tls.certificate]]\ncert = \"tls/tls.crt\"\nkey = \"tls/tls.key\"\n") ==
        "t.toml:1:1: tls.certificate without a name; add name = \"lan\"");
  CHECK(problem("[[tls.certificate]]\nname = \"lan\"\ncert = \"no.crt\"\nkey = \"tls\"\n") ==
        "t.toml:3:8: tls.certificate.cert: cannot read 'no.crt': no such file; a path is relative "
        "to the file that has it\n"
        "t.toml:4:7: tls.certificate.key: cannot read 'tls': it is a directory; a path is relative "
        "to the file that has it");
  CHECK(problem(std::string(kCertificate) + kCertificate) ==
        "t.toml:6:8: tls.certificate.name: 'lan' is given twice, first at t.toml:2:8; choose "
        "another");
  CHECK(problem("[[tls.certificate]]\nname = 1\ncert = 2\nkey = \"tls/tls.key\"\n") ==
        "t.toml:2:8: tls.certificate.name is an integer; write a string in quotes\n"
        "t.toml:3:8: tls.certificate.cert is an integer; write a string in quotes");
}

TEST_CASE("a listener needs a name, an address and a port") {
  CHECK(problem("[[gateway.listener]]\nhttps = 0\n") ==
        "t.toml:1:1: gateway.listener without a name; add name = \"lan\"\n"
        "t.toml:1:1: gateway.listener '' without an address; add address = [\"192.168.10.50\"], or "
        "[\"0.0.0.0\", \"::\"] for all");
  CHECK(problem("[[gateway.listener]]\nname = \"a\"\naddress = [\"10.0.0.1:80\"]\nhttps = 0\n") ==
        "t.toml:3:12: gateway.listener.address: '10.0.0.1:80' is not an address; write one like "
        "\"192.168.10.50\" or \"fd00::50\"; ports are said by http, https and tcp");
  CHECK(problem(with_listener("http = 0")) ==
        "t.toml:5:8: gateway.listener 'a' serves nothing: http, https and tcp are 0; give one of "
        "them a port");
  CHECK(problem(with_listener("http = 65536")) ==
        "t.toml:5:8: gateway.listener.http: 65536 is out of range; allowed: 0 to 65535");
  CHECK(problem("[[gateway.listener]]\nname = \"a\"\naddress = [\"127.0.0.1\"]\nhttps = 0\n"
                "[[gateway.listener]]\nname = \"a\"\naddress = [\"127.0.0.2\"]\nhttps = 0\n") ==
        "t.toml:6:8: gateway.listener.name: 'a' is given twice, first at t.toml:2:8; choose "
        "another");
}

TEST_CASE("HTTPS needs certificates that are there") {
  const std::string listener = "[[gateway.listener]]\nname = \"a\"\naddress = [\"127.0.0.1\"]\n";
  CHECK(problem(listener + "https = 8443\n") ==
        "t.toml:4:9: gateway.listener 'a': https = 8443 needs certificates; name one or set https "
        "= 0");
  CHECK(problem(listener) ==
        "t.toml:1:1: gateway.listener 'a': https = 443 needs certificates; name one or set https = "
        "0");
  CHECK(problem(kCertificate + listener + "certificates = [\"lam\"]\n") ==
        "t.toml:8:17: gateway.listener.certificates: no [[tls.certificate]] is named 'lam'; did "
        "you mean 'lan'?");
  CHECK(problem(listener + "certificates = [\"lan\"]\n") ==
        "t.toml:4:17: gateway.listener.certificates: no [[tls.certificate]] is named 'lan'; there "
        "are none");
}

TEST_CASE("h3 in alpn is refused with the reason") {
  for (const std::string id : {"h3", "h3-29"}) {
    CHECK(problem(with_listener("alpn = [\"h2\", \"" + id + "\"]")) ==
          "t.toml:5:15: gateway.listener.alpn: '" + id +
              "' is HTTP over QUIC, which this gateway does not speak: a browser that is promised "
              "it tries UDP and waits; allowed: \"h2\", \"http/1.1\"");
  }
  CHECK(problem(with_listener("alpn = [\"spdy\"]")) ==
        "t.toml:5:9: gateway.listener.alpn: 'spdy' is not a protocol of this gateway; allowed: "
        "\"h2\", \"http/1.1\"");
  CHECK(problem(with_listener("alpn = []")) ==
        "t.toml:5:8: gateway.listener.alpn is empty; allowed: \"h2\", \"http/1.1\"");
}

TEST_CASE("values of a listener that are not known are named with what is allowed") {
  CHECK(problem(with_listener("alt_svc = \"cleer\"")) ==
        "t.toml:5:11: gateway.listener.alt_svc: no such choice 'cleer'; allowed: \"clear\", "
        "\"strip\", \"pass\"; did you mean \"clear\"?");
  CHECK(problem(with_listener("quic = \"yes\"")) ==
        "t.toml:5:8: gateway.listener.quic: no such choice 'yes'; allowed: \"refuse\", \"ignore\"");
  CHECK(problem(with_listener("client_ip_header = \"X Y\"")) ==
        "t.toml:5:20: gateway.listener.client_ip_header: 'X Y' is not the name of a header; write "
        "one like \"X-Forwarded-For\"");
  CHECK(problem(with_listener("hsts = \"1d\"")) ==
        "t.toml:5:8: gateway.listener.hsts is of no use with https = 0; remove it");
  CHECK(problem(with_listener("redirect_to_https = true")) ==
        "t.toml:5:21: gateway.listener.redirect_to_https is of no use with https = 0; remove it");
  CHECK(problem(with_listener("adress = 1"))
            .starts_with(
                "t.toml:5:1: unknown key 'adress' in gateway.listener; did you mean 'address'?"));
  CHECK(problem("[gateway]\nech_public_names = [\"a:1\"]\n") ==
        "t.toml:2:21: gateway.ech_public_names: 'a:1' is not a host name; write one like "
        "\"cloudflare-ech.com\"");
  CHECK(problem("[gateway.limits]\nheaders = 0\n") ==
        "t.toml:2:11: gateway.limits.headers: 0 is out of range; allowed: 8 to 10000");
}

TEST_CASE("keys of HTTP do not go with tcp, nor keys of TCP with HTTP") {
  const std::string backends = "backends = [\"10.0.0.1:5432\"]";
  CHECK(problem(tcp_listener(backends)).empty());
  CHECK(problem(tcp_listener(backends + "\nhttp = 0\npublish_dns = false")).empty());
  CHECK(problem(tcp_listener(backends + "\nhttp = 80\nhsts = \"1d\"")) ==
        "t.toml:6:8: gateway.listener.http is for HTTP, and 'pg' is plain TCP (tcp = 5432); remove "
        "it, or make two listeners\n"
        "t.toml:7:8: gateway.listener.hsts is for HTTP, and 'pg' is plain TCP (tcp = 5432); remove "
        "it, or make two listeners");
  CHECK(
      problem(with_listener(backends)) ==
      "t.toml:5:12: gateway.listener.backends is for a listener with tcp; where HTTP goes is said "
      "by [[gateway.route]]");
  CHECK(problem(tcp_listener("")) ==
        "t.toml:1:1: gateway.listener 'pg' has tcp, but no backends; add backends = "
        "[\"10.43.0.20:5432\"]");
  CHECK(problem(tcp_listener("backends = [\"10.0.0.1\"]")) ==
        "t.toml:5:13: gateway.listener.backends: '10.0.0.1' is not a host with a port; write it "
        "like \"10.43.0.20:5432\", \"[fd00::1]:5432\" or \"db.home.arpa:5432\"");
  CHECK(problem(tcp_listener("backends = [\"a:1\", \"A:1\"]")) ==
        "t.toml:5:20: gateway.listener.backends: 'A:1' is given twice, first at t.toml:5:13; keep "
        "one of them");
}

TEST_CASE("what two want to listen on is an error") {
  CHECK(problem(with_listener("http = 80\n[[gateway.listener]]\nname = \"b\"\naddress = "
                              "[\"127.0.0.2\", \"127.0.0.1\"]\nhttps = 0")) ==
        "t.toml:6:1: gateway.listener 'b': http on 127.0.0.1:80 is in the way of the listener 'a' "
        "at t.toml:1; choose another port or address");
  CHECK(problem(with_listener("http = 53")) ==
        "t.toml:5:8: gateway.listener 'a': http on 127.0.0.1:53 is in the way of dns.listen, "
        "0.0.0.0:53; choose another port or address");
  CHECK(problem(with_listener("http = 9153")) ==
        "t.toml:5:8: gateway.listener 'a': http on 127.0.0.1:9153 is in the way of server.admin, "
        "127.0.0.1:9153; choose another port or address");
  CHECK(problem(std::string(kCertificate) +
                "[[gateway.listener]]\nname = \"a\"\naddress = [\"::1\"]\nhttp = 443\n"
                "certificates = [\"lan\"]\n") ==
        "t.toml:5:1: gateway.listener 'a': https on [::1]:443 is in the way of its own http; "
        "choose another port or address");
}

TEST_CASE("a route is on listeners that are there and speak HTTP") {
  CHECK(problem(with_route("listeners = [\"b\"]\nrespond = {}")) ==
        "t.toml:7:14: gateway.route.listeners: no [[gateway.listener]] is named 'b'; did you mean "
        "'a'?");
  CHECK(problem(tcp_listener("backends = [\"a:1\"]") +
                "[[gateway.route]]\nlisteners = [\"pg\"]\nrespond = {}\n") ==
        "t.toml:7:14: gateway.route.listeners: 'pg' is a plain TCP listener, which has backends of "
        "its own; name one for HTTP");
  CHECK(problem(with_route("listeners = []\nrespond = {}")).empty());
}

TEST_CASE("a route does one thing") {
  CHECK(problem(with_route("")) ==
        "t.toml:5:1: gateway.route says nothing about its requests; give one of backends, "
        "redirect, respond");
  CHECK(problem(with_route("respond = {}\nbackends = [{ url = \"http://b\" }]")) ==
        "t.toml:7:11: gateway.route has backends and respond; keep one of them");
  CHECK(problem(with_route("backends = []")) ==
        "t.toml:7:12: gateway.route.backends is empty; name one at least, or respond in its place");
  CHECK(problem(with_route("backends = [{ weight = 2 }]")) ==
        "t.toml:7:13: gateway.route.backends: a backend without url; add url = "
        "\"http://host:port\"");
  CHECK(problem(with_route("backends = [{ url = \"http://b\", weight = 0 }]")) ==
        "t.toml:7:12: gateway.route.backends: every weight is 0, so that no request could go "
        "anywhere; give one of them a weight");
  CHECK(problem(with_route("backends = [{ url = \"b:80\" }]"))
            .starts_with("t.toml:7:21: gateway.route.backends.url: "));
  CHECK(problem(with_route("backends = \"http://b\"")) ==
        "t.toml:7:12: gateway.route.backends is a string; write an array of tables, [{ ... }]");
}

TEST_CASE("what is wrong with a value of a route is said at the value") {
  CHECK(problem(with_route("respond = {}\nmatches = [{}, { path_regex = \"(\" }]"))
            .starts_with("t.toml:8:31: gateway.route.matches.path_regex: '(': "));
  CHECK(problem(
            with_route("respond = {}\nmatches = [{ path_exact = \"/\", path_prefix = \"/\" }]")) ==
        "t.toml:8:27: gateway.route.matches: more than one of path_prefix, path_exact, "
        "path_regex; write one match for each");
  CHECK(problem(with_route("respond = {}\nmatches = [{ headers = { Host = \"x\" } }]")) ==
        "t.toml:8:24: gateway.route.matches.headers: Host is matched by hostnames");
  CHECK(problem(with_route("respond = {}\nmatches = [{ query = { v = 1 } }]")) ==
        "t.toml:8:28: gateway.route.matches.query.v is an integer; write a string in quotes");
  CHECK(problem(with_route("respond = { status = 99 }")) ==
        "t.toml:7:22: gateway.route.respond.status: 99; allowed: 200 to 599");
  CHECK(problem(with_route("redirect = { scheme = \"ftp\" }")) ==
        "t.toml:7:23: gateway.route.redirect.scheme: 'ftp'; allowed: http, https");
  CHECK(problem(with_route("respond = {}\nfilters = { rewrite_path = \"/x\" }")) ==
        "t.toml:8:11: gateway.route.filters: a rewrite is for what goes to backends, and there are "
        "none");
  CHECK(problem(with_route("respond = {}\nfilters = { set_request_headers = { A = \"1\", a = "
                           "\"2\" } }")) ==
        "t.toml:8:35: gateway.route.filters.set_request_headers: 'A' and 'a' are the same header; "
        "keep one of them");
  CHECK(problem(std::string(kListener) +
                "[[gateway.route]]\nhostnames = [\"x.example\", \"a.*.example\"]\nrespond = {}\n")
            .starts_with("t.toml:6:27: gateway.route.hostnames: 'a.*.example' is not a host "
                         "name"));
  CHECK(problem(std::string(kListener) +
                "[[gateway.route]]\nhostnames = [\"x.example\", \"X.Example.\"]\nrespond = {}\n") ==
        "t.toml:6:27: gateway.route.hostnames: 'X.Example.' is given twice, first at t.toml:6:14; "
        "keep one of them");
  CHECK(problem(with_route("respond = {}\ntimeouts = { request = \"1s\", backend = \"2s\" }")) ==
        "t.toml:8:40: gateway.route.timeouts.backend: longer than timeouts.request, which ends "
        "both");
  CHECK(problem(with_route("respond = {}\nlimits = { body = 5 }")) ==
        "t.toml:8:19: gateway.route.limits.body is an integer; write a size in quotes, like "
        "\"64MiB\"");
}

}  // namespace postern::server
