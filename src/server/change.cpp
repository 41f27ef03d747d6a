#include "server/change.h"

#include <utility>

#include "server/fingerprint.h"

namespace postern::server {

bool is_news(const Snapshot& served, const RefusedChange& refused) {
  if (refused.any()) return content_fingerprint(refused.files) != refused.fingerprint;
  return content_fingerprint(config_files_of(served.config)) != served.config_fingerprint;
}

ChangeResult load_change(const std::string& path, const Snapshot& served) {
  ChangeResult change;
  change.read = load_snapshot(path, &served);
  if (change.read.snapshot != nullptr) return change;
  change.refused.files = change.read.files;
  change.refused.fingerprint = content_fingerprint(change.refused.files);
  change.read = load_snapshot(path, &served);
  if (change.read.files != change.refused.files) change.refused = {change.read.files, 0};
  return change;
}

}  // namespace postern::server
