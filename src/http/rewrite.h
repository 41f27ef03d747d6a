// Paths and hosts that leave in another form than they came: the rewrites of a route, redirects
// (Gateway API, HTTPURLRewriteFilter and HTTPRequestRedirectFilter). Pure; text goes to the arena.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/head.h"
#include "http/url.h"

namespace postern::http {

/// rewrite_… of [[gateway.route]] filters; "" leaves things as they are.
struct RewriteSettings {
  std::string host;    ///< Host for the backend, with a port if it is to have one
  std::string prefix;  ///< in place of the elements that path_prefix matched; "/" takes them away
  std::string path;    ///< in place of the whole path
};

/// [[gateway.route]] redirect
struct RedirectSettings {
  std::string scheme;      ///< "http", "https"; "" is the request's
  std::string hostname;    ///< "" is the request's
  std::uint16_t port = 0;  ///< 0: the usual one of `scheme`; without `scheme`, the listener's
  std::string path;        ///< "" is the request's
  std::uint16_t status = 301;
};

/// The target for the backend: path, rewritten or as RequestPath has it, and the query as it came.
/// `prefix_elements` is from the match. Without a change it is the text that was parsed.
std::string_view backend_target(const RequestPath& path, const RewriteSettings& rewrite,
                                std::size_t prefix_elements, TextArena& arena);

/// Where a request was sent to.
struct RequestedPlace {
  bool tls = false;
  std::string_view host;             ///< HostPort::host()
  std::uint16_t listener_port = 80;  ///< the port that clients know the listener by
};

/// Location, always with scheme and host, so that a path "//x" cannot be taken for a host. The port
/// is left out when it is the usual one of the scheme. The query is kept, unless redirect.path
/// brings its own.
std::string_view redirect_location(const RedirectSettings& redirect, const RequestedPlace& place,
                                   const RequestPath& path, TextArena& arena);

}  // namespace postern::http
