// dns.query_log and dns.dnstap: their keys and their checks.
#pragma once

#include "server/config_document.h"

namespace postern::server {

void read_query_log(Reader& reader, const Node& node, Document& document);
void read_dnstap(Reader& reader, const Node& node, Document& document);
/// Paths are made relative to the file that has them; directories have to be there.
void check_query_logs(Reader& reader, Document& document, const ConfigSurroundings& surroundings);

}  // namespace postern::server
