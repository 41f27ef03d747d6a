#include "server/challenges.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "dns/override.h"
#include "dns/policy.h"
#include "dns/rebind.h"
#include "server/config_help.h"

namespace postern::server {
namespace {

using dns::LookupName;
using dns::OverrideSettings;
using dns::RrType;

constexpr std::string_view kLabel = "_acme-challenge";
constexpr std::size_t kRecordsMax = 100'000;  // larger zones are no house's

/// Names that no public authority issues certificates for (RFC 2606, 6761, 6762, 8375, and what
/// people use at home).
bool is_private_name(const dns::Name& name) {
  static constexpr std::array<std::string_view, 10> kLast{
      "arpa", "internal", "local",   "lan",       "home",
      "test", "example",  "invalid", "localhost", "corp"};
  static constexpr std::array<std::string_view, 3> kExamples{"example.com", "example.net",
                                                             "example.org"};
  const std::string text = "." + to_lower(without_dot(name));
  const std::size_t dot = text.rfind('.');
  const std::string_view last = std::string_view(text).substr(dot + 1);
  const std::string_view last_two =
      std::string_view(text).substr(dot == 0 ? 1 : text.rfind('.', dot - 1) + 1);
  return std::find(kLast.begin(), kLast.end(), last) != kLast.end() ||
         std::find(kExamples.begin(), kExamples.end(), last_two) != kExamples.end();
}

/// Nobody outside reaches it, so that DNS-01 is the way to a certificate. 0.0.0.0 is for blocking.
bool is_at_home(const IpAddress& address) {
  return !address.is_unspecified() && dns::is_private_address({address.data(), address.size()});
}

bool is_challenge(dns::NameView name) {
  return !name.is_root() && to_lower(std::string(as_text(name.first_label()))) == kLabel;
}

/// What a zone says of the certificates that its names may have.
struct ZoneLook {
  bool has_private_address = false;
  std::vector<dns::Name> challenges;  ///< names of its own for them
};

ZoneLook look_at(const dns::Zone& zone) {
  ZoneLook look;
  if (zone.record_count() > kRecordsMax) return look;
  zone.for_each([&](dns::NameView owner, const dns::RrsetView& rrset) {
    if (is_challenge(owner)) look.challenges.emplace_back(owner);
    if (rrset.type != RrType::kA && rrset.type != RrType::kAaaa) return;
    rrset.for_each([&](Bytes address) {
      look.has_private_address = look.has_private_address || dns::is_private_address(address);
      return !look.has_private_address;
    });
  });
  return look;
}

class Challenges {
 public:
  explicit Challenges(const Snapshot& snapshot) : snapshot_(snapshot) {
    for (const LoadedCertificate& certificate : snapshot.gateway->certificates) {
      for (const std::string& name : certificate.identity->names()) add(name);
    }
    const auto& rules = snapshot.config.policy.overrides;
    for (const OverrideSettings& rule : rules) {
      for (const dns::Name& name : rule.names) {
        if (rule.forward && is_challenge(name.view())) exceptions_.push_back(name);
      }
    }
    for (const OverrideSettings& rule : rules) add(rule);
    if (snapshot.gateway->certificates.empty()) add_zones();
  }

  std::vector<ConfigProblem> take() {
    const dns::Policy& policy = *snapshot_.resolver->policy;
    for (const dns::View& view : policy.views) check(view.policy);
    check(policy.everyone);
    return std::move(problems_);
  }

 private:
  // A certificate for "*.x" is proven by the TXT of "_acme-challenge.x" (RFC 8555 section 7.1.3).
  void add(std::string_view host) {
    if (host.starts_with("*.")) host.remove_prefix(2);
    if (host == "*" || IpAddress::parse(host)) return;
    auto name = dns::Name::parse(fmt::format("{}.{}", kLabel, host));
    if (name && !is_private_name(*name)) names_.push_back(std::move(*name));
  }

  // What leads to a listener with certificates has the names of these.
  void add(const OverrideSettings& rule) {
    if (rule.forward) return;
    const auto& listeners = snapshot_.config.listeners;
    const bool ours = std::any_of(listeners.begin(), listeners.end(), [&](const auto& listener) {
      return listener.https != 0 && shares_address(listener, rule);
    });
    const auto& addresses = rule.addresses;
    const bool at_home = rule.cname || std::any_of(addresses.begin(), addresses.end(), is_at_home);
    if (ours || !at_home) return;
    for (const dns::Name& name : rule.names) {
      const dns::NameView view = name.view();
      if (is_challenge(view) || (view.is_wildcard() && has_exception(view.parent()))) continue;
      add(without_dot(name));
    }
  }

