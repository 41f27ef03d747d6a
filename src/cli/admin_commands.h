// `postern status`, `log`, `reload` and `cache`: what a person asks of the running server.
#pragma once

#include <cstdint>
#include <string>

#include "cli/admin_client.h"

namespace postern::cli {

struct StatusOptions {
  AdminOptions where;
  bool json = false;
};

struct LogOptions {
  AdminOptions where;
  std::string kind, text, type, status, client;  ///< filters; "": all
  std::uint64_t lines = 0;                       ///< then it ends; 0: never
  bool json = false;
};

struct CacheOptions {
  AdminOptions where;
  std::string name;  ///< "": all
  bool json = false;
};

/// The exit status of all of them: 0, 1 when it cannot be done or there is something to be done
/// about the server, 2 for wrong use.
int status(const StatusOptions& options);
int follow_log(const LogOptions& options);
int reload(const AdminOptions& where);
int flush_cache(const CacheOptions& options);
int show_cache(const CacheOptions& options);

}  // namespace postern::cli
