// An SSL object that costs little while its connection is idle. OpenSSL's structure is 7.5 KiB, of
// which a good part is not used between records: pack() keeps what is not zero. Private to tls_*.
#pragma once

#include <cstddef>

#include <openssl/ssl.h>

#include "base/sparse_block.h"

namespace postern::net {

/// While it lives, OpenSSL gets no more than 48 KiB at a time from this thread, but for 64 KiB, its
/// read buffer. A message of 36 KiB fits, for which it takes a third more: a client may announce a
/// ClientHello of 128 KiB, for which it would take 172 KiB at once.
class HandshakeLimit {
 public:
  HandshakeLimit();
  ~HandshakeLimit();
  HandshakeLimit(const HandshakeLimit&) = delete;
  HandshakeLimit& operator=(const HandshakeLimit&) = delete;

  void note() { was_hit_ = true; }
  bool was_hit() const { return was_hit_; }

 private:
  bool was_hit_ = false;
};

class TlsMemory {
 public:
  TlsMemory();
  ~TlsMemory();
  TlsMemory(const TlsMemory&) = delete;
  TlsMemory& operator=(const TlsMemory&) = delete;

  /// SSL_new(), once. False: out of memory. Only after recycle_tls_memory() it can be packed.
  bool make(SSL_CTX* context);

  /// To be used before the next pack(); nullptr before make().
  SSL* ssl() const {
    if (block_.is_packed()) block_.unpack();
    return ssl_;
  }
  void pack();

 private:
  mutable SparseBlock block_;  // that it is packed is seen by nobody
  std::size_t used_ = 0;       // of it; 0: the structure is elsewhere
  SSL* ssl_ = nullptr;
};

}  // namespace postern::net
