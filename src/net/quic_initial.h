// The first packets of a QUIC client, opened as anyone on its way may (RFC 9001 section 5.2, RFC
// 9369 section 3.3.1): for the log, which then names what the client wanted. Costs some ten
// microseconds for each: for packets that are logged only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace postern::net {

/// The ClientHello of one connection as it comes together from the client's Initial packets of
/// version 1 or 2: in pieces, in any order, over one datagram or several. At most 5 KB.
class QuicHello {
 public:
  /// Takes what the datagram has of it; one of another connection begins anew. False: it cannot be
  /// read (another version, not authentic), and nothing is changed.
  bool add(Bytes datagram);

  /// The server name in lower case; "" when none is known yet.
  std::string server_name() const;
  /// All of it is here: no more datagrams bring a name.
  bool complete() const;

 private:
  void read_frames(Bytes frames);
  void add_piece(std::uint64_t offset, Bytes piece);
  bool is_known(std::size_t at, std::size_t size) const;

  std::vector<std::uint8_t> destination_;  // the id that the client made up for the server
  std::vector<std::uint8_t> bytes_;
  std::vector<bool> known_;  // of these
};

/// The server name, if it is in this datagram; else "".
std::string quic_server_name(Bytes datagram);

}  // namespace postern::net
