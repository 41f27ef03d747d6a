// What the system says of this process, under the names that all exporters give it.
#pragma once

#include <cstdint>

namespace postern::server {

struct ProcessStats {
  double cpu_s = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;
};

/// Reads /proc; 0 where that cannot be read. Main thread, some 50 us.
ProcessStats process_stats();

}  // namespace postern::server
