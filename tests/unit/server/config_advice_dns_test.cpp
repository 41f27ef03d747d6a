// Warnings about names for which browsers are still sent outside.
#include <doctest/doctest.h>

#include "folder.h"
#include "server/config.h"

namespace postern::server {
namespace {

std::string problems(const std::string& text) {
  static const test::Folder folder;
  folder.write("resolv.conf", "nameserver 192.0.2.53\n");
  folder.write("tls.crt", "");
  folder.write("tls.key", "");
  std::string all;
  const auto read = load_config_text(text, folder.path("t.toml"), {folder.path("resolv.conf")});
  for (const ConfigProblem& problem : read.problems) {
    all += folder.shorten(problem.to_string()) + "\n";
  }
  return all;
}

bool says(const std::string& text, std::string_view words) {
  return problems(text).find(words) != std::string::npos;
}

std::string override_of(const std::string& names, const std::string& lines) {
  return "[[dns.override]]\nnames = " + names + "\n" + lines + "\n";
}

const std::string kHost = "[\"app.example\"]";
const std::string kInside = "address = [\"192.0.2.1\"]\n";
const std::string kServed =
    "[[gateway.listener]]\nname = \"a\"\naddress = [\"127.0.0.1\"]\nhttp = 8080\nhttps = 0\n"
    "[[gateway.route]]\nhostnames = [\"app.example\"]\nbackends = [{ url = \"http://192.0.2.9\" "
    "}]\n";

constexpr std::string_view kH3 = "passes h3 on";
constexpr std::string_view kAway = "clients get what the public DNS says";
constexpr std::string_view kIpv6 = "has no IPv6 network";
constexpr std::string_view kNever = "never come from its upstreams";

}  // namespace

TEST_CASE("an edited record that keeps h3") {
  const std::string rule = override_of(kHost, kInside + "https = \"edit\"");
  CHECK(says(rule + "[dns.svcb]\nstrip_alpn = []\n", kH3));
  CHECK(says(rule + "[dns.svcb]\nstrip_alpn = [\"h2\"]\n", kH3));
  CHECK_FALSE(says(rule, kH3));
  CHECK_FALSE(says(override_of(kHost, kInside) + "[dns.svcb]\nstrip_alpn = []\n", kH3));
  CHECK(problems(rule + "[dns.svcb]\nstrip_alpn = []\n").starts_with("t.toml:4:9: warning: "));
}

TEST_CASE("a host of a route that forward = true leads away") {
  const std::string wild = override_of("[\"*.example\"]", kInside);
  CHECK(says(kServed + wild + override_of(kHost, "forward = true"), kAway));
  CHECK_FALSE(says(kServed + wild, kAway));
  CHECK_FALSE(says(kServed + wild + override_of("[\"b.example\"]", "forward = true"), kAway));
  // What DNS says is not ours to know.
  CHECK_FALSE(
      says("dns.listen = []\n" + kServed + wild + override_of(kHost, "forward = true"), kAway));
}

TEST_CASE("a view without IPv6 where clients ask by IPv6") {
  const auto with = [](const std::string& listen, const std::string& clients) {
    return "[dns]\n" + listen + "\n[[dns.view]]\nname = \"lan\"\nclients = [" + clients + "]\n" +
           override_of(kHost, kInside + "views = [\"lan\"]");
  };
  const std::string both = "listen = [\"192.168.0.1:53\", \"[fd00::1]:53\"]";
  CHECK(says(with(both, "\"192.168.0.0/24\""), kIpv6));
  CHECK_FALSE(says(with(both, "\"192.168.0.0/24\", \"fe80::/10\""), kIpv6));
  CHECK_FALSE(says(with("listen = [\"192.168.0.1:53\"]", "\"192.168.0.0/24\""), kIpv6));
  CHECK_FALSE(says(with("", "\"192.168.0.0/24\""), kIpv6));
}

TEST_CASE("a forward that an override covers") {
  const std::string wild = override_of("[\"*.example\"]", kInside);
  const std::string forward =
      "[[dns.forward]]\nname = \"lab.example\"\nupstreams = [\"udp://192.0.2.7\"]\n";
  CHECK(says(wild + forward, kNever));
  CHECK_FALSE(
      says(wild + forward + override_of("[\"lab.example\", \"*.lab.example\"]", "forward = true"),
           kNever));
  CHECK_FALSE(says(forward, kNever));
  CHECK_FALSE(says(override_of("[\"x.example\"]", kInside) + forward, kNever));
}

}  // namespace postern::server
