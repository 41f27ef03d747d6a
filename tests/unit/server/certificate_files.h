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

/// The same with dates, as "20900101000000Z".
inline void make_pair_of_dates(const Folder& folder, const std::string& base,
                               const std::string& names, const std::string& begin,
                               const std::string& end) {
  shell(folder,
        fmt::format("printf '[ca]\\ndefault_ca=d\\n[d]\\nnew_certs_dir=.\\ndatabase=index\\n"
                    "serial=serial\\ndefault_md=sha256\\npolicy=p\\nx509_extensions=e\\n[p]\\n"
                    "commonName=supplied\\n[e]\\nsubjectAltName={1}\\n' > ca.cnf; "
                    ": > index; echo 01 > serial; "
                    "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                    "-keyout {0}.key -out {0}.csr -subj /CN=test; "
                    "openssl ca -batch -config ca.cnf -selfsign -keyfile {0}.key -in {0}.csr "
                    "-out {0}.crt -startdate {2} -enddate {3} -notext",
                    base, names, begin, end));
}

}  // namespace postern::test
