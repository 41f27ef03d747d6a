// `postern diff`: what a configuration would change in what is served, before it is applied.
#pragma once

#include <string>

namespace postern::cli {

struct DiffOptions {
  std::string before, after;  ///< configuration files
  bool json = false;
};

/// The exit status is diff(1)'s: 0 no difference, 1 differences, 2 a file that has errors.
int diff(const DiffOptions& options);

}  // namespace postern::cli
