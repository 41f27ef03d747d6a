#include "net/tls_identity.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

namespace postern::net {
namespace {

constexpr std::size_t kPemBytesMax = 1U << 20;
constexpr int kRsaBitsMin = 2048;
constexpr int kCurveBitsMin = 224;

using BioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free>>;

std::int64_t unix_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return timegm(&parts);
}

std::string subject_of(const X509* certificate) {
  std::array<char, 256> text{};
  X509_NAME_oneline(X509_get_subject_name(certificate), text.data(), static_cast<int>(text.size()));
  return text.data();
}

std::string fingerprint_of(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &size);
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  if (file) {
    text.resize(kPemBytesMax + 1);
    errno = 0;
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
  }
  if (!file.eof() && text.empty()) {
    return fail(Code::kIo,
                fmt::format("cannot read {}: {}", path, std::generic_category().message(errno)));
  }
  if (text.size() > kPemBytesMax) {
    return fail(Code::kMalformed, fmt::format("{}: more than 1 MiB, not a PEM file", path));
  }
  return text;
}

BioPtr bio_of(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<std::vector<X509Ptr>> read_chain(const std::string& path) {
  Result<std::string> text = read_file(path);
  if (!text) return tl::unexpected(std::move(text.error()));
  const BioPtr bio = bio_of(*text);
  std::vector<X509Ptr> chain;
  ERR_clear_error();
  while (X509* const certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    chain.emplace_back(certificate);
  }
  const unsigned long why = ERR_peek_last_error();
  const std::string words = openssl_error();
  if (ERR_GET_LIB(why) != ERR_LIB_PEM || ERR_GET_REASON(why) != PEM_R_NO_START_LINE) {
    return fail(Code::kMalformed,
                fmt::format("{}: certificate {} is damaged: {}", path, chain.size() + 1, words));
  }
  if (chain.empty()) {
    return fail(Code::kMalformed,
                fmt::format("{}: no certificate in it; wanted PEM, \"BEGIN CERTIFICATE\"", path));
  }
  return chain;
}

// Never asks at a terminal: notes that it was asked.
int refuse_password(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

KeyPtr parse_key(const std::string& text, bool& encrypted) {
  const BioPtr bio = bio_of(text);
  return KeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_password, &encrypted));
}

void wipe(std::string& text) { OPENSSL_cleanse(&text[0], text.size()); }

Result<KeyPtr> read_key(const std::string& path) {
  Result<std::string> text = read_file(path);
  if (!text) return tl::unexpected(std::move(text.error()));
  bool encrypted = false;
  ERR_clear_error();
  KeyPtr key = parse_key(*text, encrypted);
  const bool has_key = text->find("PRIVATE KEY-----") != std::string::npos;
  wipe(*text);
  const std::string words = openssl_error();
  if (key) return key;
  if (encrypted) {
    return fail(Code::kInvalid,
                fmt::format("{}: the key is encrypted with a password; take the password off: "
                            "openssl pkey -in {} -out NEW_FILE",
                            path, path));
  }
  if (!has_key) {
    return fail(Code::kMalformed,
                fmt::format("{}: no key in it; wanted PEM, \"BEGIN PRIVATE KEY\"", path));
  }
  return fail(Code::kMalformed, fmt::format("{}: the key is damaged: {}", path, words));
}

Result<void> check_pair(const std::vector<X509Ptr>& chain, EVP_PKEY* key,
                        const std::string& cert_file, const std::string& key_file) {
  const auto owner = std::find_if(chain.begin(), chain.end(), [key](const X509Ptr& certificate) {
    return X509_check_private_key(certificate.get(), key) == 1;
  });
  ERR_clear_error();
  if (owner == chain.begin()) return {};
  if (owner != chain.end()) {
    return fail(Code::kInvalid,
                fmt::format("{}: the order is wrong: the certificate of {} has to come first, "
                            "then those that issued it",
                            cert_file, subject_of(owner->get())));
  }
  return fail(Code::kInvalid,
              fmt::format("{}: is not the key of the certificate in {}", key_file, cert_file));
}

