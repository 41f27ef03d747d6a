// One GET / by `postern doctor`, over HTTP/1.1 or HTTP/2. Blocking.
#pragma once

#include <optional>
#include <string>

#include "base/address.h"
#include "net/tls_look.h"

namespace postern::cli {

struct HttpLook {
  std::string status;                  ///< "HTTP/2 200"; "": no answer
  std::string error;                   ///< why there is none, when it is known
  bool timed_out = false;              ///< the server may have been about to answer
  std::optional<std::string> alt_svc;  ///< in lower case; nullopt: no such field
};

/// `settings` without ALPN and talk; `protocol` is "h2" or "http/1.1".
HttpLook get_root(const Endpoint& server, net::TlsLookSettings settings, std::string_view protocol);

}  // namespace postern::cli
