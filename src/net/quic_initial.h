// The first packet of a QUIC client, opened as anyone on its way may (RFC 9001 section 5.2, RFC
// 9369 section 3.3.1): for the log, which then names what the client wanted. Costs some ten
// microseconds: for packets that are logged only.
#pragma once

#include <string>

#include "base/bytes.h"

namespace postern::net {

/// The server name of the ClientHello in a client's Initial packet of version 1 or 2, in lower
/// case.
/// "" when it cannot be read: another version, not authentic, or the name is in a later packet.
std::string quic_server_name(Bytes datagram);

}  // namespace postern::net
