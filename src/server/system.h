// What the process takes from the system it runs on: processors, file descriptors, the user it runs
// as. Main thread, at start.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace postern::server {

/// Processors that this process may use: its affinity, cut to the CPU quota of its cgroup (v2),
/// rounded up. At least 1.
unsigned usable_processors();

/// What `cpu.max` of a cgroup allows ("max 100000", "150000 100000"), rounded up; 0: no limit.
unsigned quota_processors(const std::string& cpu_max);

/// Raises the limit of open files to what the system allows; the new limit.
std::uint64_t raise_open_files();

bool is_root();

/// Group list, group and user for good; keeps only the capability to bind ports below 1024, so that
/// a reload can still open new addresses. REQUIRES: one thread. NotFound: no such user.
Result<void> become_user(const std::string& user);

}  // namespace postern::server
