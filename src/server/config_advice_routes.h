// Warnings about single listeners and routes: what is valid and cannot be meant.
#pragma once

#include "server/config_document.h"

namespace postern::server {

/// Redirects to themselves, backends that are listeners of ours, matches that nothing fits,
/// proxies that are everybody, keys without effect, certificates that nobody uses.
/// REQUIRES: no errors, and everything is in its place in `document.config`.
void advise_on_routes(Reader& reader, const Document& document);

}  // namespace postern::server
