// Everything a DNS decision depends on, compiled from the configuration once and then constant:
// access list, views, and per view the overrides, zones, forwards and edits that hold in it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/address.h"
#include "dns/override.h"
#include "dns/special.h"
#include "dns/suffix_table.h"
#include "dns/svcb.h"
#include "dns/zone.h"

namespace postern::dns {

/// [[dns.view]]
struct ViewSettings {
  std::string name;
  std::vector<Network> clients;
};

/// [[dns.zone]]
struct ZoneSettings {
  Name name;
  std::string file;
  bool fallthrough = false;
  std::vector<std::string> views;
  std::string source;  ///< "FILE:LINE"
};

/// [dns.canary]
struct CanarySettings {
  bool firefox_doh = true;
  bool private_relay = false;
};

/// [dns.limits] rebind_protection
struct RebindSettings {
  bool enabled = true;
  std::vector<Name> except;
};

/// Answers to CH TXT version.bind, version.server, id.server, hostname.bind; nullopt: REFUSED.
struct IdentitySettings {
  std::optional<std::string> version;
  std::optional<std::string> id;
};

struct ServedZone {
  std::shared_ptr<const Zone> zone;
  bool fallthrough = false;
};

/// What holds for one group of clients.
struct ViewPolicy {
  std::string name;         ///< "" for clients that no view matches
  std::uint64_t id = 0;     ///< same content, same id: part of every cache key
  std::uint32_t index = 0;  ///< 0: Policy::everyone, i + 1: Policy::views[i]
  OverrideTable overrides;
  SuffixTable<ServedZone> zones;
  const SuffixTable<std::uint16_t>* forwards =
      nullptr;  ///< to an index into the forwards of the configuration
  const SvcbSettings* svcb = nullptr;
  const SuffixTable<bool>* svcb_except = nullptr;
  const SuffixTable<bool>* rebind_except = nullptr;
  bool rebind_protection = true;
  SpecialNames special;
  /// Names above an override, a zone or a forward, by hash: they exist, whatever upstream or the
  /// zone around them says (RFC 8020: NXDOMAIN would deny what stands below as well).
  std::unordered_set<std::uint64_t> ancestors;

  /// Is `target` answered here for this type (an override that is no `forward`, or a zone), so
  /// that a CNAME chain from upstream has to come back to us?
  bool owns(const LookupName& target, RrType type) const;
  /// REQUIRES: `match` is what `overrides` has for `name`. An exception from what stands above it:
  /// upstream is asked, whatever zone of ours or special name it is in.
  bool is_exception(const OverrideTable::Match& match, std::size_t zone_labels) const {
    return match && match.rule->forward && match.owner.label_count() >= zone_labels;
  }
  /// Is a question for `target` answered here, or by another forward than this one?
  bool is_answered_elsewhere(const LookupName& target, RrType type, std::uint16_t forward) const;
  /// Does rebinding protection look at what upstream says to a question for `name`?
  bool guards(const LookupName& target) const;
};

struct View {
  std::vector<Network> clients;
  ViewPolicy policy;
};

struct Policy {
  std::vector<Network> allow;
  std::vector<View> views;  ///< in order; first match wins
  ViewPolicy everyone;      ///< for clients of no view
  IdentitySettings identity;
  std::uint16_t udp_payload = 1232;
  // Storage that the views point into.
  SuffixTable<std::uint16_t> forwards;
  SvcbSettings svcb;
  SuffixTable<bool> svcb_except;
  SuffixTable<bool> rebind_except;

  Policy() = default;
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

  bool allows(const IpAddress& client) const { return contains(allow, client); }
  const ViewPolicy& view_of(const IpAddress& client) const;
};

/// The parts of the configuration that a policy is compiled from.
struct PolicySettings {
  std::vector<Network> allow;
  std::vector<ViewSettings> views;
  std::vector<OverrideSettings> overrides;
  std::vector<ZoneSettings> zones;
  std::vector<Name>
      forward_names;  ///< [[dns.forward]] name, by index ("." is one of them or absent)
  /// Where each of these asks, as text that says nothing here: another text, other cache entries.
  std::vector<std::string> forward_sources;
  SvcbSettings svcb;
  CanarySettings canary;
  RebindSettings rebind;
  IdentitySettings identity;
  std::uint16_t udp_payload = 1232;
};

/// `zones`: the loaded zones by index of `settings.zones`; a null one is left out.
std::unique_ptr<const Policy> compile_policy(const PolicySettings& settings,
                                             const std::vector<std::shared_ptr<const Zone>>& zones);

}  // namespace postern::dns
