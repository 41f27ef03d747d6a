// Whether what is served is what the files hold. Any thread; takes as long as reading the files.
#pragma once

#include <string>
#include <vector>

#include "server/snapshot.h"

namespace postern::server {

struct Drift {
  bool config = false;                    ///< the configuration or a file that it includes
  std::vector<std::string> zones;         ///< names of zones
  std::vector<std::string> certificates;  ///< names of certificates

  bool any() const { return config || !zones.empty() || !certificates.empty(); }
};

Drift drift_of(const Snapshot& served);

/// "none", or what differs: "configuration, zone home.arpa., certificate lan".
std::string drift_text(const Drift& drift);

}  // namespace postern::server
