// What a TlsServer needs of an identity on top of its contract. Private to tls_*.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/tls.h"
#include "net/tls_openssl.h"

namespace postern::net {

class CertificatePair final : public TlsIdentity {
 public:
  CertificatePair(std::vector<X509Ptr> chain, KeyPtr key);

  const std::vector<std::string>& names() const override { return names_; }
  std::int64_t not_before_s() const override { return not_before_s_; }
  std::int64_t not_after_s() const override { return not_after_s_; }
  const Issuer& first_issuer_to_end() const override { return first_issuer_; }
  const std::string& fingerprint() const override { return fingerprint_; }

  /// Makes `context` use it. Errors in OpenSSL's words.
  Result<void> give_to(SSL_CTX* context) const;
  bool give_to(SSL* ssl) const;

 private:
  struct Stack {
    void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
  };

  std::vector<X509Ptr> chain_;                      // the leaf first
  std::unique_ptr<STACK_OF(X509), Stack> issuers_;  // of chain_, without the leaf
  KeyPtr key_;
  std::vector<std::string> names_;
  std::int64_t not_before_s_ = 0, not_after_s_ = 0;
  Issuer first_issuer_;
  std::string fingerprint_;
};

}  // namespace postern::net
