// Certificates, listeners and routes: the keys below [tls] and [gateway] (config_gateway.cpp) and
// what is checked of them (config_gateway_check.cpp).
#pragma once

#include "server/config_document.h"

namespace postern::server {

void read_tls(Reader& reader, const Node& node, Document& document);
void read_gateway(Reader& reader, const Node& node, Document& document);

/// Missing and duplicate names, dangling references, files, addresses that are taken, routes that
/// say too much or too little. Settles what one key of a listener says about others.
void check_gateway(Reader& reader, Document& document);

/// Moves all into `document.config`.
void finish_gateway(Reader& reader, Document& document);

}  // namespace postern::server
