#include "dns/special.h"

#include <string>

#include "dns/policy.h"

namespace postern::dns {
namespace {

// RFC 6761 sections 6.2 to 6.4, RFC 7686, RFC 9476, RFC 6762 appendix G (local, found by
// multicast); then RFC 8375 section 4 and the reverse zones of RFC 6303 section 4 and RFC 7793.
constexpr std::string_view kNotInPublicDns[] = {
    "test.", "invalid.", "onion.", "alt.", "local.",
};

constexpr std::string_view kLocallyServed[] = {
    "home.arpa.",
    "0.in-addr.arpa.",
    "10.in-addr.arpa.",
    "127.in-addr.arpa.",
    "254.169.in-addr.arpa.",
    "168.192.in-addr.arpa.",
    "2.0.192.in-addr.arpa.",
    "100.51.198.in-addr.arpa.",
    "113.0.203.in-addr.arpa.",
    "255.255.255.255.in-addr.arpa.",
    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
    "d.f.ip6.arpa.",
    "8.e.f.ip6.arpa.",
    "9.e.f.ip6.arpa.",
    "a.e.f.ip6.arpa.",
    "b.e.f.ip6.arpa.",
    "8.b.d.0.1.0.0.2.ip6.arpa.",
};

// Discovery of another resolver's encrypted service (RFC 9462 section 6.4): what upstream would
// answer leads clients around this server.
constexpr std::string_view kResolverDiscovery = "resolver.arpa.";
constexpr std::string_view kFirefoxCanary = "use-application-dns.net.";
constexpr std::string_view kPrivateRelayNames[] = {"mask.icloud.com.", "mask-h2.icloud.com."};

void add(SpecialNames& names, std::string_view text, SpecialAnswer answer) {
  names.table.insert(Name::parse(text).value().view(), answer);
}

// 172.16.0.0/12 and 100.64.0.0/10 (RFC 7793) are cut at octets.
void add_range(SpecialNames& names, int first, int last, const char* rest) {
  for (int i = first; i <= last; ++i) {
    add(names, std::to_string(i) + "." + rest + ".in-addr.arpa.", SpecialAnswer::kEmptyZone);
  }
}

}  // namespace

SpecialNames special_names(const CanarySettings& canary) {
  SpecialNames names;
  add(names, "localhost.", SpecialAnswer::kLoopback);
  for (const std::string_view name : kNotInPublicDns) add(names, name, SpecialAnswer::kNxDomain);
  for (const std::string_view name : kLocallyServed) add(names, name, SpecialAnswer::kEmptyZone);
  add_range(names, 16, 31, "172");
  add_range(names, 64, 127, "100");
  add(names, kResolverDiscovery, SpecialAnswer::kNoData);
  if (canary.firefox_doh) add(names, kFirefoxCanary, SpecialAnswer::kNxDomain);
  if (canary.private_relay) {
    for (const std::string_view name : kPrivateRelayNames) add(names, name, SpecialAnswer::kNoData);
  }
  return names;
}

}  // namespace postern::dns
