#include "dns/zone_check.h"

#include <algorithm>

#include <fmt/format.h>

namespace postern::dns {
namespace {

using Records = std::span<const PlacedRecord>;

Records of_type(Records records, RrType type) {
  const auto [first, last] = std::equal_range(
      records.begin(), records.end(), PlacedRecord{type, 0, {}, {}},
      [](const PlacedRecord& a, const PlacedRecord& b) { return a.type < b.type; });
  return {first, last};
}

bool may_stand_beside_cname(RrType type) {
  return type == RrType::kCname || type == RrType::kRrsig || type == RrType::kNsec ||
         type == RrType::kSig || type == RrType::kNxt || type == RrType::kKey;
}

}  // namespace

void ZoneChecker::check_apex(Records records) {
  const Records soa = of_type(records, RrType::kSoa);
  const ZonePlace place = records.empty() ? ZonePlace{1, 1, 0} : records[0].place;
  if (soa.empty()) problems_->error(place, "no SOA record at the apex");
  if (soa.size() > 1) problems_->error(soa[1].place, "a second SOA record");
  if (of_type(records, RrType::kNs).empty()) problems_->error(place, "no NS record at the apex");
}

void ZoneChecker::check_alone(NameView owner, Records records) {
  const Records cname = of_type(records, RrType::kCname);
  if (cname.size() > 1) {
    problems_->error(cname[1].place,
                     fmt::format("{} has more than one CNAME record", name_text(owner)));
  }
  if (cname.empty()) return;
  for (const PlacedRecord& record : records) {
    if (may_stand_beside_cname(record.type)) continue;
    const PlacedRecord& later = record.place.line > cname[0].place.line ? record : cname[0];
    problems_->error(later.place, fmt::format("{} has a CNAME and other data ({})",
                                              name_text(owner), type_text(record.type)));
    return;
  }
}

void ZoneChecker::check_node(NameView owner, Records records, std::uint8_t /*node_flags*/) {
  if (owner.size() == apex_.view().size() && equal_names(owner, apex_.view())) {
    apex_seen_ = true;
    check_apex(records);
  }
  check_alone(owner, records);
}

void ZoneChecker::check_zone(const Zone& /*zone*/) {}

}  // namespace postern::dns
