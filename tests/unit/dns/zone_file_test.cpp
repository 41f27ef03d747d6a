#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "dns/zone.h"

namespace postern::dns {
namespace {

/// A folder with one zone file, and what loading it says.
class ZoneFolder {
 public:
  ZoneFolder() {
    char path[] = "/tmp/postern-zone-file-XXXXXX";
    root_ = mkdtemp(path);
  }
  ~ZoneFolder() { std::filesystem::remove_all(root_); }
  ZoneFolder(const ZoneFolder&) = delete;
  ZoneFolder& operator=(const ZoneFolder&) = delete;

  std::string path(const char* name) const { return root_ + "/" + name; }

  /// The problems without the folder, a line each.
  std::string load(const std::string& text) const {
    std::ofstream(path("zone")) << text;
    return load_file("zone");
  }
  std::string load_file(const char* name) const {
    std::string lines;
    for (const ZoneProblem& problem :
         load_zone(path(name), Name::parse("home.arpa").value().view()).problems) {
      lines += problem.to_string() + "\n";
    }
    for (std::size_t at = 0; (at = lines.find(root_ + "/")) != std::string::npos;) {
      lines.erase(at, root_.size() + 1);
    }
    return lines;
  }

 private:
  std::string root_;
};

constexpr const char* kSmallZone = "@ 60 SOA . . 1 2 3 4 5\n@ 60 NS ns.example.\n";

}  // namespace

TEST_CASE("a pipe or a device is no zone file and nothing that a zone can include") {
  const ZoneFolder folder;
  REQUIRE(mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  CHECK(folder.load_file("pipe").starts_with(
      "pipe:1:1: cannot read 'pipe': is not a regular file\n"));
  CHECK(folder.load(std::string(kSmallZone) + "$INCLUDE pipe\n") ==
        "zone:3:10: cannot read 'pipe': is not a regular file\n");
  CHECK(folder.load(std::string(kSmallZone) + "$INCLUDE /dev/zero\n") ==
        "zone:3:10: cannot read '/dev/zero': is not a regular file\n");
}

TEST_CASE("a problem is one line without control bytes, whatever stands in the zone file") {
  const ZoneFolder folder;
  CHECK(folder.load(std::string(kSmallZone) + "$TT\x1b[2J\n") ==
        "zone:3:1: '$TT\\x1b[2J' is unknown; $ORIGIN, $TTL, $INCLUDE and $GENERATE are\n");
}

}  // namespace postern::dns
