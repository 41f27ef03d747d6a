// A look at a TLS server from outside, for people who want to know why a page does not open: one
// handshake that goes on whatever the certificate is, and one exchange. Blocking: never on a loop's
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"

namespace postern::net {

/// What is said after the handshake.
class TlsTalk {
 public:
  virtual ~TlsTalk() = default;
  /// What is to be sent now, once; "": nothing more before something comes.
  virtual std::string to_send() = 0;
  /// False: it has what it wanted, or never will have.
  virtual bool received(Bytes chunk) = 0;
};

struct TlsLookSettings {
  std::string name;               ///< SNI, and to be in the certificate
  std::vector<std::string> alpn;  ///< offered
  std::string ca_file;            ///< PEM; "": the system's
  TlsTalk* talk = nullptr;        ///< for one request; nullptr: none
  int timeout_ms = 3000;          ///< for all of it
};

struct TlsLook {
  bool connected = false;  ///< TCP
  std::string error;       ///< why there was no handshake; "" there was
  bool spoke_tls = true;   ///< false: what is there closed, was silent, or is no TLS server
  bool timed_out = false;  ///< the time was over before it was done, or the talk was
  std::string untrusted;   ///< why a browser would not trust the certificate; "" it would
  std::string alpn;
  std::vector<std::string> names;
  std::int64_t not_after_s = 0;  ///< UNIX time
};

TlsLook look_at_tls(const Endpoint& server, const TlsLookSettings& settings);

}  // namespace postern::net
