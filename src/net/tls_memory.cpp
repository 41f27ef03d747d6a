#include "net/tls_memory.h"

#include <openssl/crypto.h>

#include "base/recycler.h"
#include "net/tls.h"
#include "net/tls_openssl.h"

namespace postern::net {
namespace {

// The structure of OpenSSL 3.0 has 7.5 KiB. A larger one stays where OpenSSL puts it.
constexpr std::size_t kSslBytesMin = 4U << 10, kSslBytesMax = 8U << 10;

// What this thread is doing to the memory of an SSL object.
struct Lending {
  SparseBlock* to = nullptr;  // inside SSL_new(), which allocates the structure first
  std::size_t bytes = 0;      // taken of it
  void* back = nullptr;       // when OpenSSL frees it: in SSL_free(), or in SSL_new() that failed
};
constinit thread_local Lending lending;

// OpenSSL has a third more than the message; a certificate message may need as much.
constexpr std::size_t kHandshakeBytesMax = 48U << 10;
constinit thread_local HandshakeLimit* limit = nullptr;

void* allocate(std::size_t size, const char*, int) {
  if (size > kHandshakeBytesMax && size != kReadBufferBytes && limit != nullptr) {
    limit->note();
    return nullptr;
  }
  SparseBlock* const block = lending.to;
  if (block == nullptr || size < kSslBytesMin) return take_memory(size);
  lending.to = nullptr;
  if (size > block->size() || block->data() == nullptr) return take_memory(size);
  lending.bytes = size;
  return block->data();
}

void release(void* memory, const char*, int) {
  if (memory == nullptr || memory != lending.back) give_memory(memory);
}

}  // namespace

void recycle_tls_memory() {
  CRYPTO_set_mem_functions(
      allocate,
      [](void* memory, std::size_t size, const char*, int) { return resize_memory(memory, size); },
      release);
}

HandshakeLimit::HandshakeLimit() { limit = this; }

HandshakeLimit::~HandshakeLimit() { limit = nullptr; }

TlsMemory::TlsMemory() : block_(kSslBytesMax) {}

TlsMemory::~TlsMemory() {
  SSL* const made = ssl();
  if (used_ != 0) lending.back = block_.data();
  SSL_free(made);
  lending = {};
}

bool TlsMemory::make(SSL_CTX* context) {
  lending = {.to = &block_, .bytes = 0, .back = block_.data()};
  ssl_ = SSL_new(context);
  used_ = ssl_ == nullptr ? 0 : lending.bytes;
  lending = {};
  return ssl_ != nullptr;
}

void TlsMemory::pack() {
  if (used_ != 0) block_.pack(used_);
}

}  // namespace postern::net
