// What a zone found, written into a reply: RFC 1034 section 4.3.2, RFC 6672 section 3.1 (DNAME),
// RFC 2308 (negative), RFC 9471 (referral glue).
#pragma once

#include <array>
#include <cstdint>

#include "dns/name.h"
#include "dns/override.h"
#include "dns/reply.h"
#include "dns/zone.h"

namespace postern::dns {

/// Adds records and rcode for `match`. When the chain goes on (CNAME, DNAME) its next name is put
/// into `target` and its size returned; else 0. The additional section leaves out hosts that have
/// an override.
std::size_t answer_from_zone(const Zone& zone, const OverrideTable& overrides,
                             const LookupName& name, const ZoneMatch& match, Reply* reply,
                             std::array<std::uint8_t, kNameBytesMax>* target);

}  // namespace postern::dns
