// OpenSSL's way to a socket: like its own socket BIO, but a peer that is gone raises no SIGPIPE,
// the error number is kept, an event of the loop does a bounded number of reads, and several
// records leave in one system call. Private.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <openssl/bio.h>

#include "base/bytes.h"

namespace postern::net {

class Poll;
struct TlsNotes;

struct TlsSocket {
  int fd = -1;
  Poll* poll = nullptr;       ///< which is told what is drained
  TlsNotes* notes = nullptr;  ///< what callbacks of OpenSSL have to say to the stream
  int reads_left = 0;         ///< until the socket is taken to be empty
  int error_number = 0;       ///< of the read or write that failed
  bool starved = false;       ///< OpenSSL wanted to read and there was nothing
  bool ended = false;         ///< the peer has closed its side

  /// While this is not empty, records are put here, and leave with send_batch().
  MutableBytes batch;
  std::size_t batched = 0;  ///< of it
  /// Records that the socket did not take: before anything else.
  std::vector<std::uint8_t> sealed;

  /// False: some of it is in `sealed` now; error_number is set when it will not leave from there.
  bool send_batch();
  /// The same for what was left before.
  bool send_sealed();
};

/// A BIO on `socket`, which outlives it. nullptr: out of memory.
BIO* make_bio(TlsSocket& socket);

}  // namespace postern::net
