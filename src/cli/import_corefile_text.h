// Words of a Corefile that are small languages of their own. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/result.h"

namespace postern::cli {

/// A key of a server block: "example.org:1053", "dns://.:53", "10.0.0.0/24".
struct ServerKey {
  std::string zone;
  std::uint16_t port = 53;
};

/// kNotBuiltYet: a transport that Postern does not serve.
Result<ServerKey> parse_key(std::string_view text);

/// ".", a network or a name in lower case without a final dot.
std::optional<std::string> zone_name(std::string_view text);

/// Whether questions for `zone`, or some of them, are asked as those for `above`; both as of
/// zone_name(), a network stands for its reverse zones.
bool is_zone_below(std::string_view zone, std::string_view above);

struct AddressAnswer {
  IpAddress address;
  std::uint32_t ttl_s = 3600;  ///< that a record has which names none
};

/// "{{ .Name }} 60 IN A 192.0.2.1", when that is all.
std::optional<AddressAnswer> address_of_answer(std::string_view text);

}  // namespace postern::cli
