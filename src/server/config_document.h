// What the files say, value by value, before references and contradictions are looked at: the step
// between the key tables (config_keys.cpp) and the checks (config_check.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/config.h"
#include "server/config_reader.h"

namespace postern::server {

/// [[dns.forward]] as written: one name may stand for several zones.
struct ForwardEntry {
  std::vector<dns::Name> names;
  std::vector<nameserver::UpstreamSettings> upstreams;
  nameserver::UpstreamPolicy policy = nameserver::UpstreamPolicy::kFastest;
  std::uint32_t timeout_ms = 2000;
};

struct Document {
  Config config;
  std::vector<Element<dns::ViewSettings>> views;
  std::vector<Element<dns::OverrideSettings>> overrides;
  std::vector<Element<dns::ZoneSettings>> zones;
  std::vector<Element<ForwardEntry>> forwards;
  std::vector<Element<CertificateSettings>> certificates;
  std::vector<Element<gateway::ListenerSettings>> listeners;
  std::vector<Element<http::RouteSettings>> routes;
  const Node* include = nullptr;  ///< of the file read last
  const Node* admin = nullptr;
  const Node* admin_token = nullptr;
  const Node* user = nullptr;
  const Node* listen = nullptr;
  const Node* allow = nullptr;
  const Node* cache = nullptr;
};

/// A document with all defaults.
Document default_document();

/// Reads one file's tree into the document. `root` outlives it.
void read_document(Reader& reader, const Node& root, Document& document);

/// Looks for what no single key can know: missing keys, duplicates, dangling references, loops;
/// then moves all into `document.config`.
void finish_document(Reader& reader, Document& document, const ConfigSurroundings& surroundings);

}  // namespace postern::server
