// A look at a TLS server from outside, for people who want to know why a page does not open: one
// handshake that goes on whatever the certificate is, and one request. Blocking: never on a loop's
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"

namespace postern::net {

struct TlsLookSettings {
  std::string name;               ///< SNI, and to be in the certificate
  std::vector<std::string> alpn;  ///< offered
  std::string ca_file;            ///< PEM; "": the system's
  std::string request;            ///< of HTTP/1.1, sent after the handshake; "": none
  int timeout_ms = 3000;          ///< for all of it
};

struct TlsLook {
  bool connected = false;  ///< TCP
  std::string error;       ///< why there was no handshake; "" there was
  std::string untrusted;   ///< why a browser would not trust the certificate; "" it would
  std::string alpn;
  std::vector<std::string> names;
  std::int64_t not_after_s = 0;  ///< UNIX time
  std::string head;              ///< of the reply, up to its empty line; "" none came
};

TlsLook look_at_tls(const Endpoint& server, const TlsLookSettings& settings);

}  // namespace postern::net
