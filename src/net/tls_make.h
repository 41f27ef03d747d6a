// Certificates made on this machine, for trying things out: a certificate authority that signs one
// certificate and is forgotten, so that who trusts it trusts nothing else. Any thread; takes a few
// milliseconds.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace postern::net {

/// PEM texts.
struct MadeCertificate {
  std::string authority;    ///< what clients are told to trust; its key is gone
  std::string certificate;  ///< the chain: the certificate, then its authority
  std::string key;          ///< of the certificate
};

/// ECDSA P-256, for DNS names ("x.example", "*.x.example") and IP addresses, valid from an hour ago
/// for `days`. The first name is its subject. REQUIRES: `names` is not empty.
Result<MadeCertificate> make_certificate(const std::vector<std::string>& names, unsigned days);

}  // namespace postern::net
