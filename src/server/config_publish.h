// What the gateway's part of the configuration says to the nameserver's: names of routes that
// become overrides, HTTPS records for addresses that a listener serves.
#pragma once

#include "server/config_document.h"
#include "server/coverage.h"

namespace postern::server {

/// publish_dns: a name of a route is an override to the address of the first listener that serves
/// and publishes it, unless a [[dns.override]] or [[dns.zone]] has that very name.
/// REQUIRES: finish_gateway(), and the overrides are in their place.
void publish_routes(Reader& reader, Document& document);

/// https = "gateway": what the listeners on all of the override's addresses offer, for the hosts
/// that their certificates cover; one on port 443 goes first. For publish_dns only those that serve
/// the name. Again after every change of certificates.
void bind_services(Config& config, const CertificateNames& names);

}  // namespace postern::server
