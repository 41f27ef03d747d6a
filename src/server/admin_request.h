// What a request to the admin address asks for, and whether its sender may: the head taken apart,
// the bearer token, and the checks that keep other sites in a person's browser away (DNS
// rebinding, cross-site POST). Pure; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/result.h"

namespace postern::server {

/// A request without its body (RFC 9112 section 3).
struct AdminRequest {
  std::string method;
  std::string path;   ///< without query
  std::string query;  ///< as it was sent, without "?"
  // Fields, "" when not sent.
  std::string host, origin, fetch_site, authorization;
  IpAddress peer;

  /// The decoded value of a query parameter; the first one, when it is there several times.
  std::optional<std::string> parameter(std::string_view name) const;
};

/// `head` ends before the empty line. Malformed: not a request of HTTP/1.x.
Result<AdminRequest> parse_admin_request(std::string_view head);

/// Everything but metrics and health: who may have it.
enum class AdminAccess : std::uint8_t {
  kGranted,
  kTokenWanted,  ///< 401
  kLocalOnly,    ///< 403: no token is configured, and the client is on another machine
  kForeignHost,  ///< 403: Host is a name that anybody could point here (DNS rebinding)
  kCrossSite,    ///< 403: a POST from a page of another site
};

/// `token` is that of the configuration, "" for none. With one, it is what counts: as bearer (RFC
/// 6750) or as the password of Basic authentication (RFC 7617), which browsers ask for. Without
/// one, clients on this machine are served that came by an address or localhost.
AdminAccess admin_access(const AdminRequest& request, std::string_view token);

/// In the time that the longer one takes, wherever they differ.
bool equal_secrets(std::string_view a, std::string_view b);

}  // namespace postern::server
