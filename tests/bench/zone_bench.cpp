#include "dns/zone.h"

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <unistd.h>

#include "bench.h"
#include "packets.h"

namespace postern::bench {

std::string write_zone(unsigned hosts) {
  const std::string path =
      std::filesystem::temp_directory_path() / fmt::format("postern-bench-zone-{}", ::getpid());
  std::ofstream file(path);
  file << "$TTL 3600\n@ IN SOA ns admin 1 3600 600 86400 300\n@ IN NS ns\nns IN A 192.0.2.1\n";
  for (unsigned i = 0; i < hosts; ++i) {
    file << fmt::format("host{:08} A 10.{}.{}.{}\n", i, i >> 16, (i >> 8) & 255, i & 255);
  }
  return path;
}

void bench_zone(Bench& bench) {
  constexpr unsigned kHosts = 100'000;
  const std::string name = fmt::format("zone load: {} addresses, read, checked, packed", kHosts);
  if (!bench.wanted(name)) return;
  const std::string path = write_zone(kHosts);
  const dns::Name apex = name_of("example.");
  std::size_t bytes = 0;
  bench.run(name, [&](std::uint64_t) {
    const dns::ZoneLoad load = dns::load_zone(path, apex.view());
    bytes = load.zone->memory_bytes();
    keep(load);
  });
  std::printf("zone load: %.1f bytes per address\n",
              static_cast<double>(bytes) / static_cast<double>(kHosts));
  std::filesystem::remove(path);
}

}  // namespace postern::bench
