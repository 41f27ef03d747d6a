// The context of a TLS listener. Private to tls_*.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "net/tls.h"
#include "net/tls_identity.h"
#include "net/tls_memory.h"
#include "net/tls_openssl.h"
#include "net/tls_tickets.h"

namespace postern::net {

class ServerContext final : public TlsServer {
 public:
  ServerContext(std::vector<std::shared_ptr<const CertificatePair>> identities,
                std::vector<unsigned char> alpn, std::shared_ptr<TicketKeys> tickets)
      : identities_(std::move(identities)), alpn_(std::move(alpn)), tickets_(std::move(tickets)) {}
  Result<void> prepare();

  /// Makes the SSL of a connection. False: out of memory.
  bool begin(TlsMemory& memory) const { return memory.make(context_.get()); }

 private:
  const CertificatePair* pick(std::string_view sni) const;
  int greet(SSL* ssl, int* alert) const;
  int agree(const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
            unsigned int offered_size) const;
  void set_callbacks();

  std::vector<std::shared_ptr<const CertificatePair>> identities_;
  std::vector<unsigned char> alpn_;
  std::shared_ptr<TicketKeys> tickets_;
  SslCtxPtr context_;
};

}  // namespace postern::net
