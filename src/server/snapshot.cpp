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
#include "server/challenges.h"
#include "server/config_advice_dns.h"
#include "server/config_publish.h"
#include "server/fingerprint.h"

namespace postern::server {
namespace {

constexpr std::size_t kReadBytes = 256U << 10;

// As ZoneLoad::content_hash, from what the files hold now. Those that cannot be read hold nothing.
std::uint64_t content_hash_now(const std::vector<std::string>& files) {
  std::uint64_t hash = dns::kRootHash;
  for (const std::string& file : files) {
    const net::Fd fd = open_to_read(file);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
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
std::shared_ptr<const Snapshot> compile(Snapshot snapshot) {
  std::vector<std::shared_ptr<const dns::Zone>> served;
  served.reserve(snapshot.zones.size());
  for (const LoadedZone& zone : snapshot.zones) served.push_back(zone.zone);
  auto resolver = std::make_shared<nameserver::ResolverSnapshot>();
  resolver->policy = dns::compile_policy(snapshot.config.policy, served);
  snapshot.resolver = std::move(resolver);
  return std::make_shared<Snapshot>(std::move(snapshot));
}

void take_problems(std::vector<ConfigProblem> problems, std::size_t error_count,
                   SnapshotResult* result) {
  std::move(problems.begin(), problems.end(), std::back_inserter(result->problems));
  result->error_count += error_count;
}

std::vector<LoadedZone> read_zones(const Config& config, const Snapshot* previous,
                                   SnapshotResult* result) {
  std::vector<LoadedZone> zones;
  for (const dns::ZoneSettings& settings : config.policy.zones) {
    if (const LoadedZone* unchanged = find_unchanged(previous, settings)) {
      zones.push_back(*unchanged);
      continue;
    }
    if (settings.file.empty()) continue;  // reported with the line that names it
    ZoneOutcome outcome = read_zone(settings, {});
    take_problems(std::move(outcome.problems), outcome.error_count, result);
    zones.push_back(std::move(outcome.loaded));
  }
  return zones;
}

struct ConfigRead {
  ConfigResult result;
  std::uint64_t fingerprint = 0;
};

// The fingerprint is of the files before they were read, so that an edit in between shows.
ConfigRead read_config(const std::string& path, const Snapshot* previous,
                       const ConfigSurroundings& surroundings) {
  ConfigRead read;
  const auto known =
      previous == nullptr ? std::vector<std::string>() : config_files_of(previous->config);
  read.fingerprint = content_fingerprint(known);
  read.result = load_config(path, surroundings);
  const auto files = config_files_of(read.result.config);
  if (files == known) return read;
  read.fingerprint = content_fingerprint(files);
  read.result = load_config(path, surroundings);
  if (config_files_of(read.result.config) != files) read.fingerprint = 0;
  return read;
}

ReadParts parts_with(const Snapshot& snapshot, const std::vector<LoadedCertificate>& pairs) {
  ReadParts parts;
  parts.base.push_back({config_files_of(snapshot.config), snapshot.config_fingerprint});
  for (const LoadedZone& zone : snapshot.zones) {
    parts.base.push_back({zone.files, zone.fingerprint});
  }
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    parts.pairs.push_back({files_of(snapshot.config.certificates[i]), pairs[i].fingerprint});
  }
  return parts;
}

// A configuration with an error may not name what the one that is served does.
void add_missing(const std::vector<ReadFiles>& served, std::vector<ReadFiles>* parts) {
  for (const ReadFiles& one : served) {
    const bool known = std::any_of(parts->begin(), parts->end(),
                                   [&](const ReadFiles& part) { return part.files == one.files; });
    if (!known) parts->push_back({one.files, content_fingerprint(one.files)});
  }
}

}  // namespace

ReadParts parts_of(const Snapshot& snapshot) {
  return parts_with(snapshot, snapshot.gateway->certificates);
}

std::vector<std::string> config_files_of(const Config& config) {
  std::vector<std::string> files = config.files;
  files.insert(files.end(), config.include_directories.begin(), config.include_directories.end());
  files.insert(files.end(), config.other_files.begin(), config.other_files.end());
  return files;
}

SnapshotResult load_snapshot(const std::string& path, const Snapshot* previous,
                             const ConfigSurroundings& surroundings) {
  const Snapshot nothing;
  const Snapshot& before = previous == nullptr ? nothing : *previous;
  SnapshotResult result;
  ConfigRead read = read_config(path, previous, surroundings);
  take_problems(std::move(read.result.problems), read.result.error_count, &result);
  Snapshot next;
  next.config = std::move(read.result.config);
  next.config_fingerprint = read.fingerprint;
  result.log = next.config.server.log;
  next.zones = read_zones(next.config, previous, &result);
  CertificatesRead pairs = read_certificates(
      next.config.certificates, before.config.certificates,
      before.gateway == nullptr ? std::vector<LoadedCertificate>() : before.gateway->certificates);
  take_problems(std::move(pairs.problems), pairs.error_count, &result);
  result.parts = parts_with(next, pairs.certificates);
  if (previous != nullptr) {
    ReadParts served = parts_of(*previous);
    served.base.erase(served.base.begin());  // the configuration itself
    add_missing(served.base, &result.parts.base);
    add_missing(served.pairs, &result.parts.pairs);
  }
  if (result.error_count != 0) return result;
  GatewayRead gateway =
      make_gateway_part(next.config, std::move(pairs.certificates), before.gateway.get());
  take_problems(std::move(gateway.problems), gateway.error_count, &result);
  if (result.error_count != 0) return result;
  next.gateway = std::move(gateway.part);
  bind_services(next.config, names_of(next.config, next.gateway->certificates));
  result.snapshot = compile(std::move(next));
  take_problems(check_challenges(*result.snapshot), 0, &result);
  take_problems(check_hosts(*result.snapshot), 0, &result);
  return result;
}

ZoneRefresh refresh_zones(const Snapshot& current, const std::vector<ZoneRejection>& rejected) {
  ZoneRefresh refresh;
  std::vector<LoadedZone> zones = current.zones;
  bool broken = false;
  for (std::size_t i = 0; i < zones.size(); ++i) {
    const dns::ZoneSettings& settings = current.config.policy.zones[i];
    const auto before = std::find_if(rejected.begin(), rejected.end(),
                                     [&](const ZoneRejection& r) { return r.index == i; });
    if (content_fingerprint(zones[i].files) == zones[i].fingerprint) {
      if (before != rejected.end()) refresh.mended.push_back(i);
      continue;
    }
    if (before != rejected.end() && content_fingerprint(before->files) == before->fingerprint) {
      broken = true;
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
  broken = broken || !refresh.rejected.empty();
  if (broken && current.config.server.watch) refresh.held = std::exchange(refresh.reloaded, {});
  if (refresh.reloaded.empty()) return refresh;
  Snapshot next = current;
  next.zones = std::move(zones);
  refresh.snapshot = compile(std::move(next));
  return refresh;
}

CertificateRefresh refresh_certificates(const Snapshot& current,
                                        const std::vector<CertificateRejection>& rejected) {
  CertificateRefresh refresh;
  const auto& settings = current.config.certificates;
  const GatewayPart& served = *current.gateway;
  refresh.changes = look_for_changes(settings, served.certificates, rejected);
  if (refresh.changes.reloaded.empty()) return refresh;
  GatewayRead renewed = renew_certificates(current.config, refresh.changes.certificates, served);
  if (renewed.part == nullptr) {
    for (const std::size_t index : refresh.changes.reloaded) {
      refresh.changes.rejected.push_back(
          {index, refresh.changes.certificates[index].fingerprint, renewed.problems.front().text});
    }
    refresh.changes.reloaded.clear();
    return refresh;
  }
  const CertificateNames names_before = names_of(current.config, served.certificates);
  refresh.lost = find_lost(current.config, refresh.changes.reloaded, names_before, served.uncovered,
                           renewed.part->uncovered);
  Snapshot next = current;
  next.gateway = std::move(renewed.part);
  const CertificateNames names = names_of(next.config, next.gateway->certificates);
  const bool same = names == names_before;
  if (!same) bind_services(next.config, names);
  refresh.snapshot = same ? std::make_shared<Snapshot>(std::move(next)) : compile(std::move(next));
  return refresh;
}

}  // namespace postern::server
