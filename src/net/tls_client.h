// The context of connections to backends. Private to tls_*.
#pragma once

#include <string>

#include "net/tls.h"
#include "net/tls_memory.h"
#include "net/tls_openssl.h"

namespace postern::net {

class ClientContext final : public TlsClient {
 public:
  Result<void> prepare(const TlsClientSettings& settings);
  /// Makes the SSL of a connection; `name` is a host's name or an address.
  Result<void> begin(TlsMemory& memory, const std::string& name) const;

 private:
  bool verify_ = true;
  SslCtxPtr context_;
};

}  // namespace postern::net
