#include "server/config_admin.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "server/config_help.h"
#include "server/fingerprint.h"

namespace postern::server {

std::string admin_token_in(const std::string& path) {
  std::vector<std::uint8_t> buffer(kTokenBytesMax + 2);
  const net::Fd fd = open_to_read(path);
  if (!fd) return {};
  std::string text(as_text(Bytes(buffer.data(), read_some(fd, buffer))));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const bool fits = text.size() >= kTokenBytesMin && text.size() <= kTokenBytesMax;
  const bool clean =
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
  return fits && clean ? text : std::string();
}

void check_admin_token(Reader& reader, Document& document) {
  ServerSettings& server = document.config.server;
  if (document.admin_token == nullptr || server.admin_token_file.empty()) {
    if (document.admin == nullptr || !server.admin || server.admin->ip.is_loopback()) return;
    reader.warning(document.admin->place,
                   fmt::format("server.admin: {} is reached from other machines, which get metrics "
                               "and health; for the API and the status page add "
                               "admin_token_file = \"admin.token\"",
                               server.admin->to_string()));
    return;
  }
  const Place place = document.admin_token->place;
  server.admin_token_file = beside(reader.file_of(place), server.admin_token_file);
  document.config.other_files.push_back(server.admin_token_file);
  const std::string why = why_not_readable(server.admin_token_file);
  if (!why.empty()) {
    reader.error(place, fmt::format("server.admin_token_file: cannot read '{}': {}; a path is "
                                    "relative to the file that has it",
                                    server.admin_token_file, why));
    return;
  }
  server.admin_token = admin_token_in(server.admin_token_file);
  if (!server.admin_token.empty()) return;
  reader.error(place,
               fmt::format("server.admin_token_file: '{}' has no token; one line of {} to {} "
                           "characters without blanks is wanted, as `openssl rand -hex 24` "
                           "prints it",
                           server.admin_token_file, kTokenBytesMin, kTokenBytesMax));
}

}  // namespace postern::server
