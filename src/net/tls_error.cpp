#include "net/tls_error.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace postern::net {
namespace {

struct Reason {
  int reason;
  Code code;
  std::string_view words;  // {} is the peer: "client" or "backend"
};

constexpr std::array kReasons{
    Reason{SSL_R_UNSUPPORTED_PROTOCOL, Code::kInvalid,
           "the {} speaks no TLS version of 1.2 or 1.3"},
    Reason{SSL_R_NO_SHARED_CIPHER, Code::kInvalid, "no common cipher with the {}"},
    Reason{SSL_R_NO_SUITABLE_KEY_SHARE, Code::kInvalid, "no common key exchange with the {}"},
    Reason{SSL_R_NO_SHARED_GROUPS, Code::kInvalid, "no common key exchange with the {}"},
    Reason{SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, Code::kInvalid,
           "no common signature algorithm with the {}"},
    Reason{SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, Code::kInvalid,
           "no common signature algorithm with the {}"},
    Reason{SSL_R_NO_APPLICATION_PROTOCOL, Code::kInvalid,
           "no common application protocol with the {} (ALPN)"},
    Reason{SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, Code::kMalformed,
           "the {} sent a record that cannot be decrypted"},
    Reason{SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, Code::kInvalid,
           "the {} found no version, cipher or key exchange in common (handshake failure)"},
    Reason{SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, Code::kInvalid,
           "the {} does not take this version of TLS (protocol version)"},
    Reason{SSL_R_TLSV1_ALERT_UNKNOWN_CA, Code::kInvalid,
           "the {} does not trust the certificate (unknown ca)"},
    Reason{SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, Code::kInvalid,
           "the {} does not trust the certificate (bad certificate)"},
    Reason{SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, Code::kInvalid,
           "the {} does not trust the certificate (certificate unknown)"},
    Reason{SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, Code::kInvalid,
           "the {} does not trust the certificate (certificate expired)"},
    Reason{SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, Code::kInvalid,
           "the {} does not trust the certificate (certificate revoked)"},
    Reason{SSL_R_TLSV1_UNRECOGNIZED_NAME, Code::kInvalid,
           "the {} has no certificate for the name (unrecognized name)"},
    Reason{SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, Code::kInvalid,
           "the {} wants a client certificate"},
    Reason{SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, Code::kInvalid,
           "no common application protocol with the {} (ALPN)"},
};

// What OpenSSL says of bytes that are not TLS, or not the TLS that may come here.
constexpr std::array kMalformedReasons{
    SSL_R_WRONG_VERSION_NUMBER,
    SSL_R_UNKNOWN_PROTOCOL,
    SSL_R_PACKET_LENGTH_TOO_LONG,
    SSL_R_RECORD_LENGTH_MISMATCH,
    SSL_R_RECORD_TOO_SMALL,
    SSL_R_ENCRYPTED_LENGTH_TOO_LONG,
    SSL_R_DATA_LENGTH_TOO_LONG,
    SSL_R_LENGTH_MISMATCH,
    SSL_R_LENGTH_TOO_SHORT,
    SSL_R_LENGTH_TOO_LONG,
    SSL_R_BAD_RECORD_TYPE,
    SSL_R_UNEXPECTED_MESSAGE,
    SSL_R_UNEXPECTED_RECORD,
    SSL_R_BAD_LENGTH,
    SSL_R_BAD_PACKET,
    SSL_R_BAD_EXTENSION,
    SSL_R_EXCESSIVE_MESSAGE_SIZE,
    SSL_R_INVALID_ALERT,
    SSL_R_NO_PROTOCOLS_AVAILABLE,
    SSL_R_NOT_ON_RECORD_BOUNDARY,
    SSL_R_INVALID_CCS_MESSAGE,
    SSL_R_UNKNOWN_ALERT_TYPE,
};

// The queue goes from the cause to what followed from it.
unsigned long take_first_of_ssl() {
  unsigned long found = 0;
  while (const unsigned long code = ERR_get_error()) {
    if (found == 0 || (ERR_GET_LIB(found) != ERR_LIB_SSL && ERR_GET_LIB(code) == ERR_LIB_SSL)) {
      found = code;
    }
  }
  return found;
}

bool is_http(unsigned long code) {
  const int reason = ERR_GET_REASON(code);
  return ERR_GET_LIB(code) == ERR_LIB_SSL &&
         (reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST);
}

Error ssl_error(unsigned long code, const TlsFailure& failure, const TlsNotes& notes) {
  const std::string_view peer = failure.by_server ? "client" : "backend";
  const int reason = ERR_GET_REASON(code);
  if (is_http(code)) {
    return {Code::kMalformed, "plain HTTP sent to the TLS port"};
  }
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    return {Code::kInvalid,
            fmt::format("the {}'s certificate is not trusted: {}", peer, notes.untrusted)};
  }
  const auto* const known = std::find_if(kReasons.begin(), kReasons.end(),
                                         [reason](const Reason& r) { return r.reason == reason; });
  if (known != kReasons.end()) return {known->code, fmt::format(fmt::runtime(known->words), peer)};
  const char* const words = ERR_reason_error_string(code);
  const std::string_view said = words == nullptr ? "unknown error" : words;
  if (reason > SSL_AD_REASON_OFFSET) {
    return {Code::kInvalid, fmt::format("the {} gave up ({})", peer,
                                        SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET))};
  }
  const bool malformed = std::find(kMalformedReasons.begin(), kMalformedReasons.end(), reason) !=
                         kMalformedReasons.end();
  if (malformed && failure.in_handshake) {
    return {Code::kMalformed, fmt::format("what the {} sent is not TLS ({})", peer, said)};
  }
  return {malformed || !failure.in_handshake ? Code::kMalformed : Code::kInvalid,
          fmt::format("TLS with the {} failed: {}", peer, said)};
}

}  // namespace

bool is_plain_http() { return is_http(ERR_peek_error()); }

Error tls_error(const TlsFailure& failure, const TlsNotes& notes) {
  const unsigned long code = take_first_of_ssl();
  if (notes.too_large) {
    return {Code::kLimit, "a message of the client's handshake is too large"};
  }
  if (notes.name_unknown) {
    return {Code::kNotFound, fmt::format("no certificate here is for {}", notes.name)};
  }
  if (failure.reason == SSL_ERROR_SSL && code != 0) return ssl_error(code, failure, notes);
  if (failure.error_number != 0) {
    return {Code::kIo, std::generic_category().message(failure.error_number)};
  }
  return {Code::kIo,
          fmt::format("the {} closed the connection{}", failure.by_server ? "client" : "backend",
                      failure.in_handshake ? " during the handshake" : "")};
}

}  // namespace postern::net
