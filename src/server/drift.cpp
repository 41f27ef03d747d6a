#include "server/drift.h"

#include <fmt/format.h>

#include "server/fingerprint.h"

namespace postern::server {
namespace {

std::string config_line(const Drift& drift, const Config& config) {
  const std::string_view outcome = drift.config_has_errors
                                       ? "was edited and has errors"
                                       : "was edited; a reload would take it over";
  if (!drift.config_is_same) return fmt::format("{} is not what runs: it {}", config.file, outcome);
  std::vector<std::string> others = config.include_directories;
  others.insert(others.end(), config.other_files.begin(), config.other_files.end());
  return fmt::format("what {} depends on is not what runs: {} {}", config.file,
                     fmt::join(others, " or "), outcome);
}

}  // namespace

Drift drift_of(const Snapshot& served) {
  Drift drift;
  drift.config = content_fingerprint(config_files_of(served.config)) != served.config_fingerprint;
  if (drift.config) {
    const ConfigResult now = load_config(served.config.file);
    drift.config_has_errors = !now.ok();
    drift.config_is_same = now.config.fingerprint == served.config.fingerprint;
  }
  for (std::size_t i = 0; i < served.zones.size(); ++i) {
    if (content_fingerprint(served.zones[i].files) != served.zones[i].fingerprint) {
      drift.zones.push_back(i);
    }
  }
  const auto& settings = served.config.certificates;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const std::uint64_t now = content_fingerprint(files_of(settings[i]));
    if (now != served.gateway->certificates[i].fingerprint) drift.certificates.push_back(i);
  }
  return drift;
}

std::vector<std::string> drift_lines(const Drift& drift, const Snapshot& served) {
  std::vector<std::string> lines;
  const Config& config = served.config;
  if (drift.config) lines.push_back(config_line(drift, config));
  for (const std::size_t index : drift.zones) {
    lines.push_back(fmt::format("{} is not what is served of {}: it was edited",
                                config.policy.zones[index].file,
                                config.policy.zones[index].name.text()));
  }
  for (const std::size_t index : drift.certificates) {
    lines.push_back(fmt::format("{} and {} are not the certificate \"{}\" that is served",
                                config.certificates[index].cert, config.certificates[index].key,
                                config.certificates[index].name));
  }
  return lines;
}

}  // namespace postern::server
