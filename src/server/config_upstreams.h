// Where questions go that nobody here answers: [[dns.forward]] as it is served, the system's
// resolvers for the rest, and a guard against asking ourselves.
#pragma once

#include "server/config_document.h"

namespace postern::server {

/// Moves the forwards into `document.config`, one per name, and adds "." when it is missing.
void finish_forwards(Reader& reader, Document& document, const ConfigSurroundings& surroundings);

/// Addresses in the `nameserver` lines of resolv.conf(5); link-local ones are left out.
std::vector<IpAddress> parse_resolv_conf(std::string_view text);

}  // namespace postern::server
