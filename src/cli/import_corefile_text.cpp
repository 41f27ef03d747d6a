#include "cli/import_corefile_text.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "cli/import_model.h"
#include "cli/import_text.h"
#include "dns/name.h"
#include "server/config_values.h"

namespace postern::cli {

Result<ServerKey> parse_key(std::string_view text) {
  ServerKey key;
  if (const std::size_t scheme = text.find("://"); scheme != std::string_view::npos) {
    if (text.substr(0, scheme) != "dns") {
      return fail(Code::kNotBuiltYet, fmt::format("'{}': only plain DNS is served", text));
    }
    text.remove_prefix(scheme + 3);
  }
  if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    const auto port = number_of(text.substr(colon + 1));
    if (!port || *port == 0 || *port > 65535) {
      return fail(Code::kMalformed, fmt::format("'{}': the port is from 1 to 65535", text));
    }
    key.port = static_cast<std::uint16_t>(*port);
    text = text.substr(0, colon);
  }
  const auto zone = zone_name(text.empty() ? "." : text);
  if (!zone) return fail(Code::kMalformed, fmt::format("'{}' is not a zone", text));
  key.zone = *zone;
  return key;
}

std::optional<std::string> zone_name(std::string_view text) {
  if (text == ".") return ".";
  if (text.find('/') != std::string_view::npos) {
    const auto network = server::parse_network(text);
    if (!network) return std::nullopt;
    return network->to_string();
  }
  const auto name = import_name(text);
  if (!name || name->starts_with("*")) return std::nullopt;
  return *name;
}

bool is_zone_below(std::string_view zone, std::string_view above) {
  const auto names = server::parse_forward_names(zone);
  const auto tops = server::parse_forward_names(above);
  if (!names || !tops) return false;
  return std::any_of(names->begin(), names->end(), [&](const dns::Name& name) {
    return std::any_of(tops->begin(), tops->end(), [&](const dns::Name& top) {
      return dns::is_at_or_below(name.view(), top.view());
    });
  });
}

std::optional<AddressAnswer> address_of_answer(std::string_view text) {
  const std::vector<std::string_view> words = words_of(text);
  std::size_t at = 0;
  if (!words.empty() && words[0] == "{{") {
    if (words.size() < 3 || words[1] != ".Name" || words[2] != "}}") return std::nullopt;
    at = 3;
  } else if (!words.empty() && (words[0] == "{{.Name}}" || words[0] == "{{.Name }}")) {
    at = 1;
  } else {
    return std::nullopt;
  }
  AddressAnswer answer;
  for (; at < words.size(); ++at) {
    if (const auto ttl = number_of(words[at]))
      answer.ttl_s = *ttl;
    else if (words[at] != "IN")
      break;
  }
  if (at + 2 != words.size() || (words[at] != "A" && words[at] != "AAAA")) return std::nullopt;
  const auto address = IpAddress::parse(words[at + 1]);
  if (!address || address->is_v4() != (words[at] == "A")) return std::nullopt;
  answer.address = *address;
  return answer;
}

}  // namespace postern::cli
