// Owners of OpenSSL's objects and what the contexts of both sides have in common. Private to tls_*.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/result.h"
#include "net/tls_socket.h"

namespace postern::net {

template <auto Free>
struct OpensslFree {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

inline constexpr std::size_t kReadBufferBytes = 64U << 10;  ///< one recv fetches up to four records

using SslPtr = std::unique_ptr<SSL, OpensslFree<SSL_free>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;
using X509Ptr = std::unique_ptr<X509, OpensslFree<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;

/// What OpenSSL's callbacks find out during a handshake.
struct TlsNotes {
  std::string name;           ///< SNI as it was sent
  std::string untrusted;      ///< why the peer's certificate is not trusted
  bool name_unknown = false;  ///< the SNI is none of our names
  bool too_large = false;     ///< see HandshakeLimit
};

/// By way of the stream's BIO: application data of its own would cost each connection 100 bytes.
inline TlsNotes& notes_of(const SSL* ssl) {
  return *static_cast<const TlsSocket*>(BIO_get_data(SSL_get_rbio(ssl)))->notes;
}

/// Versions, ciphers, groups and modes; REQUIRES: a context that was just made.
Result<void> prepare_context(SSL_CTX* context);

/// In the wire form of ALPN (RFC 7301 section 3.1). Errors: a name that is empty or too long.
Result<std::vector<unsigned char>> alpn_wire(const std::vector<std::string>& names);

/// The first entry of this thread's error queue in OpenSSL's words; empties the queue.
std::string openssl_error();

/// subjectAltName: DNS names and addresses as text, lower case, in the order of the certificate.
std::vector<std::string> names_of(X509* certificate);

std::string lower_case(std::string_view text);

}  // namespace postern::net
