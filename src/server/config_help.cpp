#include "server/config_help.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace postern::server {

Place key_place(const Node& table, std::string_view key) {
  const Node* node = table.find(key);
  return node == nullptr ? table.place : node->place;
}

bool has_wrong_type(const Node& table, std::string_view key) {
  const Node* node = table.find(key);
  return node != nullptr && node->kind != Node::Kind::kString;
}

bool overlap(const Endpoint& a, const Endpoint& b) {
  return a.port == b.port && a.ip.is_v4() == b.ip.is_v4() &&
         (a.ip == b.ip || a.ip.is_unspecified() || b.ip.is_unspecified());
}

std::string beside(const std::string& file, const std::string& path) {
  const std::filesystem::path whole = std::filesystem::path(file).parent_path() / path;
  return whole.lexically_normal().string();
}

std::string why_not_readable(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::directory) return "it is a directory";
  if (status.type() == std::filesystem::file_type::not_found) return "no such file";
  if (status.type() != std::filesystem::file_type::regular) return "it is not a regular file";
  errno = 0;
  const std::ifstream file(path);
  if (file) return {};
  return std::error_code(errno, std::generic_category()).message();
}

std::string without_dot(const dns::Name& name) {
  std::string text = name.text();
  if (text.size() > 1) text.pop_back();
  return text;
}

std::string to_lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

ConfigProblem warning_at(const std::string& source, std::string text) {
  ConfigProblem problem{source, 0, 0, std::move(text), true};
  const std::size_t colon = source.rfind(':');
  if (colon == std::string::npos) return problem;
  problem.file = source.substr(0, colon);
  std::from_chars(source.data() + colon + 1, source.data() + source.size(), problem.line);
  problem.column = 1;
  return problem;
}

bool is_on(const http::RouteSettings& route, const gateway::ListenerSettings& listener) {
  const auto& names = route.listeners;
  return names.empty() || std::find(names.begin(), names.end(), listener.name) != names.end();
}

namespace {

std::size_t count_shared(const gateway::ListenerSettings& listener,
                         const dns::OverrideSettings& rule) {
  const auto& own = listener.addresses;
  const auto shared = std::count_if(
      rule.addresses.begin(), rule.addresses.end(),
      [&](const IpAddress& ip) { return std::find(own.begin(), own.end(), ip) != own.end(); });
  return static_cast<std::size_t>(shared);
}

}  // namespace

bool shares_address(const gateway::ListenerSettings& listener, const dns::OverrideSettings& rule) {
  return count_shared(listener, rule) != 0;
}

bool has_all_addresses(const gateway::ListenerSettings& listener,
                       const dns::OverrideSettings& rule) {
  return !rule.addresses.empty() && count_shared(listener, rule) == rule.addresses.size();
}

void check_reference(Reader& reader, const Node& item, std::string_view key, std::string_view table,
                     std::span<const std::string_view> known) {
  if (item.kind != Node::Kind::kString) return;
  if (std::find(known.begin(), known.end(), item.text) != known.end()) return;
  const std::string_view near = nearest_word(item.text, known);
  reader.error(item.place,
               fmt::format("{}: no [[{}]] is named '{}'; {}", key, table, item.text,
                           !near.empty()   ? fmt::format("did you mean '{}'?", near)
                           : known.empty() ? "there are none"
                                           : fmt::format("there are: {}", fmt::join(known, ", "))));
}

}  // namespace postern::server
