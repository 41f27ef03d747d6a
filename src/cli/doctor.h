// `postern doctor`: asks the running server what a browser would ask it and says what is broken.
// Reads only; a few packets per name. Cold path: blocking sockets with poll().
#pragma once

#include <string>
#include <vector>

namespace postern::cli {

struct DoctorOptions {
  std::string config_file;             ///< "": none, with `server` and `names`
  std::string server;                  ///< Postern, in place of its dns.listen; "": that
  std::vector<std::string> resolvers;  ///< "ADDR" or "ADDR:PORT"
  std::vector<std::string> names;      ///< empty: all of the configuration
  std::string resolv_conf = "/etc/resolv.conf";
  std::string ca_file;  ///< authorities that certificates are checked with; "": the system's
  bool json = false;
  double timeout_s = 2;  ///< of each packet's wait
};

/// The exit status: 0, 1 when something is broken, 2 when an argument or the configuration is
/// wrong.
int doctor(const DoctorOptions& options);

}  // namespace postern::cli
