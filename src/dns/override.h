// Overrides: what this LAN says in place of the public DNS. The most specific name wins whatever
// the order in the file; "*.x" covers every depth below x and not x itself.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "dns/name.h"
#include "dns/types.h"

namespace postern::dns {

enum class OverrideHttps : std::uint8_t {
  kGateway,  ///< made from what the gateway serves on that address; NODATA when it serves nothing
  kNone,     ///< NODATA
  kEdit,     ///< upstream's, with h3, ech and address hints removed
};
enum class OverrideOther : std::uint8_t { kForward, kNone };

/// [[dns.override]]
struct OverrideSettings {
  std::vector<Name> names;
  std::vector<IpAddress> addresses;
  std::optional<Name> cname;
  bool forward = false;  ///< an exception inside a wildcard
  std::uint32_t ttl_s = 60;
  OverrideHttps https = OverrideHttps::kGateway;
  OverrideOther other = OverrideOther::kForward;
  std::vector<std::string> views;  ///< empty: everywhere
  std::string source;              ///< "FILE:LINE" of its first line, for `explain`
};

/// One override compiled: rdata ready to be written.
struct Override {
  std::vector<std::uint8_t> a;     ///< 4 bytes each
  std::vector<std::uint8_t> aaaa;  ///< 16 bytes each
  std::optional<Name> cname;
  std::vector<std::uint8_t> soa;  ///< rdata of that SOA, minimum = ttl
  std::uint32_t ttl_s = 60;
  bool forward = false;
  OverrideHttps https = OverrideHttps::kGateway;
  OverrideOther other = OverrideOther::kForward;
  std::string source;  ///< "FILE:LINE", for `explain`
};

class OverrideTable {
 public:
  OverrideTable() = default;

  /// `settings` that hold in the view at hand. The first of two equal names wins (the
  /// configuration refuses duplicates).
  static OverrideTable compile(const std::vector<const OverrideSettings*>& settings);

  struct Match {
    const Override* rule = nullptr;
    bool wildcard = false;
    bool service_name = false;  ///< an SVCB name such as _443._https.x was asked for the override x
    NameView owner;  ///< as configured, without "*."; owner of the SOA in negative answers

    explicit operator bool() const { return rule != nullptr; }
  };
  /// Most specific match for `name`; `type` matters only for SVCB service names (RFC 9460
  /// section 2.3).
  Match find(const LookupName& name, RrType type) const;

  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }

 private:
  /// Names without "*." to the rule for the name itself and the rule for all below it.
  struct Rules {
    std::uint32_t exact = kNoRule;
    std::uint32_t below = kNoRule;
  };
  static constexpr std::uint32_t kNoRule = 0xffffffff;
  Match find_name(const LookupName& name, std::size_t skip) const;
  void insert(NameView name, std::uint32_t rule);

  std::vector<Override> rules_;
  std::vector<std::pair<std::string, Rules>> entries_;  // wire form, lower case
  std::vector<std::uint32_t> slots_;   // open addressing by hash; entry index + 1, 0 = free
  std::vector<std::uint64_t> hashes_;  // of the entries
  std::bitset<kLabelsMax + 1> depths_;
};

}  // namespace postern::dns
