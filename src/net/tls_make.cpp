#include "net/tls_make.h"

#include <array>
#include <cstdint>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/address.h"
#include "net/tls_openssl.h"

namespace postern::net {
namespace {

using BioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free_all>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpensslFree<X509_EXTENSION_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;

constexpr long kHourS = 3600;
constexpr long kDayS = 24 * kHourS;

struct Pair {
  X509Ptr certificate;
  KeyPtr key;
};

/// An extension as openssl.cnf writes it.
struct Extension {
  int nid;
  std::string value;
};

// RFC 5280 section 4.1.2.2: positive, unique, 20 octets at most.
bool set_random_serial(X509* certificate) {
  std::array<std::uint8_t, 16> bytes{};
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) return false;
  bytes[0] = static_cast<std::uint8_t>((bytes[0] & 0x3fU) | 0x40U);
  const NumberPtr number(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
  return number != nullptr &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

// A common name has 64 characters at most (ub-common-name); nobody reads more of it than that.
bool set_subject(X509* certificate, const std::string& whole) {
  const std::string name = whole.substr(0, 64);
  X509_NAME* subject = X509_get_subject_name(certificate);
  const auto* text = reinterpret_cast<const unsigned char*>(name.data());
  return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, text,
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

bool add_extensions(X509* certificate, X509* issuer, const std::vector<Extension>& extensions) {
  X509V3_CTX context{};
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const Extension& extension : extensions) {
    const ExtensionPtr made(
        X509V3_EXT_conf_nid(nullptr, &context, extension.nid, extension.value.c_str()));
    if (made == nullptr || X509_add_ext(certificate, made.get(), -1) != 1) return false;
  }
  return true;
}

// Signed by `issuer`, by itself without one.
bool make_pair(const std::string& subject, const std::vector<Extension>& extensions, unsigned days,
               const Pair* issuer, Pair* made) {
  made->certificate.reset(X509_new());
  made->key.reset(EVP_EC_gen("P-256"));
  X509* certificate = made->certificate.get();
  if (certificate == nullptr || made->key == nullptr) return false;
  const Pair& signer = issuer == nullptr ? *made : *issuer;
  return X509_set_version(certificate, X509_VERSION_3) == 1 && set_random_serial(certificate) &&
         X509_gmtime_adj(X509_getm_notBefore(certificate), -kHourS) != nullptr &&
         X509_gmtime_adj(X509_getm_notAfter(certificate), static_cast<long>(days) * kDayS) !=
             nullptr &&
         X509_set_pubkey(certificate, made->key.get()) == 1 && set_subject(certificate, subject) &&
         X509_set_issuer_name(certificate, X509_get_subject_name(signer.certificate.get())) == 1 &&
         add_extensions(certificate, signer.certificate.get(), extensions) &&
         X509_sign(certificate, signer.key.get(), EVP_sha256()) > 0;
}

std::string text_of(BIO* bio) {
  const char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), certificate) != 1) return {};
  return text_of(bio.get());
}

std::string pem_of(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  if (bio == nullptr ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return {};
  }
  return text_of(bio.get());
}

std::string alternative_names(const std::vector<std::string>& names) {
  std::vector<std::string> entries;
  entries.reserve(names.size());
  for (const std::string& name : names) {
    entries.push_back((IpAddress::parse(name) ? "IP:" : "DNS:") + name);
  }
  return fmt::format("{}", fmt::join(entries, ","));
}

}  // namespace

Result<MadeCertificate> make_certificate(const std::vector<std::string>& names, unsigned days) {
  // The key identifiers are made from the key, and the second from what the issuer has.
  const std::vector<Extension> for_authority{{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                             {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                             {NID_subject_key_identifier, "hash"}};
  const std::vector<Extension> for_server{{NID_basic_constraints, "critical,CA:FALSE"},
                                          {NID_key_usage, "critical,digitalSignature"},
                                          {NID_ext_key_usage, "serverAuth"},
                                          {NID_subject_key_identifier, "hash"},
                                          {NID_authority_key_identifier, "keyid:always"},
                                          {NID_subject_alt_name, alternative_names(names)}};
  Pair authority;
  Pair server;
  MadeCertificate made;
  if (make_pair(fmt::format("Postern, only for {}", names.front()), for_authority, days, nullptr,
                &authority) &&
      make_pair(names.front(), for_server, days, &authority, &server)) {
    made.authority = pem_of(authority.certificate.get());
    made.certificate = pem_of(server.certificate.get()) + made.authority;
    made.key = pem_of(server.key.get());
  }
  if (made.authority.empty() || made.key.empty()) {
    return fail(Code::kIo, fmt::format("cannot make a certificate: {}", openssl_error()));
  }
  return made;
}

}  // namespace postern::net
