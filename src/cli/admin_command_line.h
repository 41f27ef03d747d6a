// The commands of the command line that ask the running server.
#pragma once

#include <optional>

#include <CLI/CLI.hpp>

#include "cli/admin_commands.h"

namespace postern::cli {

class AdminCommandLine {
 public:
  /// `app` outlives it.
  explicit AdminCommandLine(CLI::App& app);
  AdminCommandLine(const AdminCommandLine&) = delete;
  AdminCommandLine& operator=(const AdminCommandLine&) = delete;

  /// After parsing: the exit status, when one of these commands was given.
  std::optional<int> run();

 private:
  CLI::App* add(CLI::App& to, const char* name, const char* help);

  AdminOptions where_;
  StatusOptions status_;
  LogOptions log_;
  CacheOptions cache_;
  bool follow_ = false;  // what there is to do anyway
  CLI::App *status_command_, *log_command_, *reload_command_, *flush_command_, *show_command_;
};

}  // namespace postern::cli
