#include "server/drift.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "certificate_files.h"
#include "folder.h"
#include "server/change.h"

namespace postern::server {
namespace {

using test::Folder;

constexpr std::string_view kZone =
    "$TTL 60\n@ IN SOA ns admin 1 3600 600 86400 60\n  IN NS ns\nns IN A 192.0.2.1\n";
constexpr std::string_view kConfig =
    "include = [\"conf.d/*.toml\"]\n[dns]\nlisten = [\"127.0.0.1:5353\"]\n[[dns.forward]]\n"
    "name = \".\"\nupstreams = [\"udp://192.0.2.53\"]\n[[dns.zone]]\nname = \"a.example\"\n"
    "file = \"a.zone\"\n";

constexpr std::string_view kForwarding =
    "[dns]\nlisten = [\"127.0.0.1:5353\"]\n[[dns.forward]]\nname = \".\"\n"
    "upstreams = [\"udp://192.0.2.53\"]\n";

struct Served {
  std::vector<std::string> drift() const { return drift_lines(drift_of(*snapshot), *snapshot); }

  Served() {
    folder.write("conf.d/1.toml", "");
    folder.write("a.zone", kZone);
    config = folder.write("postern.toml", kConfig);
    snapshot = load_snapshot(config, nullptr).snapshot;
    REQUIRE(snapshot != nullptr);
  }

  Folder folder;
  std::string config;
  std::shared_ptr<const Snapshot> snapshot;
};

}  // namespace

TEST_CASE("what was just read has not drifted") {
  const Served served;
  CHECK_FALSE(drift_of(*served.snapshot).any());
  CHECK(served.drift().empty());
  CHECK_FALSE(is_news(*served.snapshot, {}));
}

TEST_CASE("an edit of the configuration, of what it includes, and of a zone is told apart") {
  Served served;
  served.folder.write("a.zone", std::string(kZone) + "x IN A 192.0.2.2\n");
  REQUIRE(served.drift().size() == 1);
  CHECK(served.drift()[0] == served.snapshot->config.policy.zones[0].file +
                                 " is not what is served of a.example.: it was edited");
  CHECK_FALSE(is_news(*served.snapshot, {}));  // the zone's own watch sees to it
  served.folder.write("a.zone", kZone);
  served.folder.write("conf.d/1.toml", "# a comment\n");
  REQUIRE(served.drift().size() == 1);
  CHECK(served.drift()[0] ==
        served.config + " is not what runs: it was edited; a reload would take it over");
  served.folder.write("conf.d/1.toml", "nonsense = 1\n");
  REQUIRE(served.drift().size() == 1);
  CHECK(served.drift()[0] == served.config + " is not what runs: it was edited and has errors");
  served.folder.write("conf.d/1.toml", "");
  CHECK_FALSE(drift_of(*served.snapshot).any());
  served.folder.write("conf.d/2.toml", "");  // a file that the pattern finds now
  CHECK(drift_of(*served.snapshot).config);
  CHECK(is_news(*served.snapshot, {}));
}

TEST_CASE("a change that was refused is no news until one of its files is another") {
  Served served;
  served.folder.write("b.zone", "nonsense\n");
  served.folder.write("conf.d/1.toml",
                      "[[dns.zone]]\nname = \"b.example\"\nfile = \"../b.zone\"\n");
  const SnapshotResult change = load_snapshot(served.config, served.snapshot.get());
  REQUIRE(change.snapshot == nullptr);
  CHECK(change.parts.base.size() == 3);
  Refusals refusals;
  CHECK(note_refused(*served.snapshot, change.parts, &refusals).empty());
  CHECK_FALSE(is_news(*served.snapshot, refusals));
  served.folder.write("b.zone", kZone);
  CHECK(is_news(*served.snapshot, refusals));
  const SnapshotResult mended = load_snapshot(served.config, served.snapshot.get());
  REQUIRE(mended.snapshot != nullptr);
  CHECK_FALSE(drift_of(*mended.snapshot).any());
}

TEST_CASE("resolvers of the system that come, change or go are drift and news") {
  const Folder folder;
  ConfigSurroundings surroundings;
  surroundings.resolv_conf = folder.path("etc/resolv.conf");  // neither is there yet
  surroundings.resolved_conf = folder.path("run/resolv.conf");
  const std::string config = folder.write("postern.toml", "[dns]\nlisten = [\"127.0.0.1:5353\"]\n");
  auto served = load_snapshot(config, nullptr, surroundings).snapshot;
  REQUIRE(served != nullptr);
  CHECK(served->config.forwards.empty());
  CHECK_FALSE(drift_of(*served).any());
  for (const std::string& path : {surroundings.resolv_conf, surroundings.resolved_conf}) {
    const auto watched = config_files_of(served->config);
    CHECK(std::count(watched.begin(), watched.end(), path) == 1);
  }

  folder.write("run/resolv.conf", "nameserver 192.0.2.1\n");
  CHECK(is_news(*served, {}));
  REQUIRE(drift_lines(drift_of(*served), *served).size() == 1);
  CHECK(drift_lines(drift_of(*served), *served)[0] ==
        "what " + config + " depends on is not what runs: " + surroundings.resolv_conf + " or " +
            surroundings.resolved_conf + " was edited; a reload would take it over");
  served = load_snapshot(config, served.get(), surroundings).snapshot;
  REQUIRE(served->config.forwards.size() == 1);
  CHECK(served->config.forwards[0].upstreams[0].text == "udp://192.0.2.1:53");
  CHECK_FALSE(drift_of(*served).any());

  folder.write("etc/resolv.conf", "nameserver 192.0.2.2\n");
  CHECK(is_news(*served, {}));
  served = load_snapshot(config, served.get(), surroundings).snapshot;
  REQUIRE(served->config.forwards.size() == 1);
  CHECK(served->config.forwards[0].upstreams[0].text == "udp://192.0.2.2:53");
  CHECK_FALSE(is_news(*served, {}));
}

TEST_CASE("with an upstream for all names the system's resolvers are nobody's business") {
  const Folder folder;
  ConfigSurroundings surroundings;
  surroundings.resolv_conf = folder.write("resolv.conf", "nameserver 192.0.2.1\n");
  const std::string config = folder.write("postern.toml", kForwarding);
  const auto served = load_snapshot(config, nullptr, surroundings).snapshot;
  REQUIRE(served != nullptr);
  folder.write("resolv.conf", "nameserver 192.0.2.2\n");
  CHECK_FALSE(drift_of(*served).any());
  CHECK_FALSE(is_news(*served, {}));
}

}  // namespace postern::server
