#include "server/report.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <span>
#include <string>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "server/system.h"

namespace postern::server {
namespace {

constexpr std::size_t kProblemsLogged = 20;
constexpr std::size_t kHostsLogged = 20;  // in one line

bool is_read_by_people() { return ::isatty(STDERR_FILENO) != 0; }

void log_zones(const Snapshot& snapshot) {
  for (std::size_t i = 0; i < snapshot.zones.size(); ++i) {
    const LoadedZone& zone = snapshot.zones[i];
    const dns::ZoneSettings& settings = snapshot.config.policy.zones[i];
    log_info("zone", "{} serial {}, {} from {}", settings.name.text(), zone.zone->serial(),
             counted(zone.zone->record_count(), "record"), settings.file);
  }
}

void log_certificates(const Snapshot& snapshot) {
  const auto& settings = snapshot.config.certificates;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const net::TlsIdentity& identity = *snapshot.gateway->certificates[i].identity;
    log_info("certificate", "{} for {} {}, from {}", settings[i].name,
             fmt::join(identity.names(), " "), expiry_text(identity.not_after_s(), unix_now_s()),
             settings[i].cert);
  }
}

// A file may be both: several certificates share one, a zone is included by another.
std::vector<std::string> files_read(const Snapshot& snapshot) {
  std::vector<std::string> files = snapshot.config.files;
  for (const LoadedZone& zone : snapshot.zones) {
    files.insert(files.end(), zone.files.begin(), zone.files.end());
  }
  for (const CertificateSettings& certificate : snapshot.config.certificates) {
    files.push_back(certificate.cert);
    files.push_back(certificate.key);
  }
  const std::string& token = snapshot.config.server.admin_token_file;
  if (!token.empty()) files.push_back(token);
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

}  // namespace

void print_problems(const std::vector<ConfigProblem>& problems) {
  for (const ConfigProblem& problem : problems) fmt::print(stderr, "{}\n", problem.to_string());
}

void tell_problems(const SnapshotResult& read) {
  if (!is_read_by_people()) {
    return log_problems(read.snapshot == nullptr ? "config_rejected" : "config", read.problems);
  }
  print_problems(read.problems);
}

void tell_failure(std::string_view why) {
  if (is_read_by_people()) {
    fmt::print(stderr, "postern: {}\n", why);
  } else {
    log_error("start_failed", "{}", why);
  }
}

void log_problems(std::string_view event, const std::vector<ConfigProblem>& problems) {
  std::size_t logged = 0;
  for (const ConfigProblem& problem : problems) {
    if (++logged > kProblemsLogged) {
      const auto left = std::span(problems).subspan(kProblemsLogged);
      const bool warnings = std::all_of(left.begin(), left.end(),
                                        [](const ConfigProblem& one) { return one.warning; });
      log_line(warnings ? LogLevel::kWarning : LogLevel::kError, event,
               fmt::format("and {} more", left.size()));
      return;
    }
    if (problem.warning) {
      log_warning(event, "{}", problem.to_string());
    } else {
      log_error(event, "{}", problem.to_string());
    }
  }
}

void log_listening(const ListenPlan& plan) {
  for (const ListenPlace& place : plan.dns) {
    log_info("listening", "{} UDP and TCP", place.endpoint.to_string());
  }
  for (const ListenPlace& place : plan.gateway) {
    log_info("listening", "{} TCP, {}", place.endpoint.to_string(), place.key);
  }
  for (const ListenPlace& place : plan.quic) {
    log_info("listening", "{} UDP, {}", place.endpoint.to_string(), place.key);
  }
}

void log_served(const Snapshot& snapshot) {
  const Config& config = snapshot.config;
  log_zones(snapshot);
  log_info("overrides", "{}, {}", counted(config.policy.overrides.size(), "override"),
           counted(config.policy.views.size(), "view"));
  for (const nameserver::ForwardSettings& forward : config.forwards) {
    std::string upstreams;
    for (const auto& upstream : forward.upstreams) upstreams += " " + upstream.text;
    log_info("forward", "{} to{} ({})", forward.name.text(), upstreams, forward.source);
  }
  log_certificates(snapshot);
  if (config.listeners.empty()) return;
  log_info("gateway", "{}, {}", counted(config.listeners.size(), "listener"),
           counted(config.routes.size(), "route"));
  const std::uint32_t wanted = config.gateway_limits.connections;
  const std::uint32_t held_to = snapshot.site().limits.connections;
  if (held_to == wanted) return;
  if (held_to < connections_within(open_files_max())) {
    log_info("memory_limit",
             "{} connections at most in place of {} (gateway.limits.connections): this process may "
             "use {} MiB; MemoryMax of the service, or memory.max of its cgroup, gives it more",
             held_to, wanted, usable_memory() >> 20);
    return;
  }
  log_info("open_files",
           "{} connections at most in place of {} (gateway.limits.connections): this process may "
           "open {} files; LimitNOFILE of the service, or ulimit -Hn, gives it more",
           held_to, wanted, open_files_max());
}

void warn_of_expiry(const Snapshot& snapshot) {
  const std::int64_t now_s = unix_now_s();
  const auto& settings = snapshot.config.certificates;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const net::TlsIdentity& identity = *snapshot.gateway->certificates[i].identity;
    for (const std::string& ends : expiry_warnings(settings[i], identity, now_s)) {
      log_warning("certificate_expiry", "{}", ends);
    }
  }
}

void warn_of_lost(const Config& config, const std::vector<LostHosts>& lost) {
  for (const LostHosts& one : lost) {
    const CertificateSettings& settings = config.certificates[one.certificate];
    const std::size_t shown = std::min(one.hosts.size(), kHostsLogged);
    std::string hosts = fmt::format(
        "{}",
        fmt::join(one.hosts.begin(), one.hosts.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
    if (shown < one.hosts.size()) hosts += fmt::format(" and {} more", one.hosts.size() - shown);
    log_warning("certificate_narrowed",
                "{} ({}) was renewed without {}, which no certificate of the listener '{}' covers "
                "now, so browsers refuse to connect; renew it with all names",
                settings.name, settings.cert, hosts, one.listener);
  }
}

void warn_of_unreadable(const Snapshot& snapshot) {
  const std::string& user = snapshot.config.server.user;
  const auto& certificates = snapshot.config.certificates;
  for (const std::string& file : files_read(snapshot)) {
    if (::access(file.c_str(), R_OK) == 0) continue;
    const std::string why = std::generic_category().message(errno);
    const bool is_key = std::any_of(certificates.begin(), certificates.end(),
                                    [&](const auto& one) { return one.key == file; });
    log_warning("unreadable",
                "user '{}' cannot read {} ({}), so a reload or an edit of it will be refused; let "
                "it {}enter the directories above: {}chown {} {}",
                user, file, why, is_key ? "alone read the key and " : "read the file and ",
                is_key ? "" : "chmod o+r or ", user, file);
  }
}

}  // namespace postern::server
