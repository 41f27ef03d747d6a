// Warnings about certificates by DNS-01 that cannot be had from this network, since what an ACME
// client looks for before it asks for one is answered here and not by the public DNS.
#pragma once

#include <vector>

#include "server/config.h"
#include "server/snapshot.h"

namespace postern::server {

/// TXT of `_acme-challenge` (RFC 8555 section 8.4) and the SOA above it, for the names of the
/// certificates here, of overrides that lead to machines of their own, and, where there are no
/// certificates, of zones with private addresses: of public names all, and of no two for one cause.
/// Any thread; looks at every record of such a zone.
std::vector<ConfigProblem> check_challenges(const Snapshot& snapshot);

}  // namespace postern::server
