#include "server/system.h"

#include <algorithm>
#include <array>
#include <climits>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace postern::server {
namespace {

constexpr std::uint64_t kOpenFilesWanted = 1U << 20;
constexpr std::uint64_t kRequestsMemoryLeast = 32U << 20;
constexpr std::uint64_t kIdleConnectionBytes = 16U << 10;

std::string system_message() { return std::error_code(errno, std::generic_category()).message(); }

std::string file_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Of quota and period in microseconds; 0: no limit ("max" in v2, -1 in v1).
std::uint64_t processors_of(std::istream& words) {
  std::int64_t quota = 0;
  std::int64_t period = 0;
  if (!(words >> quota >> period) || quota <= 0 || period <= 0) return 0;
  return static_cast<std::uint64_t>((quota + period - 1) / period);
}

std::uint64_t quota_v2(const std::string& directory) {
  std::ifstream words(directory + "/cpu.max");
  return processors_of(words);
}

std::uint64_t quota_v1(const std::string& directory) {
  std::istringstream words(file_line(directory + "/cpu.cfs_quota_us") + " " +
                           file_line(directory + "/cpu.cfs_period_us"));
  return processors_of(words);
}

// 0: no limit.
std::uint64_t lesser_limit(std::uint64_t a, std::uint64_t b) {
  return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b);
}

std::uint64_t bytes_in(const std::string& path) {
  std::ifstream words(path);
  std::uint64_t bytes = 0;
  return words >> bytes ? bytes : 0;  // "max"
}

std::uint64_t memory_v2(const std::string& directory) {
  return lesser_limit(bytes_in(directory + "/memory.max"), bytes_in(directory + "/memory.high"));
}

std::uint64_t memory_v1(const std::string& directory) {
  return bytes_in(directory + "/memory.limit_in_bytes");
}

using LimitIn = std::uint64_t (*)(const std::string& directory);

// The limit may stand at any level above; in a container the root shows the container's own.
std::uint64_t limit_up_from(std::string path, const std::string& mount, LimitIn limit_in) {
  std::uint64_t least = 0;
  for (;;) {
    least = lesser_limit(least, limit_in(mount + path));
    if (path.empty()) return least;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

bool has_word(const std::string& list, std::string_view word) {
  std::istringstream words(list);
  for (std::string one; std::getline(words, one, ',');) {
    if (one == word) return true;
  }
  return false;
}

// Lines "0::/system.slice/postern.service" (v2), "4:cpu,cpuacct:/docker/1f" (v1); cgroups(7).
std::uint64_t cgroup_limit(const std::string& membership, const std::string& mount,
                           const std::string& controller, LimitIn in_v2, LimitIn in_v1) {
  std::ifstream lines(membership);
  std::uint64_t least = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      least = lesser_limit(least, limit_up_from(path, mount, in_v2));
    } else if (has_word(controllers, controller)) {
      least =
          lesser_limit(least, limit_up_from(path, fmt::format("{}/{}", mount, controllers), in_v1));
      if (controllers == controller) continue;
      least =
          lesser_limit(least, limit_up_from(path, fmt::format("{}/{}", mount, controller), in_v1));
    }
  }
  return least;
}

unsigned affinity_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

struct UserIds {
  uid_t user;
  gid_t group;
};

std::optional<UserIds> ids_of(const std::string& user) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16384);
  ::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return std::nullopt;
  return UserIds{entry.pw_uid, entry.pw_gid};
}

bool is_in_group(const std::string& user, gid_t own, gid_t wanted) {
  std::vector<gid_t> groups(1024);
  int count = static_cast<int>(groups.size());
  if (::getgrouplist(user.c_str(), own, groups.data(), &count) < 0) return own == wanted;
  const auto end = groups.begin() + count;
  return std::find(groups.begin(), end, wanted) != end;
}

Result<void> keep_bind_capability() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> had{};
  std::array<__user_cap_data_struct, 2> data{};
  ::syscall(SYS_capget, &header, had.data());
  data[0].permitted = data[0].effective = had[0].permitted & (1U << CAP_NET_BIND_SERVICE);
  if (::syscall(SYS_capset, &header, data.data()) == 0) return {};
  return fail(Code::kIo, fmt::format("cannot drop capabilities: {}", system_message()));
}

}  // namespace

