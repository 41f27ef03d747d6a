// Certificates on disk, made by the openssl command, as an issuer or cert-manager leaves them.
#pragma once

#include <cstdlib>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "folder.h"

namespace postern::test {

inline void shell(const Folder& folder, const std::string& commands) {
  const std::string all =
      fmt::format("set -e; cd '{}'; ( {} ) >log 2>&1", folder.path(""), commands);
  const int status = std::system(all.c_str());  // NOLINT(concurrency-mt-unsafe): one thread
  REQUIRE_MESSAGE(status == 0, commands);
}

/// `base`.crt and `base`.key, self-signed. Negative days: expired.
inline void make_pair(const Folder& folder, const std::string& base, const std::string& names,
                      int days = 90) {
  shell(folder, fmt::format("mkdir -p \"$(dirname {0})\"; "
                            "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                            "-keyout {0}.key -out {0}.csr -subj /CN=test; "
                            "echo 'subjectAltName={1}' > {0}.ext; "
                            "openssl x509 -req -in {0}.csr -signkey {0}.key -out {0}.crt "
                            "-days {2} -extfile {0}.ext; rm {0}.csr {0}.ext",
                            base, names, days));
}

}  // namespace postern::test
