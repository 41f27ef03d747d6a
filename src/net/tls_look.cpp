#include "net/tls_look.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <system_error>

#include <sys/poll.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "net/socket.h"
#include "net/tls_error.h"
#include "net/tls_openssl.h"

namespace postern::net {
namespace {

constexpr std::size_t kTalkBytesMax = 256U << 10;

using Clock = std::chrono::steady_clock;

class Look {
 public:
  Look(const Endpoint& server, const TlsLookSettings& settings)
      : server_(server),
        settings_(settings),
        end_(Clock::now() + std::chrono::milliseconds(settings.timeout_ms)) {}

  TlsLook run() {
    if (!connect() || !prepare() || !shake_hands()) return std::move(look_);
    look_at_certificate();
    if (settings_.talk != nullptr) talk();
    return std::move(look_);
  }

 private:
  bool give_up(std::string why) {
    look_.error = std::move(why);
    return false;
  }

  bool wait(short events) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end_ - Clock::now()).count();
    pollfd entry{fd_.get(), events, 0};
    look_.timed_out = left <= 0 || ::poll(&entry, 1, static_cast<int>(left)) <= 0;
    return !look_.timed_out;
  }

  bool connect() {
    Result<Fd> fd = start_connect_tcp(server_);
    if (!fd) return give_up(fd.error().detail);
    fd_ = std::move(*fd);
    if (!wait(POLLOUT)) return give_up("no answer in time");
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return give_up(std::generic_category().message(error));
    look_.connected = true;
    return true;
  }

  bool prepare() {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    const auto alpn = alpn_wire(settings_.alpn);
    if (!context_ || !prepare_context(context_.get()) || !alpn) return give_up("cannot set up TLS");
    if (settings_.ca_file.empty()) {
      SSL_CTX_set_default_verify_paths(context_.get());
    } else if (SSL_CTX_load_verify_file(context_.get(), settings_.ca_file.c_str()) != 1) {
      return give_up(fmt::format("{}: {}", settings_.ca_file, openssl_error()));
    }
    ssl_.reset(SSL_new(context_.get()));
    if (!ssl_) return give_up("cannot set up TLS");
    SSL_set_alpn_protos(ssl_.get(), alpn->data(), static_cast<unsigned int>(alpn->size()));
    std::string name = settings_.name;
    SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
    X509_VERIFY_PARAM* const check = SSL_get0_param(ssl_.get());
    X509_VERIFY_PARAM_set_hostflags(
        check, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    X509_VERIFY_PARAM_set1_host(check, name.data(), name.size());
    // The verdict is kept and the handshake goes on.
    SSL_set_verify(ssl_.get(), SSL_VERIFY_NONE, nullptr);
    SSL_set_fd(ssl_.get(), fd_.get());
    return true;
  }

  // Waits for what OpenSSL wants; false: it is over.
  bool wait_for(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        return wait(POLLIN);
      case SSL_ERROR_WANT_WRITE:
        return wait(POLLOUT);
      default:
        return false;
    }
  }

  std::string why_no_handshake() {
    const unsigned long code = ERR_peek_error();
    const int reason = ERR_GET_REASON(code);
    look_.spoke_tls = false;
    if (look_.timed_out) return "nothing came in time";
    if (code == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
      return "the connection was closed within it";
    }
    std::string said = openssl_error();
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_PACKET_LENGTH_TOO_LONG) {
      return fmt::format("what came is not TLS ({})", said);
    }
    look_.spoke_tls = true;
    return said;
  }

  bool shake_hands() {
    for (;;) {
      ERR_clear_error();
      const int result = SSL_connect(ssl_.get());
      if (result == 1) return true;
      if (wait_for(result)) continue;
      return give_up(why_no_handshake());
    }
  }

  void look_at_certificate() {
    const unsigned char* alpn = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &alpn, &size);
    look_.alpn.assign(reinterpret_cast<const char*>(alpn), size);
    X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
    if (certificate == nullptr) return;
    look_.names = names_of(certificate);
    std::tm parts{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) == 1) {
      look_.not_after_s = timegm(&parts);
    }
    const long verdict = SSL_get_verify_result(ssl_.get());
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH) {
      look_.untrusted = fmt::format("it is for {}", fmt::join(look_.names, ", "));
    } else if (verdict != X509_V_OK) {
      look_.untrusted = X509_verify_cert_error_string(verdict);
    }
  }

  bool send(std::string_view text) {
    for (std::size_t sent = 0; !text.empty(); text.remove_prefix(sent)) {
      sent = 0;
      const int result = SSL_write_ex(ssl_.get(), text.data(), text.size(), &sent);
      if (result != 1 && !wait_for(result)) return false;
    }
    return true;
  }

  void talk() {
    std::array<std::uint8_t, 4096> piece{};
    for (std::size_t total = 0; total < kTalkBytesMax;) {
      if (!send(settings_.talk->to_send())) return;
      std::size_t got = 0;
      const int result = SSL_read_ex(ssl_.get(), piece.data(), piece.size(), &got);
      if (result != 1 && !wait_for(result)) return;
      total += got;
      if (got != 0 && !settings_.talk->received(Bytes(piece).first(got))) return;
    }
  }

  const Endpoint& server_;
  const TlsLookSettings& settings_;
  Clock::time_point end_;
  Fd fd_;
  SslCtxPtr context_;
  SslPtr ssl_;
  TlsLook look_;
};

}  // namespace

TlsLook look_at_tls(const Endpoint& server, const TlsLookSettings& settings) {
  return Look(server, settings).run();
}

}  // namespace postern::net
