#include "net/tls_server.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include <fmt/format.h>
#include <openssl/err.h>

#include "base/address.h"
#include "base/bytes.h"

namespace postern::net {
namespace {

constexpr std::uint64_t kTicketLifetimeMaxS = 604800;  // a week (RFC 8446 section 4.6.1)
constexpr std::size_t kNameOffset = 5;  // a list's size, a type, a name's size (RFC 6066 section 3)

// The context's own pointer back, given to every callback of OpenSSL.
const ServerContext* owner_of(SSL* ssl) {
  return static_cast<const ServerContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

// OpenSSL itself refuses what is malformed, when it parses the extensions afterwards.
std::string sni_of(SSL* ssl) {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) != 1) return {};
  if (size < kNameOffset || data[2] != TLSEXT_NAMETYPE_host_name) return {};
  const std::size_t name_size = load_u16(data + 3);
  if (name_size > size - kNameOffset) return {};
  return {reinterpret_cast<const char*>(data) + kNameOffset, name_size};
}

// A session is taken up again only for the same certificate and the same name, in whichever
// context: OpenSSL compares this with what is in the ticket.
bool bind_sessions(SSL* ssl, const CertificatePair& identity, std::string_view host) {
  const std::string bound = fmt::format("{} {}", identity.fingerprint(), host);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  return EVP_Digest(bound.data(), bound.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1 &&
         SSL_set_session_id_context(ssl, digest.data(), size) == 1;
}

bool has_exactly(const CertificatePair& identity, std::string_view host) {
  const auto& names = identity.names();
  return std::find(names.begin(), names.end(), host) != names.end();
}

// The name has been looked at; this only has the server confirm it (RFC 6066 section 3).
int confirm_name(SSL* ssl, int*, void*) {
  return notes_of(ssl).name.empty() ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_OK;
}

}  // namespace

const CertificatePair* ServerContext::pick(std::string_view sni) const {
  if (sni.empty()) return identities_.front().get();
  std::string host = lower_case(sni);
  const Result<IpAddress> address = IpAddress::parse(host);
  if (address) host = address->to_string();
  for (const auto& identity : identities_) {
    if (has_exactly(*identity, host)) return identity.get();
  }
  if (address) return identities_.front().get();  // RFC 6066 knows no addresses: as without SNI
  for (const auto& identity : identities_) {
    if (covers(identity->names(), host)) return identity.get();
  }
  return nullptr;
}

int ServerContext::greet(SSL* ssl, int* alert) const {
  TlsNotes& notes = notes_of(ssl);
  notes.name = sni_of(ssl);
  const CertificatePair* const identity = pick(notes.name);
  if (identity == nullptr) {
    notes.name_unknown = true;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
  }
  const bool ready = (identity == identities_.front().get() || identity->give_to(ssl)) &&
                     bind_sessions(ssl, *identity, lower_case(notes.name));
  if (ready) return SSL_CLIENT_HELLO_SUCCESS;
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_CLIENT_HELLO_ERROR;
}

int ServerContext::agree(const unsigned char** out, unsigned char* out_size,
                         const unsigned char* offered, unsigned int offered_size) const {
  if (alpn_.empty()) return SSL_TLSEXT_ERR_NOACK;
  unsigned char* chosen = nullptr;
  const int result =
      SSL_select_next_proto(&chosen, out_size, alpn_.data(),
                            static_cast<unsigned int>(alpn_.size()), offered, offered_size);
  *out = chosen;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

void ServerContext::set_callbacks() {
  SSL_CTX* const context = context_.get();
  SSL_CTX_set_app_data(context, this);
  SSL_CTX_set_client_hello_cb(
      context, [](SSL* ssl, int* alert, void*) { return owner_of(ssl)->greet(ssl, alert); },
      nullptr);
  SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                        reinterpret_cast<void (*)()>(confirm_name));
  SSL_CTX_set_alpn_select_cb(
      context,
      [](SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
         unsigned int size, void*) { return owner_of(ssl)->agree(out, out_size, offered, size); },
      nullptr);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(
      context, [](SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                  EVP_MAC_CTX* mac, int encrypting) {
        return use_ticket_key(*owner_of(ssl)->tickets_, name, iv, cipher, mac, encrypting == 1);
      });
}

Result<void> ServerContext::prepare() {
  context_.reset(SSL_CTX_new(TLS_server_method()));
  if (!context_) return fail(Code::kInvalid, fmt::format("cannot set up TLS: {}", openssl_error()));
  Result<void> prepared = prepare_context(context_.get());
  if (prepared) prepared = identities_.front()->give_to(context_.get());
  if (!prepared) return prepared;
  // The others are tried now, so that no handshake finds out that OpenSSL refuses one.
  for (const auto& identity : identities_) {
    const SslCtxPtr trial(SSL_CTX_new(TLS_server_method()));
    prepared = identity->give_to(trial.get());
    if (!prepared) return prepared;
  }
  SSL_CTX_set_num_tickets(context_.get(), 1);
  SSL_CTX_set_timeout(context_.get(),
                      static_cast<long>(std::min(2 * tickets_->rotate_s(), kTicketLifetimeMaxS)));
  set_callbacks();
  return {};
}

Result<std::shared_ptr<const TlsServer>> TlsServer::make(const TlsServerSettings& settings,
                                                         std::shared_ptr<TlsTickets> tickets) {
  assert(!settings.identities.empty() && tickets);
  Result<std::vector<unsigned char>> alpn = alpn_wire(settings.alpn);
  if (!alpn) return tl::unexpected(std::move(alpn.error()));
  std::vector<std::shared_ptr<const CertificatePair>> identities;
  for (const auto& identity : settings.identities) {
    identities.push_back(std::static_pointer_cast<const CertificatePair>(identity));
  }
  auto server =
      std::make_shared<ServerContext>(std::move(identities), std::move(*alpn),
                                      std::static_pointer_cast<TicketKeys>(std::move(tickets)));
  Result<void> prepared = server->prepare();
  if (!prepared) return tl::unexpected(std::move(prepared.error()));
  return server;
}

}  // namespace postern::net
