#include "dns/answer_zone.h"

#include <cstring>

namespace postern::dns {
namespace {

constexpr int kAdditionalTargetsMax = 16;

/// The host name that a record points at; an empty span for types that have none.
Bytes target_of(RrType type, Bytes rdata) {
  std::size_t before = 0;
  switch (type) {
    case RrType::kNs:
      break;
    case RrType::kMx:
    case RrType::kSvcb:
    case RrType::kHttps:
    case RrType::kKx:
    case RrType::kAfsdb:
      before = 2;
      break;
    case RrType::kSrv:
      before = 6;
      break;
    default:
      return {};
  }
  std::size_t at = before;
  while (at < rdata.size() && rdata[at] != 0) at += rdata[at] + 1U;
  return at < rdata.size() ? rdata.subspan(before, at + 1 - before) : Bytes{};
}

/// False when an RRset that is there did not fit.
bool add_addresses(const Zone& zone, const LookupName& host, Reply* reply) {
  bool fits = true;
  for (const RrType type : {RrType::kA, RrType::kAaaa}) {
    const RrsetView rrset = zone.find_exact(host, type);
    if (rrset && !reply->add_rrset(Section::kAdditional, host.name(), rrset)) fits = false;
  }
  return fits;
}

// "." as the target of SVCB and HTTPS is the owner itself (RFC 9460 section 2.5).
void add_targets(const Zone& zone, const OverrideTable& overrides, NameView owner,
                 const RrsetView& rrset, Reply* reply) {
  int left = kAdditionalTargetsMax;
  const bool service = rrset.type == RrType::kSvcb || rrset.type == RrType::kHttps;
  rrset.for_each([&](Bytes rdata) {
    const Bytes wire = target_of(rrset.type, rdata);
    if (wire.empty()) return false;
    const bool self = wire.size() == 1;
    if (self && !service) return true;
    const LookupName host(self ? owner : NameView(wire));
    if (!is_at_or_below(host.name(), zone.apex()) || overrides.find(host, RrType::kA)) return true;
    const bool alias = service && load_u16(rdata.data()) == 0;
    if (alias && !self) {
      if (const RrsetView more = zone.find_exact(host, rrset.type)) {
        reply->add_rrset(Section::kAdditional, host.name(), more);
      }
    }
    add_addresses(zone, host, reply);
    return --left > 0;
  });
}

void add_referral(const Zone& zone, const ZoneMatch& match, Reply* reply) {
  reply->add_rrset(Section::kAuthority, match.owner, match.rrset);
  match.rrset.for_each([&](Bytes rdata) {
    const LookupName host{NameView(rdata)};
    if (!is_at_or_below(host.name(), zone.apex())) return true;
    const bool fits = add_addresses(zone, host, reply);
    // Without the addresses of servers below the cut nobody gets there (RFC 9471 section 3.1).
    if (!fits && is_at_or_below(host.name(), match.owner)) reply->set_flag(kFlagTc);
    return true;
  });
}

std::size_t first_rdata(const RrsetView& rrset, std::array<std::uint8_t, kNameBytesMax>* out) {
  std::size_t size = 0;
  rrset.for_each([&](Bytes rdata) {
    size = rdata.size();
    std::memcpy(out->data(), rdata.data(), size);
    return false;
  });
  return size;
}

// The labels of `name` above the DNAME's owner, then the DNAME's target (RFC 6672 section 2.2).
std::size_t answer_dname(const LookupName& name, const ZoneMatch& match, Reply* reply,
                         std::array<std::uint8_t, kNameBytesMax>* target) {
  reply->add_rrset(Section::kAnswer, match.owner, match.rrset);
  std::array<std::uint8_t, kNameBytesMax> suffix;
  const std::size_t suffix_size = first_rdata(match.rrset, &suffix);
  const std::size_t prefix_size = name.name().size() - match.owner.size();
  if (prefix_size + suffix_size > kNameBytesMax) {
    reply->set_rcode(Rcode::kYxDomain);
    return 0;
  }
  std::memcpy(target->data(), name.name().wire().data(), prefix_size);
  std::memcpy(target->data() + prefix_size, suffix.data(), suffix_size);
  const Bytes synthesized(target->data(), prefix_size + suffix_size);
  reply->add(Section::kAnswer, name.name(), RrType::kCname, match.rrset.ttl, synthesized);
  return synthesized.size();
}

void add_negative(const Zone& zone, Reply* reply) {
  zone.soa().for_each([&](Bytes rdata) {
    reply->add_soa(zone.apex(), zone.negative_ttl(), rdata);
    return false;
  });
}

}  // namespace

std::size_t answer_from_zone(const Zone& zone, const OverrideTable& overrides,
                             const LookupName& name, const ZoneMatch& match, Reply* reply,
                             std::array<std::uint8_t, kNameBytesMax>* target) {
  switch (match.kind) {
    case ZoneMatch::Kind::kAnswer:
      if (reply->add_rrset(Section::kAnswer, name.name(), match.rrset)) {
        add_targets(zone, overrides, name.name(), match.rrset, reply);
      }
      return 0;
    case ZoneMatch::Kind::kCname:
      reply->add_rrset(Section::kAnswer, name.name(), match.rrset);
      return first_rdata(match.rrset, target);
    case ZoneMatch::Kind::kDname:
      return answer_dname(name, match, reply, target);
    case ZoneMatch::Kind::kReferral:
      add_referral(zone, match, reply);
      return 0;
    case ZoneMatch::Kind::kNoData:
      add_negative(zone, reply);
      return 0;
    case ZoneMatch::Kind::kNxDomain:
      reply->set_rcode(Rcode::kNxDomain);
      add_negative(zone, reply);
      return 0;
  }
  return 0;
}

}  // namespace postern::dns
