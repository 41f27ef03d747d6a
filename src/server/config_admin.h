// server.admin_token_file: the secret that opens the API and the status page to other machines.
#pragma once

#include <cstddef>
#include <string>

#include "server/config_document.h"

namespace postern::server {

inline constexpr std::size_t kTokenBytesMin = 16, kTokenBytesMax = 1024;

/// The file's only line, "" when it is no token or cannot be read.
std::string admin_token_in(const std::string& path);

/// Reads the file into `document.config.server.admin_token`; warns of what nobody could reach.
void check_admin_token(Reader& reader, Document& document);

}  // namespace postern::server
