#include "server/snapshot.h"

#include <fstream>
#include <functional>
#include <thread>

#include <doctest/doctest.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "folder.h"
#include "net/socket.h"

namespace postern::server {
namespace {

using test::Folder;

constexpr std::string_view kZone =
    "$TTL 60\n@ IN SOA ns admin 1 3600 600 86400 60\n  IN NS ns\nns IN A 192.0.2.1\n";

// Reading it takes a good while.
constexpr std::string_view kLong = "$GENERATE 1-600000 h-$ IN A 192.0.2.8\n";
constexpr std::uint32_t kLongRecords = 600'000;

/// Does `act` once, as soon as somebody opens a file.
class OnOpen {
 public:
  OnOpen(const std::string& path, std::function<void()> act) : events_(inotify_init1(IN_CLOEXEC)) {
    REQUIRE(inotify_add_watch(events_.get(), path.c_str(), IN_OPEN) >= 0);
    thread_ = std::thread([fd = events_.get(), act = std::move(act)] {
      alignas(inotify_event) char event[4096];
      if (::read(fd, event, sizeof event) > 0) act();
    });
  }
  ~OnOpen() { thread_.join(); }
  OnOpen(const OnOpen&) = delete;
  OnOpen& operator=(const OnOpen&) = delete;

 private:
  net::Fd events_;
  std::thread thread_;
};

std::string config_with(std::string_view zones) {
  return "[dns]\nlisten = [\"127.0.0.1:5353\"]\n[[dns.forward]]\nname = \".\"\n"
         "upstreams = [\"udp://192.0.2.53\"]\n" +
         std::string(zones);
}

std::vector<std::string> texts(const Folder& folder, const std::vector<ConfigProblem>& problems) {
  std::vector<std::string> lines;
  for (const ConfigProblem& problem : problems) {
    lines.push_back(folder.shorten(problem.to_string()));
  }
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("a zone file that goes away between check and reading is an error") {
  const Folder folder;
  folder.write("a.zone", std::string(kZone) + "$INCLUDE mark\n" + std::string(kLong));
  const std::string mark = folder.write("mark", "");
  const std::string gone = folder.write("b.zone", kZone);
  const std::string config = folder.write(
      "postern.toml", config_with("[[dns.zone]]\nname = \"a.example\"\nfile = \"a.zone\"\n"
                                  "[[dns.zone]]\nname = \"b.example\"\nfile = \"b.zone\"\n"));
  const OnOpen reading_a(mark, [&] { unlink(gone.c_str()); });
  const SnapshotResult result = load_snapshot(config, nullptr);
  CHECK(result.snapshot == nullptr);
  CHECK(result.error_count == 1);
  CHECK(texts(folder, result.problems) ==
        Lines{"b.zone: cannot read 'b.zone': No such file or directory"});
}

TEST_CASE("a zone file that is not there is reported once, with the line that names it") {
  const Folder folder;
  const std::string config = folder.write(
      "postern.toml", config_with("[[dns.zone]]\nname = \"b.example\"\nfile = \"b.zone\"\n"));
  const SnapshotResult result = load_snapshot(config, nullptr);
  CHECK(result.snapshot == nullptr);
  CHECK(result.error_count == 1);
  REQUIRE(result.problems.size() == 1);
  CHECK(result.problems[0].line == 8);
}

TEST_CASE("an edit of an included file while the zone is read for the first time is noticed") {
  const Folder folder;
  const std::string included = folder.write("hosts", "nas IN A 192.0.2.2\n");
  folder.write("a.zone",
               std::string(kZone) + "$INCLUDE hosts\n$INCLUDE mark\n" + std::string(kLong));
  const std::string mark = folder.write("mark", "");
  const std::string config = folder.write(
      "postern.toml", config_with("[[dns.zone]]\nname = \"a.example\"\nfile = \"a.zone\"\n"));
  SnapshotResult result;
  {
    const OnOpen hosts_are_read(
        mark, [&] { std::ofstream(included) << "nas IN A 192.0.2.3\ntv IN A 192.0.2.4\n"; });
    result = load_snapshot(config, nullptr);
  }
  REQUIRE(result.snapshot != nullptr);
  CHECK(result.snapshot->zones[0].zone->record_count() == kLongRecords + 4);
  const ZoneRefresh refresh = refresh_zones(*result.snapshot, {});
  REQUIRE(refresh.snapshot != nullptr);
  CHECK(refresh.snapshot->zones[0].zone->record_count() == kLongRecords + 5);
}

TEST_CASE("a zone with included files that nobody edits is not read again") {
  const Folder folder;
  folder.write("hosts", "nas IN A 192.0.2.2\n");
  folder.write("a.zone", std::string(kZone) + "$INCLUDE hosts\n");
  const std::string config = folder.write(
      "postern.toml", config_with("[[dns.zone]]\nname = \"a.example\"\nfile = \"a.zone\"\n"));
  const SnapshotResult result = load_snapshot(config, nullptr);
  REQUIRE(result.snapshot != nullptr);
  CHECK(refresh_zones(*result.snapshot, {}).snapshot == nullptr);
}

}  // namespace postern::server
