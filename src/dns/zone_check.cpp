#include "dns/zone_check.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "dns/svcb.h"
#include "dns/zone_check_dnssec.h"
#include "dns/zone_data.h"
#include "dns/zone_text.h"

namespace postern::dns {
namespace {

bool may_stand_beside_cname(RrType type) {
  return type == RrType::kCname || type == RrType::kRrsig || type == RrType::kNsec ||
         type == RrType::kSig || type == RrType::kNxt || type == RrType::kKey;
}

/// Where the host name stands in the rdata of a type; -1 for types without one.
int host_offset(RrType type) {
  switch (type) {
    case RrType::kNs:
      return 0;
    case RrType::kMx:
    case RrType::kSvcb:
    case RrType::kHttps:
      return 2;
    case RrType::kSrv:
      return 6;
    default:
      return -1;
  }
}

// The name at `offset` of checked rdata.
NameView name_in(Bytes rdata, std::size_t offset) {
  std::size_t end = offset;
  while (rdata[end] != 0) end += rdata[end] + 1U;
  return NameView(rdata.subspan(offset, end + 1 - offset));
}

bool label_is(NameView name, std::string_view label) {
  return !name.is_root() && as_text(name.first_label()) == label;
}

// Names with underscores that hold addresses by custom: Active Directory, macros of SPF.
bool is_known_address_owner(NameView lower_owner) {
  if (label_is(lower_owner, "gc") && label_is(lower_owner.parent(), "_msdcs")) return true;
  for (NameView rest = lower_owner; !rest.is_root(); rest = rest.parent()) {
    for (const char* label : {"_spf", "_spf_rate", "_spf_verify"}) {
      if (label_is(rest, label)) return true;
    }
  }
  return false;
}

// RFC 6763 section 11: names of domains to browse, which need not be hosts.
bool is_service_browsing(NameView lower_owner) {
  constexpr std::array<std::string_view, 5> kFirst{"b", "db", "r", "dr", "lb"};
  const bool first = std::any_of(kFirst.begin(), kFirst.end(), [&](std::string_view label) {
    return label_is(lower_owner, label);
  });
  return first && label_is(lower_owner.parent(), "_dns-sd");
}

bool has_inner_asterisk(NameView owner) {
  while (!owner.is_root()) {
    owner = owner.parent();
    if (owner.is_wildcard()) return true;
  }
  return false;
}

bool is_reverse(NameView name) {
  static const Name v4 = Name::parse("in-addr.arpa.").value();
  static const Name v6 = Name::parse("ip6.arpa.").value();
  return is_at_or_below(name, v4.view()) || is_at_or_below(name, v6.view());
}

// What may stand below a cut without a word: glue, and what signers and nested cuts leave there.
bool is_quiet_below_cut(RrType type) {
  return type == RrType::kNs || type == RrType::kRrsig || type == RrType::kNsec ||
         type == RrType::kNsec3 || type == RrType::kDs;
}

constexpr int kAliasStepsMax = 16;

bool is_address(RrType type) { return type == RrType::kA || type == RrType::kAaaa; }

}  // namespace

PlacedRecords records_of(PlacedRecords records, RrType type) {
  const auto first = std::find_if(records.begin(), records.end(),
                                  [&](const PlacedRecord& r) { return r.type == type; });
  const auto last =
      std::find_if(first, records.end(), [&](const PlacedRecord& r) { return r.type != type; });
  return {first, last};
}

void ZoneChecker::check_apex(PlacedRecords records) {
  const PlacedRecords soa = records_of(records, RrType::kSoa);
  const ZonePlace place = records.empty() ? ZonePlace{1, 1, 0} : records[0].place;
  if (soa.size() > 1) error(soa[1].place, "a second SOA record");
  if (soa.empty() && !incomplete_) error(place, "no SOA record at the apex");
  if (records_of(records, RrType::kNs).empty() && !incomplete_) {
    error(place, "no NS record at the apex");
  }
  if (!soa.empty() && !is_host_name(name_in(soa[0].rdata, 0), false) &&
      !name_in(soa[0].rdata, 0).is_root()) {
    warning(soa[0].place, fmt::format("SOA: {} is not a host name (RFC 1123 section 2.1)",
                                      name_text(name_in(soa[0].rdata, 0))));
  }
}

void ZoneChecker::check_away_from_apex(NameView owner, PlacedRecords records) {
  const PlacedRecords soa = records_of(records, RrType::kSoa);
  if (!soa.empty()) {
    error(soa[0].place, fmt::format("a SOA record at {}, which is not the apex", name_text(owner)));
  }
  const PlacedRecords dname = records_of(records, RrType::kDname);
  if (!dname.empty() && !records_of(records, RrType::kNs).empty()) {
    warning(dname[0].place, fmt::format("{} is delegated, so its DNAME is never served (RFC 6672 "
                                        "section 2.3)",
                                        name_text(owner)));
  }
}

// RFC 1034 section 3.6.2, RFC 2181 section 10.1, RFC 6672 section 2.4.
void ZoneChecker::check_alone(NameView owner, PlacedRecords records) {
  for (const RrType type : {RrType::kCname, RrType::kDname}) {
    const PlacedRecords those = records_of(records, type);
    if (those.size() > 1) {
      error(those[1].place,
            fmt::format("{} has more than one {} record", name_text(owner), type_text(type)));
    }
  }
  const PlacedRecords cname = records_of(records, RrType::kCname);
  if (cname.empty()) return;
  if (equal_names(name_in(cname[0].rdata, 0), owner)) {
    warning(cname[0].place, fmt::format("{} is a CNAME for itself", name_text(owner)));
  }
  for (const PlacedRecord& record : records) {
    if (may_stand_beside_cname(record.type)) continue;
    const PlacedRecord& later = record.place.line > cname[0].place.line ? record : cname[0];
    error(later.place, fmt::format("{} has a CNAME and other data ({})", name_text(owner),
                                   type_text(record.type)));
    return;
  }
}

// RFC 4592 section 4.2 to 4.4.
void ZoneChecker::check_wildcard(NameView owner, PlacedRecords records) {
  if (!records.empty() && has_inner_asterisk(owner)) {
    warning(records[0].place,
            fmt::format("{}: only a first label '*' makes a wildcard (RFC 4592 section 2.1.1)",
                        name_text(owner)));
  }
  if (!owner.is_wildcard()) return;
  for (const PlacedRecord& record : records) {
    if (record.type == RrType::kNs || record.type == RrType::kNsec3) {
      error(record.place, fmt::format("{}: a wildcard cannot have {} records", name_text(owner),
                                      type_text(record.type)));
    } else if (record.type == RrType::kDname) {
      warning(record.place, fmt::format("{}: a DNAME at a wildcard redirects nothing below it",
                                        name_text(owner)));
    }
  }
}

// RFC 2181 section 5.2. The TTL of a signature is that of what it signs.
void ZoneChecker::check_ttls(NameView owner, PlacedRecords records) {
  for (std::size_t i = 1; i < records.size(); ++i) {
    const PlacedRecord& before = records[i - 1];
    const PlacedRecord& record = records[i];
    if (record.type != before.type || record.type == RrType::kRrsig) continue;
    if (record.ttl == before.ttl) continue;
    warning(record.place,
            fmt::format("{} {}: TTL {} differs from {} in the same RRset; the lowest counts",
                        name_text(owner), type_text(record.type), record.ttl, before.ttl));
  }
}

// RFC 7505 section 3: "no mail here" stands alone.
void ZoneChecker::check_null_mx(NameView owner, PlacedRecords records) {
  const PlacedRecords mx = records_of(records, RrType::kMx);
  if (mx.size() < 2) return;
  for (const PlacedRecord& record : mx) {
    if (!name_in(record.rdata, 2).is_root()) continue;
    warning(record.place, fmt::format("{} MX: '.' says that there is no mail, and yet there are "
                                      "other MX records (RFC 7505 section 3)",
                                      name_text(owner)));
    return;
  }
}

// RFC 952 and RFC 1123 section 2.1, as far as BIND minds.
void ZoneChecker::check_names(NameView owner, const PlacedRecord& record) {
  const bool host_owner = is_address(record.type) || record.type == RrType::kMx;
  if (host_owner && !is_host_name(owner, true) && !is_known_address_owner(owner)) {
    warning(record.place, fmt::format("{} {}: not a host name (RFC 1123 section 2.1)",
                                      name_text(owner), type_text(record.type)));
  }
  const bool pointer =
      record.type == RrType::kPtr && is_reverse(owner) && !is_service_browsing(owner);
  const int offset = pointer ? 0 : host_offset(record.type);
  if (offset < 0) return;
  const NameView host = name_in(record.rdata, static_cast<std::size_t>(offset));
  if (host.is_root()) return;
  const bool alias = (record.type == RrType::kSvcb || record.type == RrType::kHttps) &&
                     svcb_is_alias(record.rdata);
  if (!alias && !is_host_name(host, false)) {
    warning(record.place, fmt::format("{}: {} is not a host name (RFC 1123 section 2.1)",
                                      type_text(record.type), name_text(host)));
  }
}

// RFC 9460 sections 2.4.1 and 2.4.2.
void ZoneChecker::check_service(NameView owner, PlacedRecords records) {
  for (const RrType type : {RrType::kSvcb, RrType::kHttps}) {
    const PlacedRecords those = records_of(records, type);
    const auto aliases = std::count_if(those.begin(), those.end(), [](const PlacedRecord& record) {
      return svcb_is_alias(record.rdata);
    });
    if (aliases == 0) continue;
    if (static_cast<std::size_t>(aliases) != those.size()) {
      warning(those[0].place, fmt::format("{} {}: alias (priority 0) and service records together",
                                          name_text(owner), type_text(type)));
    }
    for (const PlacedRecord& record : those) {
      if (!svcb_is_alias(record.rdata)) continue;
      if (record.rdata.size() > 2 + svcb_target(record.rdata).size()) {
        warning(record.place, fmt::format("{}: parameters of an alias (priority 0) are ignored",
                                          type_text(type)));
      }
    }
  }
}

void ZoneChecker::note_targets(NameView owner, PlacedRecords records, bool hidden) {
  for (const PlacedRecord& record : records) {
    if (hidden) {
      if (record.type == RrType::kNs) servers_.insert(hash_name(name_in(record.rdata, 0)));
      if (!is_quiet_below_cut(record.type)) {
        hidden_.push_back({owner, record.type, record.place});
      }
      continue;
    }
    const int offset = record.type == RrType::kCname ? 0 : host_offset(record.type);
    if (offset < 0 || record.type == RrType::kSvcb || record.type == RrType::kHttps) continue;
    const NameView host = name_in(record.rdata, static_cast<std::size_t>(offset));
    if (is_at_or_below(host, apex_.view())) {
      if (!host.is_root()) targets_.push_back({record.type, owner, host, record.place});
      if (record.type == RrType::kNs) servers_.insert(hash_name(host));
    } else if (record.type != RrType::kCname && host.label_count() == 4 &&
               looks_like_address(host)) {
      error(record.place, fmt::format("{}: {} is an address, a name has to stand here",
                                      type_text(record.type), name_text(host)));
    }
  }
}

void ZoneChecker::check_node(NameView owner, PlacedRecords records, std::uint8_t node_flags) {
  const bool hidden = (node_flags & kNodeOccluded) != 0;
  for (const PlacedRecord& record : records) check_names(owner, record);
  if (records.size() == 1 && is_address(records[0].type) && !hidden) return;
  const bool at_apex = equal_names(owner, apex_.view());
  if (at_apex) check_apex(records);
  if (!at_apex) check_away_from_apex(owner, records);
  check_alone(owner, records);
  check_wildcard(owner, records);
  check_null_mx(owner, records);
  check_ttls(owner, records);
  check_service(owner, records);
  check_dnssec_records(owner, apex_.view(), records, problems_);
  note_targets(owner, records, hidden);
}

// A chain of CNAMEs that comes back to where it began never has an answer.
void ZoneChecker::check_alias(const Zone& zone, const Target& target) {
  LookupName name(target.host);
  for (int step = 0; step < kAliasStepsMax; ++step) {
    if (equal_names(name.name(), target.owner)) {
      if (step == 0) return;  // said already
      return warning(target.place, fmt::format("{} is a CNAME for itself, by way of {}",
                                               name_text(target.owner), name_text(target.host)));
    }
    if (!is_at_or_below(name.name(), zone.apex())) return;
    const ZoneMatch match = zone.find(name, RrType::kA);
    if (match.kind != ZoneMatch::Kind::kCname) return;
    match.rrset.for_each([&](Bytes rdata) {
      name.assign(NameView(rdata));
      return false;
    });
  }
}

// RFC 2181 section 10.3, RFC 1912 section 2.4. A fault of the zone's own servers is an error.
void ZoneChecker::check_target(const Zone& zone, const Target& target) {
  if (target.type == RrType::kCname) return check_alias(zone, target);
  const bool serious = target.type == RrType::kNs && equal_names(target.owner, apex_.view());
  const auto complain = [&](const char* text) {
    std::string whole =
        fmt::format("{}: {} {}", type_text(target.type), name_text(target.host), text);
    serious ? error(target.place, std::move(whole)) : warning(target.place, std::move(whole));
  };
  const LookupName host(target.host);
  const ZoneMatch match = zone.find(host, RrType::kA);
  switch (match.kind) {
    case ZoneMatch::Kind::kAnswer:
      return;
    case ZoneMatch::Kind::kCname:
      return complain("is a CNAME (RFC 2181 section 10.3)");
    case ZoneMatch::Kind::kDname:
      return complain("is below a DNAME");
    case ZoneMatch::Kind::kReferral: {
      const bool needs_glue =
          target.type == RrType::kNs && is_at_or_below(target.host, target.owner);
      const bool glue = zone.find_exact(host, RrType::kA) || zone.find_exact(host, RrType::kAaaa);
      if (needs_glue && !glue && !incomplete_) complain("needs its address here as glue");
      return;
    }
    case ZoneMatch::Kind::kNoData:
    case ZoneMatch::Kind::kNxDomain:
      if (zone.find(host, RrType::kAaaa).kind == ZoneMatch::Kind::kAnswer) return;
      if (looks_like_address(target.host)) {
        return error(target.place, fmt::format("{}: {} is an address, a name has to stand here",
                                               type_text(target.type), name_text(target.host)));
      }
      if (!incomplete_) complain("has no address in this zone");
      return;
  }
}

// Below a cut only addresses of name servers are of use (RFC 1034 section 4.2.1); below a DNAME
// nothing is (RFC 6672 section 2.4).
void ZoneChecker::check_hidden(const Zone& zone) {
  for (const Hidden& record : hidden_) {
    const LookupName name(record.owner);
    const ZoneMatch above = zone.find(name, RrType::kAny);
    const bool dname = above.kind == ZoneMatch::Kind::kDname;
    if (!dname && is_address(record.type) && servers_.count(name.hash()) != 0) continue;
    warning(record.place,
            fmt::format("{} {} is never served: {} {}", name_text(record.owner),
                        type_text(record.type), name_text(above.owner),
                        dname ? "is a DNAME" : "is delegated and this is not its glue"));
  }
}

void ZoneChecker::check_zone(const Zone& zone) {
  for (const Target& target : targets_) check_target(zone, target);
  check_hidden(zone);
}

}  // namespace postern::dns
