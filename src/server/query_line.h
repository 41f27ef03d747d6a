// One line of the query log. Cold: on the thread that writes it.
#pragma once

#include <fmt/format.h>

#include "base/log.h"
#include "nameserver/query_ring.h"

namespace postern::server {

/// A line for a file: the time, then fields as name=value, or all as a JSON object.
void append_query_line(fmt::memory_buffer& out, LogFormat format,
                       const nameserver::QueryRing::Entry& entry);
/// The same fields as an event "query" of the program's log.
void append_query_event(fmt::memory_buffer& out, const nameserver::QueryRing::Entry& entry);

}  // namespace postern::server
