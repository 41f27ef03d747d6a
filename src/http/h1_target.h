// The target of a request line in its four forms (RFC 9112 section 3.2).
#pragma once

#include <string_view>

#include "http/head.h"

namespace postern::http::h1 {

/// Takes apart the target of `head->method`: sets path, and scheme and authority when it has them.
/// REQUIRES: `target` is made of visible ASCII, method is set, scheme, authority and path are
/// empty.
/// - "/path?query": any visible ASCII but "#". That is more than RFC 3986 has ("|", "{", "\"):
///   browsers send these as they are.
/// - "http://host/path", https too (RFC 9112 section 3.2.2): the path is "/" when there is none,
/// "*"
///   for OPTIONS without path and query (section 3.2.4).
/// - "*" for OPTIONS only
/// - "host:port" for CONNECT only, and nothing else for it: path is "" then.
/// Returns "", or what is wrong.
std::string_view parse_target(std::string_view target, RequestHead* head);

}  // namespace postern::http::h1
