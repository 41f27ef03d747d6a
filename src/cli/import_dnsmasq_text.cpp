#include "cli/import_dnsmasq_text.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "base/address.h"
#include "cli/import_text.h"

namespace postern::cli {
namespace {

/// Options that say the same as what Postern does anyway, or that are about the process.
constexpr std::string_view kNeedless[] = {"bind-interfaces",
                                          "bind-dynamic",
                                          "bogus-priv",
                                          "no-poll",
                                          "user",
                                          "group",
                                          "pid-file",
                                          "keep-in-foreground",
                                          "no-daemon",
                                          "local-service",
                                          "stop-dns-rebind",
                                          "rebind-localhost-ok",
                                          "all-servers",
                                          "no-ident",
                                          "dns-loop-detect",
                                          "clear-on-reload",
                                          "localise-queries",
                                          "log-async",
                                          "no-round-robin"};

constexpr std::string_view kDhcp[] = {"dhcp-",          "tftp-",     "enable-tftp",  "pxe-",
                                      "bootp-",         "enable-ra", "ra-param",     "read-ethers",
                                      "shared-network", "quiet-",    "leasefile-ro", "script-"};

constexpr std::string_view kRecords[] = {
    "txt-record",   "mx-host",    "mx-target", "srv-host",     "ptr-record",
    "naptr-record", "caa-record", "dns-rr",    "synth-domain", "interface-name",
    "dynamic-host", "localmx",    "selfmx"};

bool is_in(std::string_view word, std::span<const std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool starts_like(std::string_view word, std::span<const std::string_view> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](std::string_view one) { return word.starts_with(one); });
}

}  // namespace

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

bool is_needless_option(std::string_view name) { return is_in(name, kNeedless); }

std::string why_not_option(std::string_view name, std::string_view line) {
  std::string shown(line.substr(0, 200));
  std::replace(shown.begin(), shown.end(), kHiddenComma, ',');
  if (starts_like(name, kDhcp)) {
    return fmt::format("{}: Postern is no DHCP or TFTP server", name);
  }
  if (is_in(name, kRecords)) {
    return fmt::format("{}: records of this type stand in a zone file ([[dns.zone]])", shown);
  }
  if (name == "interface" || name == "except-interface" || name == "no-dhcp-interface") {
    return fmt::format("{}: name addresses in dns.listen and networks in dns.allow", shown);
  }
  if (name == "cache-size") {
    return fmt::format("{}: counts entries; dns.cache.size is in bytes, 64MiB unless set", shown);
  }
  if (name == "resolv-file") {
    return fmt::format("{}: put its servers into [[dns.forward]] name = \".\"", shown);
  }
  return fmt::format("{}: nothing here does this", shown);
}

}  // namespace postern::cli
