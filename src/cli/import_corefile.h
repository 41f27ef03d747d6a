// A CoreDNS Corefile, as the pages of its plugins describe them: errors, log, cache, forward,
// hosts, file, template, rewrite, bind; the others are named as not carried over.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/import_model.h"

namespace postern::cli {

/// An error when the file or what it imports cannot be read or is no Corefile.
Result<void> import_corefile(const std::string& path, ImportModel* model);

}  // namespace postern::cli
