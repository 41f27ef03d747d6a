// hosts(5): "ADDRESS NAME [ALIAS...]", "#" begins a comment.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/import_model.h"

namespace postern::cli {

struct HostsScope {
  std::string suffix;  ///< added to names without a dot ("" for none): dnsmasq's expand-hosts
  std::vector<std::string> zones{"."};  ///< names outside of them become notes
};

void import_hosts_text(std::string_view text, const std::string& file, const HostsScope& scope,
                       ImportModel* model);
/// The words of one such line; `line` may be of a file of another kind.
void import_hosts_line(std::string_view line, const ImportPlace& place, const HostsScope& scope,
                       ImportModel* model);

}  // namespace postern::cli
