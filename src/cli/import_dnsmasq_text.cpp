#include "cli/import_dnsmasq_text.h"

#include <fmt/format.h>

#include "base/address.h"
#include "cli/import_text.h"

namespace postern::cli {

Result<std::string> plain_line(std::string_view line) {
  std::string out;
  bool blank = true;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      for (++i; i < line.size() && line[i] != '"'; ++i) {
        if (line[i] == '\\' && i + 1 < line.size() &&
            std::string_view("\"tnebr\\").find(line[i + 1]) != std::string_view::npos) {
          ++i;
        }
        out += line[i] == ',' ? kHiddenComma : line[i];
      }
      if (i >= line.size()) return fail(Code::kMalformed, "missing '\"'");
      blank = false;
      continue;
    }
    if (blank && line[i] == '#') break;
    blank = line[i] == ' ' || line[i] == '\t' || line[i] == '\r';
    out += blank ? ' ' : line[i];
  }
  return std::string(trimmed(out));
}

Result<std::string> upstream_of(std::string_view text) {
  if (text.find('@') != std::string_view::npos) {
    return fail(Code::kInvalid, fmt::format("'{}': a source address or interface cannot be chosen "
                                            "for an upstream",
                                            text));
  }
  const std::size_t hash = text.find('#');
  const auto address = IpAddress::parse(text.substr(0, hash));
  if (!address) {
    return fail(Code::kInvalid, fmt::format("'{}' is not an IP address", text.substr(0, hash)));
  }
  const auto port = hash == std::string_view::npos ? 53 : number_of(text.substr(hash + 1));
  if (!port || *port == 0 || *port > 65535) {
    return fail(Code::kInvalid, fmt::format("'{}': the port is from 1 to 65535", text));
  }
  if (*port == 53 && address->is_v4()) return "udp://" + address->to_string();
  const auto number = static_cast<std::uint16_t>(*port);
  return "udp://" + Endpoint{*address, number, 0}.to_string();
}

}  // namespace postern::cli
