// What a gateway does to header fields between client and backend, apart from who the client is
// (forwarded.h): hop-by-hop fields, the edits of a route, Alt-Svc, HSTS, request ids. Loop thread
// only. The order for a request: remove_hop_by_hop, set_forwarded, set_request_id, apply; for a
// response: remove_hop_by_hop, apply, apply_alt_svc, apply_hsts. Since hop-by-hop fields go first,
// a client cannot name ours in Connection and so have them removed. Names that are added are in
// lower case, those of the configuration as written; the HTTP/2 codec lowers them. Via is not
// added.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "http/head.h"

namespace postern::http {

struct HeaderValue {
  std::string name;
  std::string value;

  friend bool operator==(const HeaderValue&, const HeaderValue&) = default;
};

/// set_…_headers, add_…_headers, remove_…_headers of [[gateway.route]] filters.
struct HeaderEdits {
  std::vector<HeaderValue> set;  ///< in place of all lines of that name
  std::vector<HeaderValue> add;  ///< one more line
  std::vector<std::string> remove;
};

/// A token (RFC 9110 section 5.6.2).
bool is_field_name(std::string_view name);
/// No controls but tabs, no white space around it (RFC 9110 section 5.5).
bool is_field_value(std::string_view value);
/// name ["/" version], as in Upgrade (RFC 9110 section 7.8): one, not a list.
bool is_protocol(std::string_view text);
/// False for Host, which rewrite_host is for, and for what frames messages or holds for one
/// connection only: edits of these would lie to the codec.
bool may_be_edited(std::string_view name);

/// Removes, sets, adds, in this order. `fields` borrows the text of `edits`, which belongs to the
/// snapshot that the exchange keeps.
void apply(const HeaderEdits& edits, Fields& fields);

/// Names that Connection may list; the usual ones are "close", "keep-alive", "upgrade".
constexpr std::size_t kConnectionOptionsMax = 64;

/// RFC 9110 section 7.6.1: Connection and all that it names (but never Content-Length, which the
/// codec has believed), Keep-Alive, Proxy-Connection, Transfer-Encoding, TE (put back as
/// "trailers" when it has that), and Upgrade unless the upgrade is forwarded. Also
/// Proxy-Authenticate, Proxy-Authorization and Proxy-Authentication-Info, which are for the next
/// proxy only (sections 11.7.1 to 11.7.3), and that is us.
/// False, and nothing is changed, with more names than kConnectionOptionsMax: 400 or 502.
[[nodiscard]] bool remove_hop_by_hop(Fields& fields, bool keep_upgrade);

/// alt_svc of [[gateway.listener]] (RFC 7838): where browsers may go instead of here.
enum class AltSvc : std::uint8_t {
  kClear,  ///< the backend's removed, and "clear" sent, so that browsers forget what they had
  kStrip,  ///< the backend's removed
  kPass,   ///< the backend's passed on
};

/// The word for it in the configuration.
constexpr std::string_view word_of(AltSvc policy) {
  if (policy == AltSvc::kClear) return "clear";
  return policy == AltSvc::kStrip ? "strip" : "pass";
}

/// Nothing is added on plain HTTP, where browsers ignore it.
void apply_alt_svc(Fields& response, AltSvc policy, bool tls);

/// "max-age=31536000" (RFC 6797 section 6.1); made once, for apply_hsts.
std::string hsts_value(std::uint64_t max_age_s);

/// With `value` one line in place of the backend's; with "" the backend's stays. Never on plain
/// HTTP (RFC 6797 section 7.2).
void apply_hsts(Fields& response, std::string_view value, bool tls);

constexpr std::size_t kRequestIdBytesMax = 128;

/// A client's X-Request-Id stays when it is one line of 1 to kRequestIdBytesMax letters, digits and
/// "-_.:=+/@~,;{}"; otherwise it is made of the two random numbers, 32 hexadecimal digits. Returns
/// it.
std::string_view set_request_id(Fields& request, TextArena& arena, std::uint64_t random_high,
                                std::uint64_t random_low);

}  // namespace postern::http