Result<void> check_strength(EVP_PKEY* key, const std::string& key_file) {
  const int bits = EVP_PKEY_get_bits(key);
  const int type = EVP_PKEY_get_base_id(key);
  const bool rsa = type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS;
  if (rsa && bits < kRsaBitsMin) {
    return fail(Code::kInvalid,
                fmt::format("{}: an RSA key of {} bits is too weak; {} or more, or ECDSA P-256",
                            key_file, bits, kRsaBitsMin));
  }
  const bool edwards = type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448;
  if (!rsa && !edwards && (type != EVP_PKEY_EC || bits < kCurveBitsMin)) {
    return fail(Code::kInvalid,
                fmt::format("{}: this kind of key is too weak or unknown to TLS clients; use ECDSA "
                            "P-256 or RSA",
                            key_file));
  }
  return {};
}

bool covers_name(std::string_view name, std::string_view host) {
  if (!name.starts_with("*.")) return name == host;
  const std::size_t dot = host.find('.');
  return dot != std::string_view::npos && dot > 0 && host.substr(dot) == name.substr(1);
}

}  // namespace

CertificatePair::CertificatePair(std::vector<X509Ptr> chain, KeyPtr key)
    : chain_(std::move(chain)),
      issuers_(sk_X509_new_null()),
      key_(std::move(key)),
      names_(names_of(chain_.front().get())),
      not_before_s_(unix_time(X509_get0_notBefore(chain_.front().get()))),
      not_after_s_(unix_time(X509_get0_notAfter(chain_.front().get()))),
      fingerprint_(fingerprint_of(chain_.front().get())) {
  for (std::size_t i = 1; i < chain_.size(); ++i) {
    sk_X509_push(issuers_.get(), chain_[i].get());
    const std::int64_t end_s = unix_time(X509_get0_notAfter(chain_[i].get()));
    if (first_issuer_.not_after_s != 0 && end_s >= first_issuer_.not_after_s) continue;
    first_issuer_ = {subject_of(chain_[i].get()), end_s};
  }
}

Result<void> CertificatePair::give_to(SSL_CTX* context) const {
  ERR_clear_error();
  if (SSL_CTX_use_cert_and_key(context, chain_.front().get(), key_.get(), issuers_.get(), 1) == 1) {
    return {};
  }
  return fail(Code::kInvalid, fmt::format("the certificate of {} cannot be used: {}",
                                          subject_of(chain_.front().get()), openssl_error()));
}

bool CertificatePair::give_to(SSL* ssl) const {
  return SSL_use_cert_and_key(ssl, chain_.front().get(), key_.get(), issuers_.get(), 1) == 1;
}

Result<std::shared_ptr<const TlsIdentity>> TlsIdentity::load(const std::string& cert_file,
                                                             const std::string& key_file) {
  Result<std::vector<X509Ptr>> chain = read_chain(cert_file);
  if (!chain) return tl::unexpected(std::move(chain.error()));
  Result<KeyPtr> key = read_key(key_file);
  if (!key) return tl::unexpected(std::move(key.error()));
  Result<void> checked = check_pair(*chain, key->get(), cert_file, key_file);
  if (checked) checked = check_strength(key->get(), key_file);
  if (!checked) return tl::unexpected(std::move(checked.error()));
  auto identity = std::make_shared<const CertificatePair>(std::move(*chain), std::move(*key));
  if (identity->names().empty()) {
    return fail(Code::kInvalid,
                fmt::format("{}: names no host in subjectAltName, and browsers do not look at the "
                            "common name; have it issued with subjectAltName",
                            cert_file));
  }
  return identity;
}

bool covers(const std::vector<std::string>& names, std::string_view host) {
  return std::any_of(names.begin(), names.end(),
                     [host](const std::string& name) { return covers_name(name, host); });
}

}  // namespace postern::net
