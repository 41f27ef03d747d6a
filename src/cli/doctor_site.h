// What `postern doctor` finds where a name leads: TCP, certificate, ALPN, HTTP, Alt-Svc, QUIC.
// Blocking.
#pragma once

#include <string>

#include "cli/doctor_report.h"
#include "gateway/settings.h"

namespace postern::cli {

struct Site {
  std::string name;
  Endpoint address;
  /// nullptr: it is another program's, or another machine's, and it need not be a web site at all.
  const gateway::ListenerSettings* listener = nullptr;
  bool is_asked_for = false;  ///< somebody wants the page there, whosever server it is
  bool is_local = false;      ///< an address of this machine: no firewall is on the way
};

struct LookSettings {
  std::string ca_file;
  int timeout_ms = 2000;
};

void look_at_site(const Site& site, const LookSettings& settings, Report* report);

}  // namespace postern::cli
