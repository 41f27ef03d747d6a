// The configuration: one TOML file and what it includes, read into the settings structs of the code
// that obeys them. Every problem is reported in one run, with file, line and column; a
// configuration with an error is never served. Cold path; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/log.h"
#include "dns/cache.h"
#include "dns/policy.h"
#include "gateway/settings.h"
#include "http/route.h"
#include "nameserver/forwarder.h"
#include "server/query_tap.h"

namespace postern::server {

inline constexpr const char* kDefaultConfigFile = "/etc/postern/postern.toml";

/// [server]
struct ServerSettings {
  unsigned workers = 0;          ///< 0: "auto", the cores this process may use
  std::string user = "postern";  ///< "": stay as started
  bool user_given = false;       ///< not the default: it has to exist
  LogSettings log;
  std::optional<Endpoint> admin;  ///< nullopt: off
  std::string admin_token_file;   ///< "": none
  std::string admin_token;        ///< what stands in it
  std::string state_dir = "/var/lib/postern";
  bool watch = true;  ///< the configuration is read again when it is edited, without SIGHUP
};

/// [dns.limits]; rebind_protection is in the policy.
struct DnsLimits {
  std::uint32_t qps_per_client = 0;  ///< 0: off
  std::uint32_t tcp_clients = 1000;  ///< of the whole process
  std::uint32_t tcp_idle_ms = 10'000;
  std::uint32_t outstanding = 10'000;  ///< fetches under way, of the whole process
};

/// [[tls.certificate]]; both are PEM files.
struct CertificateSettings {
  std::string name;
  std::string cert;    ///< path; with what the file that names it is relative to in front
  std::string key;     ///< the same
  std::string source;  ///< "FILE:LINE" of its first line
};

struct Config {
  std::string file;                              ///< as the user named it
  std::vector<std::string> files;                ///< it and what it includes
  std::vector<std::string> include_directories;  ///< in which a pattern may find more of them
  std::vector<std::string> other_files;          ///< not TOML; what is in them counts, too
  std::uint64_t fingerprint = 0;                 ///< of `files`, names and content, as read
  ServerSettings server;
  std::vector<Endpoint> listen;
  dns::PolicySettings policy;
  dns::CacheSettings cache;
  std::vector<nameserver::ForwardSettings> forwards;  ///< same index as policy.forward_names
  DnsLimits limits;
  QueryLogSettings query_log;
  DnstapSettings dnstap;
  std::vector<CertificateSettings> certificates;
  gateway::GatewayLimits gateway_limits;
  std::vector<gateway::ListenerSettings> listeners;
  std::vector<http::RouteSettings> routes;
  /// Of publish_dns, the last of policy.overrides: the indexes of those listeners that serve the
  /// names of each.
  std::vector<std::vector<std::size_t>> publishers;
  /// SNI names that only a client with a leaked ECH record sends.
  std::vector<std::string> ech_public_names{"cloudflare-ech.com"};
};

/// One thing wrong. Line and column count from 1; line 0: the file as a whole.
struct ConfigProblem {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string text;  ///< "what is wrong; what is allowed"
  bool warning = false;

  std::string to_string() const;  ///< "FILE:LINE:COLUMN: text", one line
};

struct ConfigResult {
  Config config;                        ///< to be used only when ok()
  std::vector<ConfigProblem> problems;  ///< by file, line, column; at most kProblemsMax
  std::size_t error_count = 0;          ///< all of them

  bool ok() const { return error_count == 0; }
};

inline constexpr std::size_t kProblemsMax = 500;
inline constexpr std::size_t kConfigBytesMax = 64U << 20;  ///< one file
inline constexpr std::size_t kIncludedFilesMax = 1000;

/// What the configuration depends on besides its files.
struct ConfigSurroundings {
  std::string resolv_conf = "/etc/resolv.conf";  ///< for "." when no forward names it
  /// For "." when that one has none: systemd-resolved puts only its own stub there, and what it
  /// asks here.
  std::string resolved_conf = "/run/systemd/resolve/resolv.conf";
  bool start = false;  ///< look for what only a start depends on: server.user
};

ConfigResult load_config(const std::string& path, const ConfigSurroundings& surroundings = {});

/// The same for text that is in no file: `name` stands for it in problems, relative paths are
/// relative to the directory of `name`.
ConfigResult load_config_text(std::string_view text, const std::string& name,
                              const ConfigSurroundings& surroundings = {});

}  // namespace postern::server
