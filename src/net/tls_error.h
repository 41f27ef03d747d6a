// What went wrong on a TLS connection, in words for people. Private to tls_*.
#pragma once

#include "base/result.h"
#include "net/tls_openssl.h"

namespace postern::net {

struct TlsFailure {
  int reason = 0;        ///< of SSL_get_error()
  int error_number = 0;  ///< of the socket; 0: none
  bool by_server = false;
  bool in_handshake = false;
};

/// Does OpenSSL's error queue say that a client speaks HTTP without TLS?
bool is_plain_http();

/// Reads and empties this thread's error queue.
Error tls_error(const TlsFailure& failure, const TlsNotes& notes);

}  // namespace postern::net
