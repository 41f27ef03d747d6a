// Warnings about the gateway: what can be served, and will surprise whoever wrote it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/config_document.h"

namespace postern::server {

/// Listeners without routes, routes that are never used, names that DNS does not lead here.
/// REQUIRES: no errors, and everything is in its place in `document.config`.
void advise_on_gateway(Reader& reader, const Document& document);

/// Names that browsers are led to and that no certificate there covers. `names_by_certificate`:
/// subjectAltName of each [[tls.certificate]] by its name; listeners with one that is not in it are
/// left out.
std::vector<ConfigProblem> check_coverage(
    const Config& config,
    const std::map<std::string, std::vector<std::string>>& names_by_certificate);

}  // namespace postern::server
