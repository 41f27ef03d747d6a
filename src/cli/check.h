// `postern check`: reads everything that `run` would and lists all problems, for people or in the
// words of a forge.
#pragma once

#include <string>

namespace postern::cli {

struct CheckOptions {
  std::string config_file;
  std::string format = "text";  ///< text, json, github, gitlab
};

/// The exit status: 0 good (warnings included), 1 errors.
int check(const CheckOptions& options);

}  // namespace postern::cli
