// Whether what is served is what the files hold. Any thread; takes as long as reading the files.
#pragma once

#include <string>
#include <vector>

#include "server/snapshot.h"

namespace postern::server {

struct Drift {
  bool config = false;                    ///< the configuration or a file that it depends on
  bool config_is_same = false;            ///< and its own text is what runs: it is another file
  bool config_has_errors = false;         ///< as it is in the files
  std::vector<std::size_t> zones;         ///< by index of config.policy.zones
  std::vector<std::size_t> certificates;  ///< by index of config.certificates

  bool any() const { return config || !zones.empty() || !certificates.empty(); }
};

Drift drift_of(const Snapshot& served);

/// One line of text for each part that differs, with its file; none when all is served.
/// REQUIRES: `drift` is of `served`.
std::vector<std::string> drift_lines(const Drift& drift, const Snapshot& served);

}  // namespace postern::server
