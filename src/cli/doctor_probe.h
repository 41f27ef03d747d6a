// What `postern doctor` sends: one DNS query, one QUIC packet. Blocking, each no
// longer than its timeout.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "dns/name.h"
#include "dns/types.h"

namespace postern::cli {

/// The address of this machine that a server sees; nullopt: there is no way to it.
std::optional<IpAddress> source_address(const Endpoint& server);

enum class QuicAnswer : std::uint8_t {
  kRefused,  ///< Version Negotiation without a version that is spoken (RFC 9000 section 17.2.1)
  kSpoken,   ///< Version Negotiation with versions: a QUIC server
  kIcmp,     ///< unreachable, or rejected
  kSilence,
  kOther,  ///< something else came back
};

/// The reply, by TCP when that of UDP was cut short; empty when none came.
std::vector<std::uint8_t> ask_dns(const Endpoint& server, dns::NameView name, dns::RrType type,
                                  int timeout_ms);
/// With a version that nobody speaks, in the shape of an Initial of 1200 bytes. What gets lost is
/// sent again, as with DNS.
QuicAnswer probe_quic(const Endpoint& server, int timeout_ms);

}  // namespace postern::cli
