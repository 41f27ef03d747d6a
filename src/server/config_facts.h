// What there is to say of every key, for the reference, the manual and completions: its kind and
// its limits as the reader of the key has them, its default as the settings have it, its meaning
// from a table that a test holds against the keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/address.h"
#include "dns/name.h"
#include "gateway/settings.h"
#include "http/route.h"
#include "nameserver/upstream_settings.h"

namespace postern::server {

struct KeyFacts {
  std::string path;      ///< "dns.cache.size"; tables come before what is in them
  std::string type;      ///< "duration", "list of network", "array of tables"
  std::string allowed;   ///< "1 to 256", the words of a choice; "" when the type says it all
  std::string fallback;  ///< the default as it is written in the file; "required"
  std::string_view meaning;

  bool is_table() const { return type == "table" || type == "array of tables"; }
};

/// Every key there is, in the order of the tables.
std::vector<KeyFacts> config_keys();

/// The keys that have no meaning yet, and the meanings that have no key: for a test.
std::vector<std::string> keys_out_of_step();

// What a value of a type is called, and how it is written in the file.

inline std::string value_text(const std::string& text) { return fmt::format("\"{}\"", text); }
inline std::string value_text(std::uint16_t number) { return fmt::format("\"key{}\"", number); }
inline std::string value_text(const IpAddress& ip) { return value_text(ip.to_string()); }
inline std::string value_text(const Network& network) { return value_text(network.to_string()); }
inline std::string value_text(const Endpoint& place) { return value_text(place.to_string()); }
inline std::string value_text(const std::optional<Endpoint>& place) {
  return value_text(place ? place->to_string() : std::string());
}
inline std::string value_text(const dns::Name& name) { return value_text(name.text()); }
inline std::string value_text(const std::vector<dns::Name>&) { return {}; }
inline std::string value_text(const nameserver::UpstreamSettings& upstream) {
  return value_text(upstream.text);
}
inline std::string value_text(const http::BackendUrl&) { return {}; }
inline std::string value_text(const gateway::TcpBackend& backend) {
  return fmt::format("\"{}:{}\"", backend.host, backend.port);
}

inline std::string_view kind_of(const std::string&) { return "text"; }
inline std::string_view kind_of(std::uint16_t) { return "key of SVCB"; }
inline std::string_view kind_of(const IpAddress&) { return "address"; }
inline std::string_view kind_of(const Network&) { return "network"; }
inline std::string_view kind_of(const Endpoint&) { return "address with port"; }
inline std::string_view kind_of(const std::optional<Endpoint>&) { return "address with port"; }
inline std::string_view kind_of(const dns::Name&) { return "domain name"; }
inline std::string_view kind_of(const std::vector<dns::Name>&) { return "domain name or network"; }
inline std::string_view kind_of(const nameserver::UpstreamSettings&) { return "upstream"; }
inline std::string_view kind_of(const http::BackendUrl&) { return "URL"; }
inline std::string_view kind_of(const gateway::TcpBackend&) { return "host with port"; }

}  // namespace postern::server
