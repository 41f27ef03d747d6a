#include "server/snapshot.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "dns/name.h"
#include "net/socket.h"

namespace postern::server {
namespace {

constexpr std::size_t kReadBytes = 256U << 10;

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9fb21c651e98df25ULL;
  return hash ^ (hash >> 35U);
}

std::uint64_t mix_bytes(std::uint64_t hash, Bytes bytes) {
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    hash = mix(hash, word);
    bytes = bytes.subspan(8);
  }
  std::uint64_t rest = bytes.size();
  for (const std::uint8_t byte : bytes) rest = (rest << 8U) | byte;
  return mix(hash, rest);
}

// Fills `buffer` as far as the file goes; how much that was.
std::size_t read_some(const net::Fd& fd, MutableBytes buffer) {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t got = ::read(fd.get(), buffer.data() + filled, buffer.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

net::Fd open_to_read(const std::string& path) {
  return net::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

std::uint64_t mix_file(std::uint64_t hash, const std::string& path) {
  const net::Fd fd = open_to_read(path);
  if (!fd) return mix(hash, static_cast<std::uint64_t>(errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return mix(hash, status.st_mode);
  std::vector<std::uint8_t> buffer(kReadBytes);
  for (;;) {
    const std::size_t filled = read_some(fd, buffer);
    hash = mix_bytes(hash, Bytes(buffer.data(), filled));
    if (filled < buffer.size()) return hash;
  }
}

// As ZoneLoad::content_hash, from what the files hold now.
std::uint64_t content_hash_now(const std::vector<std::string>& files) {
  std::uint64_t hash = dns::kRootHash;
  for (const std::string& file : files) {
    const net::Fd fd = open_to_read(file);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    std::vector<std::uint8_t> text;
    std::size_t filled = 0;
    do {
      text.resize(filled + kReadBytes);
      filled += read_some(fd, MutableBytes(text).subspan(filled));
    } while (filled == text.size());
    hash = dns::extend_hash(hash, Bytes(text.data(), filled));
  }
  return hash;
}

ConfigProblem as_config_problem(const dns::ZoneProblem& problem) {
  return {problem.file, problem.line, problem.column, problem.text, problem.warning};
}

// What was wrong with the file itself stands alone: that it has no SOA either is no news.
std::vector<ConfigProblem> problems_of(const dns::ZoneLoad& load, const std::string& file) {
  const std::string unreadable = fmt::format("cannot read '{}': ", file);
  std::vector<ConfigProblem> problems;
  for (const dns::ZoneProblem& problem : load.problems) {
    if (problem.text.starts_with(unreadable)) return {{file, 0, 0, problem.text, false}};
    problems.push_back(as_config_problem(problem));
  }
  return problems;
}

struct ZoneOutcome {
  LoadedZone loaded;
  std::vector<ConfigProblem> problems;
  std::size_t error_count = 0;
};

// `known_files`: what was read the last time, so that a change while reading is seen the next time.
ZoneOutcome read_zone(const dns::ZoneSettings& settings, std::vector<std::string> known_files) {
  ZoneOutcome outcome;
  if (known_files.empty()) known_files = {settings.file};
  outcome.loaded.fingerprint = content_fingerprint(known_files);
  dns::ZoneLoad load = dns::load_zone(settings.file, settings.name.view());
  if (load.files != known_files) {
    // These are known only now. When they may not be what was read, the next look reads them again.
    outcome.loaded.fingerprint = content_fingerprint(load.files);
    if (content_hash_now(load.files) != load.content_hash) outcome.loaded.fingerprint = 0;
  }
  outcome.loaded.zone = std::move(load.zone);
  outcome.loaded.files = std::move(load.files);
  if (outcome.loaded.files.empty()) outcome.loaded.files = known_files;
  outcome.problems = problems_of(load, settings.file);
  if (outcome.loaded.zone == nullptr) {
    const bool one = outcome.problems.size() == 1;
    outcome.error_count = one ? 1 : std::max<std::size_t>(1, load.problem_count);
    if (outcome.problems.empty()) {
      outcome.problems.push_back({settings.file, 0, 0, "the zone cannot be read", false});
    }
  }
  return outcome;
}

const LoadedZone* find_unchanged(const Snapshot* previous, const dns::ZoneSettings& settings) {
  if (previous == nullptr) return nullptr;
  const auto& known = previous->config.policy.zones;
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (!(known[i].name == settings.name) || known[i].file != settings.file) continue;
    const LoadedZone& zone = previous->zones[i];
    if (content_fingerprint(zone.files) == zone.fingerprint) return &zone;
  }
  return nullptr;
}

// One file may be served as several zones' settings (views); it is read once for each name.
std::shared_ptr<const Snapshot> compile(Config config, std::vector<LoadedZone> zones) {
  auto snapshot = std::make_shared<Snapshot>();
  std::vector<std::shared_ptr<const dns::Zone>> served;
  for (const LoadedZone& zone : zones) served.push_back(zone.zone);
  auto resolver = std::make_shared<nameserver::ResolverSnapshot>();
  resolver->policy = dns::compile_policy(config.policy, served);
  snapshot->resolver = std::move(resolver);
  snapshot->config = std::move(config);
  snapshot->zones = std::move(zones);
  return snapshot;
}

}  // namespace

std::uint64_t content_fingerprint(const std::vector<std::string>& files) {
  std::uint64_t hash = 0x9e3779b97f4a7c15ULL;
  for (const std::string& file : files) {
    hash = mix_bytes(hash, as_bytes(file));
    hash = mix_file(hash, file);
  }
  return hash;
}

SnapshotResult load_snapshot(const std::string& path, const Snapshot* previous,
                             const ConfigSurroundings& surroundings) {
  SnapshotResult result;
  ConfigResult read = load_config(path, surroundings);
  result.problems = std::move(read.problems);
  result.error_count = read.error_count;
  std::vector<LoadedZone> zones;
  for (const dns::ZoneSettings& settings : read.config.policy.zones) {
    if (const LoadedZone* unchanged = find_unchanged(previous, settings)) {
      zones.push_back(*unchanged);
      continue;
    }
    if (settings.file.empty()) continue;  // reported with the line that names it
    ZoneOutcome outcome = read_zone(settings, {});
    std::move(outcome.problems.begin(), outcome.problems.end(),
              std::back_inserter(result.problems));
    result.error_count += outcome.error_count;
    zones.push_back(std::move(outcome.loaded));
  }
  if (result.error_count == 0) result.snapshot = compile(std::move(read.config), std::move(zones));
  return result;
}

ZoneRefresh refresh_zones(const Snapshot& current, const std::vector<ZoneRejection>& rejected) {
  ZoneRefresh refresh;
  std::vector<LoadedZone> zones = current.zones;
  for (std::size_t i = 0; i < zones.size(); ++i) {
    const dns::ZoneSettings& settings = current.config.policy.zones[i];
    const auto before = std::find_if(rejected.begin(), rejected.end(),
                                     [&](const ZoneRejection& r) { return r.index == i; });
    if (content_fingerprint(zones[i].files) == zones[i].fingerprint) {
      if (before != rejected.end()) refresh.mended.push_back(i);
      continue;
    }
    if (before != rejected.end() && content_fingerprint(before->files) == before->fingerprint) {
      continue;
    }
    ZoneOutcome outcome = read_zone(settings, zones[i].files);
    if (outcome.loaded.zone == nullptr) {
      refresh.rejected.push_back({settings.name.text(), i, outcome.loaded.fingerprint,
                                  std::move(outcome.loaded.files), std::move(outcome.problems),
                                  outcome.error_count});
      continue;
    }
    zones[i] = std::move(outcome.loaded);
    refresh.reloaded.push_back(i);
  }
  if (!refresh.reloaded.empty()) refresh.snapshot = compile(current.config, std::move(zones));
  return refresh;
}

}  // namespace postern::server
