// Warnings about names of this house for which browsers are still sent outside.
#pragma once

#include <string>
#include <vector>

#include "server/config_document.h"
#include "server/snapshot.h"

namespace postern::server {

/// Records of the public DNS that get past an override: h3 kept in edited ones, hosts that a route
/// serves and forward = true leads away, clients over IPv6 that are in no view, forwards that an
/// override leaves nothing to.
/// REQUIRES: no errors, and everything is in its place in `document.config`.
void advise_on_dns(Reader& reader, const Document& document);

/// Hosts of routes that the zone above them does not have: clients get NXDOMAIN.
std::vector<ConfigProblem> check_hosts(const Snapshot& snapshot);

}  // namespace postern::server
