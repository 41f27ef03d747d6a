#include "cli/import_hosts.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/import_text.h"

namespace postern::cli {
namespace {

// Names that every system has for itself; Postern answers localhost by itself (RFC 6761).
bool is_of_the_system(std::string_view name) {
  return name == "localhost" || name.starts_with("localhost.") || name.starts_with("localhost4") ||
         name.starts_with("localhost6") || name == "broadcasthost" || name == "local" ||
         name.starts_with("ip6-") || name == "0.0.0.0";
}

bool is_within(std::string_view name, const std::vector<std::string>& zones) {
  return std::any_of(zones.begin(), zones.end(),
                     [&](const std::string& zone) { return is_at_or_below(name, zone); });
}

}  // namespace

void import_hosts_line(std::string_view line, const ImportPlace& place, const HostsScope& scope,
                       ImportModel* model) {
  const std::vector<std::string_view> words = words_of(line.substr(0, line.find('#')));
  if (words.empty()) return;
  const auto address = IpAddress::parse(words[0]);
  if (!address) {
    if (words.size() > 1 && is_of_the_system(words[1])) return;  // fe80::1%lo0 localhost
    model->note(place, fmt::format("'{}' is not an IP address", words[0]));
    return;
  }
  if (words.size() == 1) model->note(place, fmt::format("no name behind {}", words[0]));
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (is_of_the_system(words[i])) continue;
    const auto name = import_name(words[i]);
    if (!name || name->starts_with("*")) {
      model->note(place, name ? fmt::format("'{}': no wildcards in a hosts file", words[i])
                              : name.error().detail);
      continue;
    }
    if (!is_within(*name, scope.zones)) {
      model->note(place, fmt::format("'{}' is not in the zones of these hosts: {}", *name,
                                     fmt::join(scope.zones, ", ")));
      continue;
    }
    model->add_address(*name, *address, ImportRank::kHost, place);
    if (!scope.suffix.empty() && name->find('.') == std::string::npos) {
      model->add_address(*name + "." + scope.suffix, *address, ImportRank::kHost, place);
    }
  }
}

void import_hosts_text(std::string_view text, const std::string& file, const HostsScope& scope,
                       ImportModel* model) {
  std::size_t number = 0;
  for (const std::string_view line : lines_of(text)) {
    import_hosts_line(line, {file, ++number}, scope, model);
  }
}

}  // namespace postern::cli
