// Overrides: what this LAN says in place of the public DNS. The most specific name wins whatever
// the order in the file; "*.x" covers every depth below x and not x itself.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "dns/host_set.h"
#include "dns/name.h"
#include "dns/types.h"

namespace postern::dns {

enum class OverrideHttps : std::uint8_t {
  kGateway,  ///< made from what the gateway serves on that address; NODATA when it serves nothing
  kNone,     ///< NODATA
  kEdit,     ///< upstream's, with h3, ech and address hints removed
};
/// What browsers are told of an HTTPS server: ServiceMode, TargetName "." (RFC 9460 section 2.4.3).
struct ServiceBinding {
  std::vector<std::string> alpn;  ///< in the order of preference
  std::uint16_t port = 443;
  /// That it has a certificate for; others are not told.
  std::shared_ptr<const HostSet> hosts = nullptr;
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
  /// Of kGateway, the first that has a certificate for the host counts; made from the listeners,
  /// not a key.
  std::vector<ServiceBinding> services;
  std::vector<std::string> views;         ///< empty: everywhere
  std::vector<std::string> not_in_views;  ///< of publish_dns; made from the zones, not a key
  std::string source;                     ///< "FILE:LINE" of its first line, for `explain`
};

/// The addresses of one family; the usual one or two stand in the override itself, so that an
/// answer touches no further memory.
class OverrideAddresses {
 public:
  void add(const IpAddress& address);
  bool empty() const { return size_ == 0; }
  /// 4 or 16 bytes each.
  Bytes bytes() const { return large_.empty() ? Bytes(small_).first(size_) : Bytes(large_); }

 private:
  std::uint8_t size_ = 0;  // of small_, or not 0
  std::array<std::uint8_t, 16> small_{};
  std::vector<std::uint8_t> large_;  // all of them, when small_ is too small
};

/// SvcParams of one override. Address hints that would not fit in are left out: the addresses stand
/// in A and AAAA (RFC 9460 section 7.3).
inline constexpr std::size_t kServiceBytesMax = 1024;

struct OverrideService {
  std::uint16_t port = 443;
  std::vector<std::uint8_t> params;  ///< SvcParams
  std::shared_ptr<const HostSet> hosts;
};

/// One override compiled: rdata ready to be written. What an address needs stands in front.
struct Override {
  std::uint32_t ttl_s = 60;
  bool forward = false;
  OverrideHttps https = OverrideHttps::kGateway;
  OverrideOther other = OverrideOther::kForward;
  std::optional<Name> cname;
  OverrideAddresses a;
  OverrideAddresses aaaa;
  std::vector<std::uint8_t> soa;  ///< rdata of that SOA, minimum = ttl
  std::vector<OverrideService> services;
  std::string source;  ///< "FILE:LINE", for `explain`

  /// What serves `host`; `port` is of _PORT._https.HOST, 0: any. nullptr: HTTPS is NODATA.
  const OverrideService* service_for(NameView host, std::uint16_t port) const;
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

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }  ///< names, "*.x" and "x" counted once

 private:
  static constexpr std::uint32_t kNoRule = 0xffffffff;
  /// A name without "*.", the rule for the name itself and the rule for all below it.
  struct Slot {
    std::uint32_t tag = 0;  // high half of the name's hash
    std::uint32_t name_at = 0;
    std::uint8_t name_size = 0;  // 0: free
    std::uint32_t exact = kNoRule;
    std::uint32_t below = kNoRule;
  };
  Bytes name_of(const Slot& slot) const {
    return as_bytes(names_).subspan(slot.name_at, slot.name_size);
  }
  /// The name's slot, or the free one where it would stand.
  std::size_t slot_of(NameView name, std::uint64_t hash) const;
  Match find_name(const LookupName& name, std::size_t skip) const;
  void insert(NameView name, std::uint32_t rule);

  std::vector<Override> rules_;
  std::string names_;        // wire form, lower case, one behind the other
  std::vector<Slot> slots_;  // open addressing by hash, at most half full
  std::size_t size_ = 0;
  std::bitset<kLabelsMax + 1> depths_;
};

}  // namespace postern::dns
