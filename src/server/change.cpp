#include "server/change.h"

#include <algorithm>

#include "server/fingerprint.h"

namespace postern::server {

bool is_news(const Snapshot& served, const RefusedChange& refused) {
  const auto is_another = [](const ReadFiles& part) {
    return content_fingerprint(part.files) != part.fingerprint;
  };
  if (!refused.empty()) return std::any_of(refused.begin(), refused.end(), is_another);
  return is_another({config_files_of(served.config), served.config_fingerprint});
}

std::vector<std::string> files_of(const RefusedChange& refused) {
  std::vector<std::string> files;
  for (const ReadFiles& part : refused) {
    files.insert(files.end(), part.files.begin(), part.files.end());
  }
  return files;
}

}  // namespace postern::server
