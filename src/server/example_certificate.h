// The certificate of the built-in example: made at its first start, kept for later ones, so that
// whoever told a browser to trust it does so once. Main thread, before anything is served.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace postern::server {

/// Paths of PEM files.
struct ExampleCertificate {
  std::string authority;  ///< for curl --cacert
  std::string cert;
  std::string key;
};

/// Below $XDG_STATE_HOME or ~/.local/state; without a home, or when it cannot be written, in
/// `fallback`, an existing directory. One that is there is used while it is good for a month more.
Result<ExampleCertificate> example_certificate(const std::vector<std::string>& names,
                                               const std::string& fallback);

/// The same in a given directory, which is made when it is not there.
Result<ExampleCertificate> example_certificate_in(const std::string& directory,
                                                  const std::vector<std::string>& names);

}  // namespace postern::server
