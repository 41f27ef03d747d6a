// dnstap (dnstap.info): what was asked and answered as protocol buffers, in Frame Streams. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "nameserver/query_ring.h"

namespace postern::server {

/// Dnstap.Message.Type
enum class DnstapType : std::uint8_t {
  kClientQuery = 5,
  kClientResponse = 6,
  kForwarderQuery = 7,
  kForwarderResponse = 8,
};

/// Appends one data frame. The time of a response is that of the query and what it took.
void append_dnstap(std::string* out, DnstapType type, const nameserver::QueryRing::Entry& entry,
                   std::string_view identity, std::string_view version);

}  // namespace postern::server
