// quic = "refuse": UDP on a TLS port answers QUIC long-header packets of at least 1200 bytes whose
// version is not the reserved one we offer with a Version Negotiation packet (RFC 9000 sections 6
// and 17.2.1; RFC 8999 section 6), so that a browser falls back to TCP at once. Nothing else is
// answered with anything: no amplification, no reply to a Version Negotiation packet.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace postern::gateway {

enum class QuicVerdict : std::uint8_t {
  kIgnore,  ///< not QUIC, too short, a Version Negotiation packet, ids too long
  kRefuse,  ///< the reply was written
};

struct QuicReply {
  QuicVerdict verdict = QuicVerdict::kIgnore;
  std::size_t size = 0;
  /// It offered a version that nobody speaks (RFC 9000 section 15): a probe. Browsers begin with
  /// one that they speak.
  bool probe = false;
};

constexpr std::size_t kQuicDatagramMin = 1200;  ///< RFC 9000 section 14.1

/// Pure. Writes the reply to `out` (at least 600 bytes). `random` makes the unused bits and the
/// reserved version (0x?a?a?a?a, RFC 9000 section 15).
QuicReply refuse_quic(Bytes datagram, std::uint64_t random, MutableBytes out);

}  // namespace postern::gateway
