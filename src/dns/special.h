// Names that are never sent to a public upstream unless a forward says so: RFC 6761 (localhost,
// invalid, test, private reverse zones), RFC 6303 (locally served zones), RFC 7686 (onion), RFC
// 8375 (home.arpa), RFC 9476 (alt), and the canaries of Firefox and Apple's Private Relay.
#pragma once

#include <cstdint>

#include "dns/suffix_table.h"

namespace postern::dns {

enum class SpecialAnswer : std::uint8_t {
  kLoopback,  ///< localhost: A 127.0.0.1, AAAA ::1, else NODATA
  kNxDomain,
  kEmptyZone,  ///< RFC 6303 section 3: SOA at the apex, NXDOMAIN below
  kNoData,
};

struct SpecialNames {
  SuffixTable<SpecialAnswer> table;
};

struct CanarySettings;

/// A name at or below a configured forward (other than ".") is the forward's.
SpecialNames special_names(const CanarySettings& canary);

}  // namespace postern::dns
