// What the program says about what it serves: problems, and the lines at start and reload. Any
// thread.
#pragma once

#include <string_view>
#include <vector>

#include "server/config.h"
#include "server/listen.h"
#include "server/snapshot.h"

namespace postern::server {

/// To standard error, one line each.
void print_problems(const std::vector<ConfigProblem>& problems);
/// At start: to the log, and as plain lines to people who look at standard error themselves.
void tell_problems(const SnapshotResult& read);
/// Why it ends before anything was served; the same.
void tell_failure(std::string_view why);
/// To the log; after the first 20 only how many there are.
void log_problems(std::string_view event, const std::vector<ConfigProblem>& problems);

void log_listening(const ListenPlan& plan);
void log_served(const Snapshot& snapshot);

/// Certificates that expire soon or have expired.
void warn_of_expiry(const Snapshot& snapshot);
/// Names that renewed certificates do not have any more.
void warn_of_lost(const Config& config, const std::vector<LostHosts>& lost);
/// What only root can read is served now and would be an error at the next reload.
void warn_of_unreadable(const Snapshot& snapshot);

}  // namespace postern::server
