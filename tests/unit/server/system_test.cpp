#include "server/system.h"

#include <limits>

#include <doctest/doctest.h>

#include "folder.h"

namespace postern::server {

using test::Folder;

TEST_CASE("a quota of cgroup v2 holds at any level, rounded up") {
  const Folder folder;
  const std::string self = folder.write("self", "0::/system.slice/postern.service\n");
  CHECK(quota_processors(self, folder.path("sys")) == 0);
  folder.write("sys/system.slice/postern.service/cpu.max", "max 100000\n");
  CHECK(quota_processors(self, folder.path("sys")) == 0);
  folder.write("sys/system.slice/cpu.max", "250000 100000\n");
  CHECK(quota_processors(self, folder.path("sys")) == 3);
  folder.write("sys/system.slice/postern.service/cpu.max", "150000 100000\n");
  CHECK(quota_processors(self, folder.path("sys")) == 2);
}

TEST_CASE("a quota of cgroup v1 is found among the other controllers") {
  const Folder folder;
  const std::string self = folder.write(
      "self", "12:cpuset:/\n4:cpu,cpuacct:/docker/1f\n3:memory:/docker/1f\n0::/docker/1f\n");
  folder.write("sys/cpu,cpuacct/docker/1f/cpu.cfs_quota_us", "-1\n");
  folder.write("sys/cpu,cpuacct/docker/1f/cpu.cfs_period_us", "100000\n");
  CHECK(quota_processors(self, folder.path("sys")) == 0);
  folder.write("sys/cpu,cpuacct/docker/1f/cpu.cfs_quota_us", "50000\n");
  CHECK(quota_processors(self, folder.path("sys")) == 1);
}

TEST_CASE("in a container the quota of cgroup v1 stands at the root of the mount") {
  const Folder folder;
  const std::string self = folder.write("self", "4:cpuacct,cpu:/docker/1f\n");
  folder.write("sys/cpu/cpu.cfs_quota_us", "400000\n");
  folder.write("sys/cpu/cpu.cfs_period_us", "100000\n");
  CHECK(quota_processors(self, folder.path("sys")) == 4);
}

TEST_CASE("a cgroup's memory is what the least of its limits says, at any level") {
  const Folder folder;
  const std::string self = folder.write("self", "0::/system.slice/postern.service\n");
  CHECK(cgroup_memory(self, folder.path("sys")) == 0);
  folder.write("sys/system.slice/postern.service/memory.max", "max\n");
  CHECK(cgroup_memory(self, folder.path("sys")) == 0);
  folder.write("sys/system.slice/memory.max", "1073741824\n");
  CHECK(cgroup_memory(self, folder.path("sys")) == 1U << 30);
  folder.write("sys/system.slice/postern.service/memory.high", "268435456\n");
  CHECK(cgroup_memory(self, folder.path("sys")) == 256U << 20);
}

TEST_CASE("of cgroup v1 it is the limit of the memory controller") {
  const Folder folder;
  const std::string self =
      folder.write("self", "9:cpu,cpuacct:/docker/1f\n5:memory:/docker/1f\n0::/docker/1f\n");
  folder.write("sys/cpu,cpuacct/docker/1f/memory.limit_in_bytes", "1\n");
  folder.write("sys/memory/docker/1f/memory.limit_in_bytes", "536870912\n");
  CHECK(cgroup_memory(self, folder.path("sys")) == 512U << 20);
}

TEST_CASE("requests may hold a quarter of the memory") {
  CHECK(requests_memory(std::uint64_t{8} << 30) == 2U << 30);
  CHECK(requests_memory(64U << 20) == 32U << 20);
  CHECK(requests_memory(0) == std::numeric_limits<std::size_t>::max());
  CHECK(usable_memory() > 64U << 20);
}

TEST_CASE("idle connections have a quarter of the memory") {
  CHECK(connections_in_memory(std::uint64_t{1} << 30) == 16'384);
  CHECK(connections_in_memory(128U << 20) == 2'048);
  CHECK(connections_in_memory(1U << 20) == 64);
  CHECK(connections_in_memory(0) == std::numeric_limits<std::uint32_t>::max());
}

TEST_CASE("whether a user is there") {
  CHECK(has_user("root"));
  CHECK_FALSE(has_user("nobody-of-that-name"));
}

TEST_CASE("clients leave descriptors for their backends and for the nameserver") {
  CHECK(connections_within(20'000) == 12'500);
  CHECK(connections_within(1024) == 640);
  CHECK(connections_within(0) == 1);
  CHECK(backend_fd_end(1024) == 896);
  CHECK(backend_fd_end(std::uint64_t{1} << 40) == std::numeric_limits<int>::max());
}

}  // namespace postern::server
