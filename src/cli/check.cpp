#include "cli/check.h"

#include <fmt/format.h>

#include "base/text.h"
#include "server/snapshot.h"

namespace postern::cli {

int check(const std::string& config_file) {
  server::ConfigSurroundings surroundings;
  surroundings.start = true;
  const server::SnapshotResult read = server::load_snapshot(config_file, nullptr, surroundings);
  for (const server::ConfigProblem& problem : read.problems) {
    fmt::print("{}\n", problem.to_string());
  }
  if (read.snapshot == nullptr) {
    fmt::print("{}: {}\n", config_file, counted(read.error_count, "error"));
    return 1;
  }
  const server::Config& config = read.snapshot->config;
  fmt::print("{}: good; {}, {}, {}, {}, {}, {}\n", config_file,
             counted(config.policy.overrides.size(), "override"),
             counted(config.policy.zones.size(), "zone"),
             counted(config.forwards.size(), "forward"),
             counted(config.listeners.size(), "listener"), counted(config.routes.size(), "route"),
             counted(read.problems.size(), "warning"));
  return 0;
}

}  // namespace postern::cli