  // Who wrote an exception for one host below has certificates for single hosts.
  bool has_exception(dns::NameView above) const {
    return std::any_of(exceptions_.begin(), exceptions_.end(), [&](const dns::Name& exception) {
      return dns::is_at_or_below(exception.view(), above);
    });
  }

  void add_zones() {
    const auto& zones = snapshot_.config.policy.zones;
    for (std::size_t i = 0; i < zones.size(); ++i) {
      const dns::Name& name = zones[i].name;
      if (zones[i].fallthrough || name.view().is_root() || is_private_name(name)) continue;
      const ZoneLook look = look_at(*snapshot_.zones[i].zone);
      if (!look.has_private_address) continue;
      names_.insert(names_.end(), look.challenges.begin(), look.challenges.end());
      if (look.challenges.empty() && !has_exception(name.view())) add(without_dot(name));
    }
  }

  void check(const dns::ViewPolicy& view) {
    for (const dns::Name& name : names_) {
      check_txt(view, name);
      check_soa(view, name);
    }
  }

  static bool is_hidden(const dns::OverrideTable::Match& match) {
    return match && !match.rule->forward && match.rule->other == dns::OverrideOther::kNone;
  }

  /// Where the name's zone begins is not known here; most such names have two labels.
  static dns::NameView zone_of(const LookupName& name) {
    return name.suffix(name.label_count() - std::min<std::size_t>(name.label_count(), 2));
  }

  static dns::OverrideTable::Match find_zone(const dns::ViewPolicy& view, const LookupName& name) {
    return view.overrides.find(LookupName(zone_of(name)), RrType::kSoa);
  }

  void check_txt(const dns::ViewPolicy& view, const dns::Name& name) {
    const LookupName lookup(name.view());
    const auto rule = view.overrides.find(lookup, RrType::kTxt);
    if (is_hidden(rule)) {
      const std::string text = without_dot(name);
      const bool helps = !is_hidden(find_zone(view, lookup));
      return tell(
          rule.rule->source,
          fmt::format(
              "dns.override.other: \"none\" hides TXT of '{}', so whoever gets or "
              "renews a certificate by DNS-01 from here does not see the "
              "challenge; write \"forward\"{}",
              text,
              helps ? fmt::format(", or add an override for '{}' with forward = true", text) : ""));
    }
    const auto zone = view.zones.find(lookup);
    if (view.is_exception(rule, zone.labels) || view.forwards->find(lookup).labels > zone.labels) {
      return;
    }
    if (zone.value != nullptr) check_zone(*zone.value, name);
  }

  // ACME clients look for the zone from the name upwards and for its servers.
  void check_soa(const dns::ViewPolicy& view, const dns::Name& name) {
    const LookupName lookup(name.view());
    const auto match = find_zone(view, lookup);
    if (!is_hidden(match)) return;
    tell(match.rule->source,
         fmt::format("dns.override.other: \"none\" hides SOA and NS of '{}', by which whoever gets "
                     "or renews a certificate by DNS-01 from here finds the zone of '{}'; write "
                     "\"forward\"",
                     without_dot(dns::Name(zone_of(lookup))), without_dot(name)));
  }

  // A referral leads to where the record is, but not a client that wants it resolved.
  void check_zone(const dns::ServedZone& zone, const dns::Name& name) {
    using Kind = dns::ZoneMatch::Kind;
    const LookupName lookup(name.view());
    const Kind kind = zone.zone->find(lookup, RrType::kTxt).kind;
    const bool absent = kind == Kind::kNoData || kind == Kind::kNxDomain || kind == Kind::kReferral;
    if (zone.fallthrough || !absent) return;
    const auto& zones = snapshot_.config.policy.zones;
    const auto settings = std::find_if(zones.begin(), zones.end(), [&](const auto& one) {
      return dns::equal_names(one.name.view(), zone.zone->apex());
    });
    if (settings == zones.end()) return;
    tell(settings->source,
         fmt::format("dns.zone: '{}' has no TXT of '{}', so whoever gets or renews a certificate "
                     "by DNS-01 from here does not see the challenge; write fallthrough = true, "
                     "or add an override for that name with forward = true",
                     without_dot(settings->name), without_dot(name)));
  }

  void tell(const std::string& source, std::string text) {
    if (told_.insert(source).second) problems_.push_back(warning_at(source, std::move(text)));
  }

  const Snapshot& snapshot_;
  std::vector<dns::Name> names_, exceptions_;
  std::set<std::string> told_;
  std::vector<ConfigProblem> problems_;
};

}  // namespace

std::vector<ConfigProblem> check_challenges(const Snapshot& snapshot) {
  return Challenges(snapshot).take();
}

}  // namespace postern::server
