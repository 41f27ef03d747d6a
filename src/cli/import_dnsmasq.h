// dnsmasq.conf(5), as dnsmasq(8) describes its options.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/import_model.h"

namespace postern::cli {

/// The file and what it names: conf-file, conf-dir, addn-hosts. An error when a file cannot be read
/// or a line is none of dnsmasq's.
Result<void> import_dnsmasq(const std::string& path, ImportModel* model);

}  // namespace postern::cli
