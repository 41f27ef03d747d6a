// The running program: workers with their sockets, signals, reload, the watch over zone files, the
// admin address. Lives on the main thread.
#pragma once

#include <functional>
#include <string>

#include "server/explanation.h"

namespace postern::server {

struct RunOptions {
  std::string config_file;
  std::string greeting;  ///< lines for standard output once it answers
  /// Called before the process ends at once, on the second signal.
  std::function<void()> abandon;
  Wording wording;
};

/// Serves until SIGTERM or SIGINT. The exit status: 0, or 1 when it could not start; what was wrong
/// is said on standard error.
int run(const RunOptions& options);

}  // namespace postern::server
