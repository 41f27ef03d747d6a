#include "server/system.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace postern::server {
namespace {

constexpr std::uint64_t kOpenFilesWanted = 1U << 20;

std::string system_message() { return std::error_code(errno, std::generic_category()).message(); }

std::string file_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// "0::/system.slice/postern.service" in /proc/self/cgroup.
std::string own_cgroup() {
  const std::string line = file_line("/proc/self/cgroup");
  return line.starts_with("0::") ? line.substr(3) : std::string();
}

unsigned affinity_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

Result<void> keep_bind_capability() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  data[0].permitted = data[0].effective = 1U << CAP_NET_BIND_SERVICE;
  if (::syscall(SYS_capset, &header, data.data()) == 0) return {};
  return fail(Code::kIo, fmt::format("cannot drop capabilities: {}", system_message()));
}

}  // namespace

unsigned quota_processors(const std::string& cpu_max) {
  std::istringstream words(cpu_max);
  std::uint64_t quota = 0;
  std::uint64_t period = 0;
  if (!(words >> quota >> period) || quota == 0 || period == 0) return 0;
  return static_cast<unsigned>((quota + period - 1) / period);
}

unsigned usable_processors() {
  unsigned count = affinity_processors();
  // The limit may stand at any level above; in a container the root shows the container's own.
  std::string path = own_cgroup();
  for (;;) {
    const unsigned quota = quota_processors(file_line("/sys/fs/cgroup" + path + "/cpu.max"));
    if (quota != 0) count = std::min(count, quota);
    if (path.empty()) return count;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
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

bool is_root() { return ::geteuid() == 0; }

Result<void> become_user(const std::string& user) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16384);
  ::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return fail(Code::kNotFound,
                fmt::format("server.user: there is no user '{}'; create it with: useradd --system "
                            "--no-create-home --shell /usr/sbin/nologin {}",
                            user, user));
  }
  ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (::initgroups(user.c_str(), entry.pw_gid) != 0 || ::setgid(entry.pw_gid) != 0 ||
      ::setuid(entry.pw_uid) != 0) {
    return fail(Code::kIo, fmt::format("cannot become user '{}': {}", user, system_message()));
  }
  return keep_bind_capability();
}

}  // namespace postern::server
