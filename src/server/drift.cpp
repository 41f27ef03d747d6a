#include "server/drift.h"

#include <fmt/format.h>

#include "server/fingerprint.h"

namespace postern::server {

Drift drift_of(const Snapshot& served) {
  Drift drift;
  drift.config = content_fingerprint(config_files_of(served.config)) != served.config_fingerprint;
  for (std::size_t i = 0; i < served.zones.size(); ++i) {
    if (content_fingerprint(served.zones[i].files) == served.zones[i].fingerprint) continue;
    drift.zones.push_back(served.config.policy.zones[i].name.text());
  }
  const auto& settings = served.config.certificates;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const std::uint64_t now = content_fingerprint(files_of(settings[i]));
    if (now != served.gateway->certificates[i].fingerprint) {
      drift.certificates.push_back(settings[i].name);
    }
  }
  return drift;
}

std::string drift_text(const Drift& drift) {
  std::string text = drift.config ? "configuration" : "";
  const auto add = [&](std::string_view kind, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kind, name);
    }
  };
  add("zone", drift.zones);
  add("certificate", drift.certificates);
  return text.empty() ? "none" : text;
}

}  // namespace postern::server
