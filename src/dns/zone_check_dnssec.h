// What named-checkzone says about DNSSEC records that are already in the file, and about SPF.
// Nothing is validated: no signature is computed.
#pragma once

#include "dns/name.h"
#include "dns/zone_check.h"
#include "dns/zone_problems.h"

namespace postern::dns {

void check_dnssec_records(NameView owner, NameView apex, PlacedRecords records,
                          ZoneProblems* problems);

}  // namespace postern::dns