unsigned quota_processors(const std::string& membership, const std::string& mount) {
  return static_cast<unsigned>(cgroup_limit(membership, mount, "cpu", quota_v2, quota_v1));
}

unsigned usable_processors() {
  return static_cast<unsigned>(
      lesser_limit(affinity_processors(), quota_processors("/proc/self/cgroup", "/sys/fs/cgroup")));
}

std::uint64_t cgroup_memory(const std::string& membership, const std::string& mount) {
  return cgroup_limit(membership, mount, "memory", memory_v2, memory_v1);
}

std::uint64_t usable_memory() {
  const auto pages = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
  const auto page_bytes = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
  rlimit limit{};
  const bool limited = ::getrlimit(RLIMIT_RSS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  const std::uint64_t of_process = limited ? limit.rlim_cur : 0;
  return lesser_limit(lesser_limit(pages * page_bytes, of_process),
                      cgroup_memory("/proc/self/cgroup", "/sys/fs/cgroup"));
}

std::size_t requests_memory(std::uint64_t memory) {
  if (memory == 0) return SIZE_MAX;
  return static_cast<std::size_t>(std::max(memory / 4, kRequestsMemoryLeast));
}

std::uint64_t raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t wanted = std::min<rlim_t>(limit.rlim_max, kOpenFilesWanted);
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = wanted;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur;
}

std::uint64_t open_files_max() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kOpenFilesWanted;
  return std::max(limit.rlim_cur, std::min<rlim_t>(limit.rlim_max, kOpenFilesWanted));
}

std::uint32_t connections_within(std::uint64_t open_files) {
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(open_files / 8 * 5, 1, UINT32_MAX));
}

std::uint32_t connections_in_memory(std::uint64_t memory) {
  if (memory == 0) return UINT32_MAX;
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(memory / 4 / kIdleConnectionBytes, 64, UINT32_MAX));
}

int backend_fd_end(std::uint64_t open_files) {
  return static_cast<int>(std::min<std::uint64_t>(open_files - open_files / 8, INT_MAX));
}

bool is_root() { return ::geteuid() == 0; }

bool has_user(const std::string& user) { return ids_of(user).has_value(); }

std::string no_user_text(const std::string& user) {
  return fmt::format(
      "there is no user '{}'; create it with: useradd --system --no-create-home --shell "
      "/usr/sbin/nologin {}",
      user, user);
}

bool may_make_files(const std::string& user, const std::string& directory) {
  const auto ids = user.empty() ? std::nullopt : ids_of(user);
  if (!ids && !user.empty() && !is_root()) return true;  // nobody knows
  if (!ids || ids->user == ::geteuid()) return ::access(directory.c_str(), W_OK | X_OK) == 0;
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0) return false;
  const auto has = [&](mode_t bits) { return (status.st_mode & bits) == bits; };
  if (ids->user == status.st_uid) return has(S_IWUSR | S_IXUSR);
  return is_in_group(user, ids->group, status.st_gid) ? has(S_IWGRP | S_IXGRP)
                                                      : has(S_IWOTH | S_IXOTH);
}

SocketsOf::SocketsOf(const std::string& user) {
  if (const auto ids = ids_of(user)) ::setfsuid(ids->user);
}

SocketsOf::~SocketsOf() { ::setfsuid(::geteuid()); }

Result<void> become_user(const std::string& user) {
  const auto ids = ids_of(user);
  if (!ids) return fail(Code::kNotFound, fmt::format("server.user: {}", no_user_text(user)));
  ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (::initgroups(user.c_str(), ids->group) != 0 || ::setgid(ids->group) != 0 ||
      ::setuid(ids->user) != 0) {
    return fail(Code::kIo, fmt::format("cannot become user '{}': {}", user, system_message()));
  }
  return keep_bind_capability();
}

}  // namespace postern::server
