// Which certificates cover the host names that browsers are led to: by routes, by overrides, by
// publish_dns. Any thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "server/config.h"

namespace postern::server {

/// subjectAltName of each [[tls.certificate]], by its name.
using CertificateNames = std::map<std::string, std::vector<std::string>>;

/// A host that no certificate covers where browsers are led to.
struct UncoveredHost {
  std::string host;                    ///< lower case; "*.x" is all below x
  std::vector<std::string> listeners;  ///< their names
  ConfigProblem problem;               ///< a warning
};

/// Listeners with a certificate that is not in `names` are left out.
std::vector<UncoveredHost> find_uncovered(const Config& config, const CertificateNames& names);

std::vector<ConfigProblem> warnings_of(const std::vector<UncoveredHost>& uncovered);

/// What a certificate covered on a listener until it was renewed, and none covers there now.
struct LostHosts {
  std::size_t certificate = 0;  ///< in config.certificates
  std::string listener;
  std::vector<std::string> hosts;
};

/// `renewed`: indexes of config.certificates. `names_before`: of the certificates before.
std::vector<LostHosts> find_lost(const Config& config, const std::vector<std::size_t>& renewed,
                                 const CertificateNames& names_before,
                                 const std::vector<UncoveredHost>& uncovered_before,
                                 const std::vector<UncoveredHost>& uncovered);

}  // namespace postern::server
