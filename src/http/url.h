// URLs as the gateway meets them: authorities and paths of requests, backends in the configuration
// (RFC 3986; RFC 9110 section 4.2). Pure, any thread. A parse that succeeds allocates nothing,
// unless a path has to be changed or the host is an IPv6 address.
//
// One form of a path is both matched and sent on. A prefix that guards something is worth nothing
// when the backend takes the same request for another path, so:
//  - Dot segments are removed first (RFC 3986 section 5.2.4), "%2e" among them, and what is left is
//    what the backend gets. All other bytes stay as the client wrote them.
//  - Routes see that path percent-decoded, "%61dmin" as "admin", since the backend decodes too.
//    "%2F" and "%25" stay encoded: the first is a byte of its segment and never a separator, and
//    the second would make "%252F" look like "%2F".
//  - A segment that only some readers take for a dot segment is refused: "..%2Fx" and "..%5Cx"
//    (servers that decode before they split), "..;x" (servers that cut path parameters first).
//  - "//" stays "//": RFC 3986 has no rule that drops empty segments, and none that ends a segment
//    at ";" or at "%2F". A backend that does so all the same takes "//admin", "/admin;x" and
//    "/admin%2Fx" for what a route called "/admin" did not match: who guards a path of such a
//    backend has to let pass what is allowed and not to keep out what is not.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace postern::http {

/// Host and port as routes are looked for with them: made from what http/authority.h takes,
/// stricter and in one form.
struct HostPort {
  static constexpr std::size_t kHostBytesMax = 253;

  std::array<char, kHostBytesMax> text;  // of host()
  std::uint8_t size = 0;
  std::uint16_t port = 0;   ///< 0: none was given
  bool is_address = false;  ///< IPv4, or IPv6 in brackets

  /// In lower case and without a dot at the end: "argocd.example", "192.0.2.1", "[2001:db8::1]".
  std::string_view host() const { return {text.data(), size}; }
};

/// "host", "host:port", "host:". No user, no percent-encoding, no empty host (RFC 9110 sections
/// 4.2.1, 4.2.4); names are letters, digits, "-" and "_". Errors have no detail.
Result<HostPort> parse_host_port(std::string_view text);

enum class BackendScheme : std::uint8_t { kHttp, kHttps, kH2c };

/// Where a backend listens. No path: what the backend gets is said by the filters of the route.
struct BackendUrl {
  BackendScheme scheme = BackendScheme::kHttp;
  std::string host;  ///< a name in lower case, or an address; IPv6 without brackets
  std::uint16_t port = 80;
  bool is_address = false;

  /// "http://host:port", IPv6 in brackets, the port always there.
  std::string to_string() const;

  friend bool operator==(const BackendUrl&, const BackendUrl&) = default;
};

/// "http://host[:port]", "https://..." (443), "h2c://..." (80): HTTP/2 without TLS. A "/" at the
/// end is allowed.
Result<BackendUrl> parse_backend_url(std::string_view text);

/// The path and query of one request. Belongs to an exchange and is used again for the next; its
/// views hold until the next parse and as long as the text that was parsed.
class RequestPath {
 public:
  RequestPath() = default;
  RequestPath(const RequestPath&) = delete;  // views into itself
  RequestPath& operator=(const RequestPath&) = delete;

  /// `target` is RequestHead::path: "/path", "/path?query", "*". Fails, without detail, for all
  /// that is neither, for bytes that no URL has (blanks, controls, "#", "\", all beyond ASCII), for
  /// "%" without two digits or "%00" in the path, and for the segments told of above: 400.
  Result<void> parse(std::string_view target);

  /// What was parsed.
  std::string_view target() const { return target_; }
  /// What the backend gets, before filters. "*" only for OPTIONS (RFC 9112 section 3.2.4).
  std::string_view path() const { return path_; }
  /// What routes match.
  std::string_view decoded() const { return decoded_; }
  /// The bytes behind the first "?", as they came.
  std::string_view query() const { return query_; }
  bool has_query() const { return has_query_; }  ///< "/a?" has one, it is empty
  bool is_normal() const { return is_normal_; }  ///< path() is what the client wrote

 private:
  std::string_view target_;
  std::string_view path_;
  std::string_view decoded_;
  std::string_view query_;
  bool has_query_ = false;
  bool is_normal_ = true;
  std::string path_text_;
  std::string decoded_text_;
};

/// A path of the configuration in the form that RequestPath::decoded() has. It begins with "/" and
/// has no "//", dot segment, "?" or "#" (Gateway API, HTTPPathMatch); it may have blanks and UTF-8.
Result<std::string> parse_config_path(std::string_view text);

/// Where the path goes on behind its first `elements` elements: "" or from the next "/" on. For
/// "/a/b/c" and 2 it is "/c". Percent-encoding does not matter, since "%2F" separates nothing.
std::string_view path_behind(std::string_view path, std::size_t elements);

/// Has the query the parameter `name` with this `value`? The first of that name counts (Gateway
/// API, HTTPQueryParamMatch). Names and values of the query are percent-decoded; "+" stays "+";
/// without
/// "=" the value is ""; a "%" without two digits stands for itself.
bool query_has(std::string_view query, std::string_view name, std::string_view value);

}  // namespace postern::http
