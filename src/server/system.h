// What the process takes from the system it runs on: processors, memory, file descriptors, the user
// it runs as. Main thread, at start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace postern::server {

/// Processors that this process may use: its affinity, cut to the CPU quota of its cgroup (v1 or
/// v2). At least 1.
unsigned usable_processors();

/// What the CPU quota of a cgroup and of those above it allows, rounded up; 0: no limit.
/// `membership` is /proc/self/cgroup, `mount` is /sys/fs/cgroup.
unsigned quota_processors(const std::string& membership, const std::string& mount);

/// Memory that this process may use, bytes: the machine's, cut to what its cgroup (v1 or v2:
/// memory.max, memory.high) and its RLIMIT_RSS allow, which the system itself does not enforce. 0:
/// not known.
std::uint64_t usable_memory();

/// As quota_processors(), of memory in bytes.
std::uint64_t cgroup_memory(const std::string& membership, const std::string& mount);

/// How much of so much memory the requests under way in the gateway may hold: a quarter, 32 MiB at
/// least.
std::size_t requests_memory(std::uint64_t memory);

/// Raises the limit of open files to what the system allows; the new limit.
std::uint64_t raise_open_files();
/// What that will be, or is.
std::uint64_t open_files_max();
/// How many clients of the gateway may have one of so many files: three eighths are left for what
/// they want of backends, and for the nameserver.
std::uint32_t connections_within(std::uint64_t open_files);
/// The same of so much memory: idle ones, of which each has 16 KiB at most, take a quarter of it;
/// 64 at least.
std::uint32_t connections_in_memory(std::uint64_t memory);
/// The first descriptor that no connection to a backend may have: an eighth is left for the rest.
int backend_fd_end(std::uint64_t open_files);

bool is_root();

bool has_user(const std::string& user);
/// "there is no user 'x'; create it with ..."
std::string no_user_text(const std::string& user);

/// May the process, once it is `user`, make files in this directory? By its mode; when there is no
/// such user, or it is this one, as it is for this process.
bool may_make_files(const std::string& user, const std::string& directory);

/// While it lives, sockets that this thread makes belong to `user` already, as they will after
/// become_user(): SO_REUSEPORT shares a port only among sockets of one user, so a reload could not
/// add a wildcard to the addresses that are listened on. Does nothing for a user that is not there.
class SocketsOf {
 public:
  explicit SocketsOf(const std::string& user);
  ~SocketsOf();
  SocketsOf(const SocketsOf&) = delete;
  SocketsOf& operator=(const SocketsOf&) = delete;
};

/// Group list, group and user for good; keeps only the capability to bind ports below 1024, if it
/// is there, so that a reload can still open new addresses. REQUIRES: one thread. NotFound: no such
/// user.
Result<void> become_user(const std::string& user);

}  // namespace postern::server
