// hosts(5): "ADDRESS NAME [ALIAS...]", "#" begins a comment.
#pragma once

#include <string>
#include <string_view>

#include "cli/import_model.h"

namespace postern::cli {

/// `suffix`: added to names without a dot ("" for none), as dnsmasq's expand-hosts does.
void import_hosts_text(std::string_view text, const std::string& file, const std::string& suffix,
                       ImportModel* model);
/// The words of one such line; `line` may be of a file of another kind.
void import_hosts_line(std::string_view line, const ImportPlace& place, const std::string& suffix,
                       ImportModel* model);

}  // namespace postern::cli
