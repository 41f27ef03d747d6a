// Edits of the configuration with its zones and certificates are taken up as one change, all or
// nothing: whether there is anything new, and what of a change that was refused waits with it.
// Zones alone, and certificates alone, are taken up by themselves: a pair that is renewed must not
// wait for a mistake elsewhere, since it expires.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "server/snapshot.h"

namespace postern::server {

/// What was refused, as it was in the files: it is not tried again until it is another.
struct Refusals {
  ReadParts change;  ///< of the last reload, when that was refused
  std::vector<ZoneRejection> zones;
  std::vector<CertificateRejection> certificates;  ///< with those that are held

  bool has_change() const { return !change.base.empty(); }
};

/// Do the files hold a change that is neither served nor was refused before, and that is for a
/// reload: of the configuration, of zones together with certificates, or of anything that was
/// refused? Any thread; takes as long as reading the files.
bool is_news(const Snapshot& served, const Refusals& refusals);

/// Notes that a reload was refused, and holds the certificates that came with it: those whose files
/// are not what is served. With the same configuration and zones as before it is the same change,
/// and what was renewed since then is not held. The indexes of those that are held from now on.
std::vector<std::size_t> note_refused(const Snapshot& served, ReadParts change, Refusals* refusals);

/// Of a change that was refused, for watching.
std::vector<std::string> files_of(const ReadParts& change);

}  // namespace postern::server
