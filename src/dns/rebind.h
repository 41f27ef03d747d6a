// Rebinding protection: an address that only means something inside a network has no business in
// an answer about a public name, where it lets a web page reach into the LAN.
#pragma once

#include "base/bytes.h"

namespace postern::dns {

/// `address`: 4 or 16 bytes. True for unspecified, private (RFC 1918), shared (RFC 6598), loopback,
/// link-local and unique local addresses (RFC 4193), the old site-local ones, and for IPv4 ones of
/// these kinds inside IPv6: mapped, compatible, 6to4 (RFC 3056) and behind NAT64 (RFC 6052, RFC
/// 8215).
bool is_private_address(Bytes address);

/// REQUIRES: svcb_well_formed(rdata). Is one of its address hints private?
bool has_private_hint(Bytes rdata);

}  // namespace postern::dns
