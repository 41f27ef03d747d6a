// Everything that is served, at one moment: the configuration, its zones, and what was compiled
// from them. Built off the data path, then constant; workers, the main thread and queries under way
// share it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dns/zone.h"
#include "nameserver/resolver.h"
#include "server/config.h"

namespace postern::server {

/// One zone of the configuration as it was read.
struct LoadedZone {
  std::shared_ptr<const dns::Zone> zone;
  std::vector<std::string> files;  ///< it and what it includes
  std::uint64_t fingerprint = 0;   ///< of the content of `files` as read; 0: not known
};

struct Snapshot {
  Config config;
  std::vector<LoadedZone> zones;  ///< by index of config.policy.zones
  std::shared_ptr<const nameserver::ResolverSnapshot> resolver;
};

struct SnapshotResult {
  std::shared_ptr<const Snapshot> snapshot;  ///< nullptr when there is an error
  std::vector<ConfigProblem> problems;       ///< of the configuration, then of each zone
  std::size_t error_count = 0;
};

/// Reads the configuration and all zones. A zone whose files did not change since `previous` is
/// taken from there. Any thread; takes as long as the zones take.
SnapshotResult load_snapshot(const std::string& path, const Snapshot* previous,
                             const ConfigSurroundings& surroundings = {});

/// A zone edit that was refused.
struct ZoneRejection {
  std::string zone;  ///< its name
  std::size_t index = 0;
  std::uint64_t fingerprint = 0;
  std::vector<std::string> files;
  std::vector<ConfigProblem> problems;
  std::size_t error_count = 0;
};

struct ZoneRefresh {
  std::shared_ptr<const Snapshot> snapshot;  ///< nullptr when no zone is new
  std::vector<std::size_t> reloaded;         ///< indexes of zones that are new in it
  std::vector<ZoneRejection> rejected;       ///< refused now for the first time
  std::vector<std::size_t> mended;           ///< rejected before, now as served again
};

/// Reads again the zones whose content is neither what `current` serves nor what was rejected
/// before. A zone with an error stays as it is. Any thread.
ZoneRefresh refresh_zones(const Snapshot& current, const std::vector<ZoneRejection>& rejected);

/// Names and content of the files as a number; a file that cannot be read counts as its error.
std::uint64_t content_fingerprint(const std::vector<std::string>& files);

}  // namespace postern::server
