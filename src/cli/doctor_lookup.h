// What a name leads to, asked as a client would: along CNAMEs, by TCP when UDP was too small.
// Blocking.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"
#include "dns/name.h"
#include "dns/types.h"

namespace postern::cli {

constexpr int kChainMax = 8;  ///< questions; a server that resolves needs one

struct DnsLook {
  std::vector<std::uint8_t> reply;  ///< the last one; empty: none came
  std::vector<std::string> chain;   ///< targets of CNAMEs, in their order

  bool came() const { return !reply.empty(); }
  unsigned rcode() const;
};

DnsLook look_up(const Endpoint& server, const dns::Name& name, dns::RrType type, int timeout_ms);

}  // namespace postern::cli
