// Records of a reply as people write them. Cold path.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "dns/types.h"

namespace postern::cli {

/// The answer section, one line each: "gw.home.arpa. 3600 IN A 192.168.10.50". Types that have no
/// simple text come in the form of RFC 3597.
std::vector<std::string> answer_lines(Bytes message);

/// `rdata` has its names written out in full.
std::string rdata_text(dns::RrType type, Bytes rdata);

/// Of its A and AAAA records.
std::vector<IpAddress> answer_addresses(Bytes message);

}  // namespace postern::cli
