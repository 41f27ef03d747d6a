// `postern explain`: what would be said to whom, and which line of the configuration says so. From
// the configuration alone: nothing is asked of anybody.
#pragma once

#include <string>

namespace postern::cli {

struct ExplainOptions {
  std::string name;  ///< or a URL
  std::string type = "A";
  std::string method = "GET";  ///< of a URL
  std::string client = "127.0.0.1";
  std::string config_file;
};

/// The exit status: 0, 1 when the configuration is wrong, 2 when the question is.
int explain(const ExplainOptions& options);

}  // namespace postern::cli
