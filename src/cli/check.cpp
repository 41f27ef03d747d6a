#include "cli/check.h"

#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/check_format.h"
#include "server/snapshot.h"

namespace postern::cli {
namespace {

void print_for_people(const std::string& file, const server::SnapshotResult& read) {
  for (const server::ConfigProblem& problem : read.problems) {
    fmt::print("{}\n", problem.to_string());
  }
  if (read.snapshot == nullptr) {
    fmt::print("{}: {}\n", file, counted(read.error_count, "error"));
    return;
  }
  const server::Config& config = read.snapshot->config;
  fmt::print("{}: good; {}, {}, {}, {}, {}, {}\n", file,
             counted(config.policy.overrides.size(), "override"),
             counted(config.policy.zones.size(), "zone"),
             counted(config.forwards.size(), "forward"),
             counted(config.listeners.size(), "listener"), counted(config.routes.size(), "route"),
             counted(read.problems.size(), "warning"));
}

}  // namespace

int check(const CheckOptions& options) {
  server::ConfigSurroundings surroundings;
  surroundings.start = true;
  const server::SnapshotResult read =
      server::load_snapshot(options.config_file, nullptr, surroundings);
  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string();
  if (options.format == "json") {
    fmt::print("{}", problems_as_json(read.problems, here));
  } else if (options.format == "github") {
    fmt::print("{}", problems_as_github(read.problems, here));
  } else if (options.format == "gitlab") {
    fmt::print("{}", problems_as_gitlab(read.problems, here));
  } else {
    print_for_people(options.config_file, read);
  }
  return read.snapshot == nullptr ? 1 : 0;
}

}  // namespace postern::cli
