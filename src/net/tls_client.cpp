#include "net/tls_client.h"

#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/address.h"

namespace postern::net {
namespace {

std::string why_untrusted(X509_STORE_CTX* check, const SSL* ssl) {
  const int error = X509_STORE_CTX_get_error(check);
  X509* const certificate = X509_STORE_CTX_get_current_cert(check);
  if (certificate != nullptr &&
      (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH)) {
    return fmt::format("certificate is for {}; wanted {}", fmt::join(names_of(certificate), ", "),
                       notes_of(ssl).name);
  }
  return X509_verify_cert_error_string(error);
}

int note_verdict(int trusted, X509_STORE_CTX* check) {
  if (trusted == 1) return 1;
  const auto* const ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx()));
  notes_of(ssl).untrusted = why_untrusted(check, ssl);
  return 0;
}

// OpenSSL's macro has a cast that is not const.
bool set_sni(SSL* ssl, std::string name) {
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) == 1;
}

}  // namespace

Result<void> ClientContext::prepare(const TlsClientSettings& settings) {
  verify_ = settings.verify;
  context_.reset(SSL_CTX_new(TLS_client_method()));
  if (!context_) return fail(Code::kInvalid, fmt::format("cannot set up TLS: {}", openssl_error()));
  Result<void> prepared = prepare_context(context_.get());
  if (!prepared) return prepared;
  const Result<std::vector<unsigned char>> alpn = alpn_wire(settings.alpn);
  if (!alpn) return tl::unexpected(alpn.error());
  if (!alpn->empty()) {
    SSL_CTX_set_alpn_protos(context_.get(), alpn->data(), static_cast<unsigned int>(alpn->size()));
  }
  if (!verify_) return {};
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, note_verdict);
  ERR_clear_error();
  if (settings.ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(context_.get());
  } else if (SSL_CTX_load_verify_file(context_.get(), settings.ca_file.c_str()) != 1) {
    return fail(Code::kIo, fmt::format("{}: cannot take certificates of authorities from it: {}",
                                       settings.ca_file, openssl_error()));
  }
  return {};
}

Result<void> ClientContext::begin(TlsMemory& memory, const std::string& name) const {
  if (!memory.make(context_.get())) return fail(Code::kIo, "out of memory for a TLS connection");
  SSL* const ssl = memory.ssl();
  const bool is_address = IpAddress::parse(name).has_value();
  X509_VERIFY_PARAM* const check = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(
      check, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  const bool set = is_address ? X509_VERIFY_PARAM_set1_ip_asc(check, name.c_str()) == 1
                              : X509_VERIFY_PARAM_set1_host(check, name.data(), name.size()) == 1 &&
                                    set_sni(ssl, name);
  if (!set) return fail(Code::kInvalid, fmt::format("\"{}\" is not a host's name", name));
  SSL_set_connect_state(ssl);
  return {};
}

Result<std::shared_ptr<const TlsClient>> TlsClient::make(const TlsClientSettings& settings) {
  auto client = std::make_shared<ClientContext>();
  Result<void> prepared = client->prepare(settings);
  if (!prepared) return tl::unexpected(std::move(prepared.error()));
  return client;
}

}  // namespace postern::net
