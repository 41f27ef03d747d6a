// Requests that come back: a backend whose name leads to the gateway itself would have it ask
// itself until there are no connections left. What leaves for a port of ours on this machine
// carries a mark, in the field that is made for that (CDN-Loop, RFC 8586); who brings it too often
// is refused.
#pragma once

#include <string_view>

#include "gateway/site.h"
#include "http/head.h"
#include "net/stream.h"

namespace postern::gateway {

inline constexpr std::string_view kLoopField = "cdn-loop";

/// Of this process: "postern-" and random digits.
std::string_view loop_mark();

/// One listener may have another one as its backend; that is not a loop yet.
bool has_looped(const http::Fields& request);

/// Is the other end of a connection a port of a listener, on this machine?
bool leads_here(const Site& site, const net::Stream& connection);

}  // namespace postern::gateway
