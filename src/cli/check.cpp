#include "cli/check.h"

#include <fmt/format.h>

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
    fmt::print("{}: {} {}\n", config_file, read.error_count,
               read.error_count == 1 ? "error" : "errors");
    return 1;
  }
  const server::Config& config = read.snapshot->config;
  fmt::print("{}: good; {} overrides, {} zones, {} forwards, {} warnings\n", config_file,
             config.policy.overrides.size(), config.policy.zones.size(), config.forwards.size(),
             read.problems.size());
  return 0;
}

}  // namespace postern::cli
