// An SSL object whose memory is packed between all steps, against one of OpenSSL's own.
#include "net/tls_memory.h"

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include <sys/mman.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>

#include "net/tls.h"
#include "net/tls_make.h"
#include "net/tls_openssl.h"

namespace postern::net {
namespace {

// Before anything else of OpenSSL.
[[maybe_unused]] const bool recycled = [] {
  recycle_tls_memory();
  return true;
}();

bool is_resident(const void* at) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char there = 0;
  const std::uintptr_t start = reinterpret_cast<std::uintptr_t>(at) / page * page;
  REQUIRE(mincore(reinterpret_cast<void*>(start), 1, &there) == 0);
  return (there & 1) != 0;
}

/// A server whose memory is packed at each step, and a client.
class Pair {
 public:
  explicit Pair(int version)
      : server_context(SSL_CTX_new(TLS_server_method())),
        client_context(SSL_CTX_new(TLS_client_method())) {
    const auto made = make_certificate({"a.test"}, 1);
    const std::unique_ptr<BIO, OpensslFree<BIO_free_all>> chain(BIO_new_mem_buf(
        made.value().certificate.data(), static_cast<int>(made.value().certificate.size())));
    const std::unique_ptr<BIO, OpensslFree<BIO_free_all>> key(
        BIO_new_mem_buf(made.value().key.data(), static_cast<int>(made.value().key.size())));
    const X509Ptr certificate(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
    const KeyPtr private_key(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr));
    REQUIRE(SSL_CTX_use_certificate(server_context.get(), certificate.get()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(server_context.get(), private_key.get()) == 1);
    SSL_CTX_set_mode(server_context.get(), SSL_MODE_RELEASE_BUFFERS);
    for (SSL_CTX* context : {server_context.get(), client_context.get()}) {
      SSL_CTX_set_min_proto_version(context, version);
      SSL_CTX_set_max_proto_version(context, version);
    }
    memory = std::make_unique<TlsMemory>();
    REQUIRE(memory->make(server_context.get()));
    client.reset(SSL_new(client_context.get()));
    BIO* ours = nullptr;
    BIO* theirs = nullptr;
    REQUIRE(BIO_new_bio_pair(&ours, 64U << 10, &theirs, 64U << 10) == 1);
    SSL_set_bio(memory->ssl(), ours, ours);
    SSL_set_bio(client.get(), theirs, theirs);
    SSL_set_accept_state(memory->ssl());
    SSL_set_connect_state(client.get());
  }

  void pack() {
    const void* const at = memory->ssl();
    CHECK(is_resident(at));
    memory->pack();
    CHECK_FALSE(is_resident(at));
  }

  void shake_hands() {
    for (int i = 0; i < 10; ++i) {
      const int theirs = SSL_do_handshake(client.get());
      pack();
      const int ours = SSL_do_handshake(memory->ssl());
      pack();
      if (theirs == 1 && ours == 1) return;
    }
    FAIL("no handshake");
  }

  SslCtxPtr server_context, client_context;
  std::unique_ptr<TlsMemory> memory;
  SslPtr client;
};

std::string read_from(SSL* ssl) {
  std::string text(20'000, '\0');
  std::size_t got = 0;
  if (SSL_read_ex(ssl, text.data(), text.size(), &got) != 1) return {};
  text.resize(got);
  return text;
}

TEST_CASE("a handshake and records in both directions, packed between all steps") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    Pair pair(version);
    SSL* const before = pair.memory->ssl();
    pair.shake_hands();
    for (int i = 0; i < 20; ++i) {
      const std::string text(static_cast<std::size_t>(1 + i * 800), static_cast<char>('a' + i));
      std::size_t sent = 0;
      REQUIRE(SSL_write_ex(pair.client.get(), text.data(), text.size(), &sent) == 1);
      CHECK(read_from(pair.memory->ssl()) == text);
      pair.pack();
      REQUIRE(SSL_write_ex(pair.memory->ssl(), text.data(), text.size(), &sent) == 1);
      pair.pack();
      CHECK(read_from(pair.client.get()) == text);
      if (version == TLS1_3_VERSION && i % 5 == 0) {
        SSL_key_update(pair.client.get(), SSL_KEY_UPDATE_REQUESTED);
      }
    }
    CHECK(pair.memory->ssl() == before);
    CHECK(SSL_version(pair.memory->ssl()) == version);
    SSL_shutdown(pair.client.get());
    pair.pack();
    read_from(pair.memory->ssl());
    CHECK((SSL_get_shutdown(pair.memory->ssl()) & SSL_RECEIVED_SHUTDOWN) != 0);
  }
}

TEST_CASE("it is destroyed packed, and before anything was said") {
  for (int i = 0; i < 200; ++i) {
    Pair pair(TLS1_3_VERSION);
    if (i % 2 == 0) pair.memory->pack();
    if (i % 50 == 0) {
      pair.shake_hands();
      pair.memory->pack();
    }
  }
}

}  // namespace
}  // namespace postern::net
