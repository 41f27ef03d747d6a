// Edits of the configuration, its zones and certificates are taken up as one change, all or
// nothing: what is read anew, and whether there is anything new in it. Any thread; takes as long as
// reading the files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/snapshot.h"

namespace postern::server {

/// The files of a change that was refused, as they were.
struct RefusedChange {
  std::vector<std::string> files;  ///< empty: there is none
  std::uint64_t fingerprint = 0;   ///< 0: not known

  bool any() const { return !files.empty(); }
};

struct ChangeResult {
  SnapshotResult read;
  RefusedChange refused;  ///< when there is an error
};

/// Do the files hold what is neither served nor what was refused before?
bool is_news(const Snapshot& served, const RefusedChange& refused);

/// load_snapshot(); with an error once more, so that half of an edit that is finished meanwhile is
/// not what is refused.
ChangeResult load_change(const std::string& path, const Snapshot& served);

}  // namespace postern::server
