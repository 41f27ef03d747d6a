// The authority of a request: Host, ":authority", or that of an absolute target (RFC 3986 section
// 3.2, RFC 9110 sections 4.2 and 7.2).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace postern::http {

struct Authority {
  std::string_view text;  ///< host, and ":port" when there is a port: without a colon at its end
  std::string_view host;  ///< as written, of an IPv6 address with its brackets
  std::optional<std::uint16_t> port;
};

/// Nothing when `text` is not host [":" port]: an empty host (RFC 9110 section 4.2.1), userinfo
/// (section 4.2.4), a port over 65535, a bracketed text that is no IPv6 address, an incomplete
/// percent-encoding. An empty port is none (section 4.2.3).
std::optional<Authority> parse_authority(std::string_view text);

}  // namespace postern::http
