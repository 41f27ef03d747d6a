// OpenSSL's way to a socket: like its own socket BIO, but a peer that is gone raises no SIGPIPE,
// the error number is kept, and an event of the loop does a bounded number of reads. Private.
#pragma once

#include <openssl/bio.h>

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
};

/// A BIO on `socket`, which outlives it. nullptr: out of memory.
BIO* make_bio(TlsSocket& socket);

}  // namespace postern::net
