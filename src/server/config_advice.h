// Warnings about the gateway: what can be served, and will surprise whoever wrote it.
#pragma once

#include "server/config_document.h"

namespace postern::server {

/// Listeners without routes, routes that are never used, names that DNS does not lead here.
/// REQUIRES: no errors, and everything is in its place in `document.config`.
void advise_on_gateway(Reader& reader, const Document& document);

}  // namespace postern::server
