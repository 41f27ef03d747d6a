// `postern import`: the configuration of another nameserver as one of Postern's.
#pragma once

#include <string>

#include "base/result.h"

namespace postern::cli {

struct ImportOptions {
  std::string kind;  ///< corefile, dnsmasq or hosts
  std::string file;
  std::string zones;  ///< directory for the zone file of domains without names; "": none
};

struct Imported {
  std::string toml;
  std::string notes;  ///< what could not be carried over, "FILE:LINE: text" on one line each
};

/// The empty zone file is written only when it is needed.
Result<Imported> import_configuration(const ImportOptions& options);

/// TOML on standard output, the rest on standard error. The exit status: 0 good, 1 bad input.
int import(const ImportOptions& options);

}  // namespace postern::cli
