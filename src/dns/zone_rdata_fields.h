// What the data of each record type consists of: one table for reading text, for checking bytes
// that were given as they are (RFC 3597 section 5) and for comparing records.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "dns/types.h"

namespace postern::dns {

/// One character for each field, as in zone_rdata_fields.cpp. Empty for types that are not in the
/// table: unknown ones, SVCB and HTTPS, and those that are left to ldns.
std::string_view rdata_fields(RrType type);

/// True when `rdata` is made of the fields of its type and nothing more; for types that ldns knows
/// by what ldns says. Anything goes for unknown types.
bool rdata_well_formed(RrType type, Bytes rdata);

/// The same for one type that is left to ldns.
bool ldns_reads(RrType type, Bytes rdata);

/// REQUIRES: well-formed. The same bytes for two records that differ only in the case of names.
std::string comparable_rdata(RrType type, Bytes rdata);

/// REQUIRES: well-formed. What the RFC of the type asks of the values: lengths of digests, ranges.
/// False with a reason in `why`.
bool rdata_values_good(RrType type, Bytes rdata, std::string* why);

}  // namespace postern::dns
