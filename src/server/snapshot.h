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
#include "server/certificates.h"
#include "server/config.h"
#include "server/site.h"

namespace postern::server {

/// One zone of the configuration as it was read.
struct LoadedZone {
  std::shared_ptr<const dns::Zone> zone;
  std::vector<std::string> files;  ///< it and what it includes
  std::uint64_t fingerprint = 0;   ///< of the content of `files` as read; 0: not known
};

struct Snapshot {
  Config config;
  std::uint64_t config_fingerprint = 0;  ///< of config_files_of(config) as read; 0: not known
  std::vector<LoadedZone> zones;         ///< by index of config.policy.zones
  std::shared_ptr<const nameserver::ResolverSnapshot> resolver;
  std::shared_ptr<const GatewayPart> gateway;

  const gateway::Site& site() const { return *gateway->site; }
};

/// Files that belong together, and their fingerprint as read; 0: not known.
struct ReadFiles {
  std::vector<std::string> files;
  std::uint64_t fingerprint = 0;

  friend bool operator==(const ReadFiles&, const ReadFiles&) = default;
};

/// All files that a configuration is made of.
struct ReadParts {
  std::vector<ReadFiles> base;   ///< the configuration with what it includes; each zone
  std::vector<ReadFiles> pairs;  ///< each certificate with its key
};

ReadParts parts_of(const Snapshot& snapshot);

struct SnapshotResult {
  std::shared_ptr<const Snapshot> snapshot;  ///< nullptr when there is an error
  std::vector<ConfigProblem> problems;       ///< of the configuration, zones, certificates
  std::size_t error_count = 0;
  LogSettings log;  ///< server.log, as far as it could be read
  /// What was read or looked for, also with an error, and the files of `previous` as they are now.
  ReadParts parts;
};

/// The files of the configuration, the directories that it includes from, and the other files that
/// it depends on, for content_fingerprint() and for watching.
std::vector<std::string> config_files_of(const Config& config);

/// Reads the configuration, all zones and certificates. What did not change since `previous` is
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
  std::vector<std::size_t> held;             ///< good, and waiting for those that are rejected
};

/// Reads again the zones whose content is neither what `current` serves nor what was rejected
/// before. A zone with an error stays as it is, and with server.watch all others as well: they may
/// be one change. Any thread.
ZoneRefresh refresh_zones(const Snapshot& current, const std::vector<ZoneRejection>& rejected);

struct CertificateRefresh {
  std::shared_ptr<const Snapshot> snapshot;  ///< nullptr when no certificate is new
  CertificateChanges changes;
  std::vector<LostHosts> lost;  ///< by those that are new
};

/// The same for certificates.
CertificateRefresh refresh_certificates(const Snapshot& current,
                                        const std::vector<CertificateRejection>& rejected);

}  // namespace postern::server
