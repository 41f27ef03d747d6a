// `postern check`: reads everything that `run` would and lists all problems.
#pragma once

#include <string>

namespace postern::cli {

/// The exit status: 0 good (warnings included), 1 errors.
int check(const std::string& config_file);

}  // namespace postern::cli
