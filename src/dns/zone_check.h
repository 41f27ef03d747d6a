// What a zone has to be besides well-written: RFC 1035 section 5.2, RFC 2181, RFC 6672 and what
// named-checkzone looks for. Errors keep the zone from being served, warnings do not.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "dns/name.h"
#include "dns/zone.h"
#include "dns/zone_problems.h"

namespace postern::dns {

struct PlacedRecord {
  RrType type{};
  std::uint32_t ttl = 0;
  Bytes rdata;
  ZonePlace place;
};

class ZoneChecker {
 public:
  ZoneChecker(NameView apex, ZoneProblems* problems) : apex_(Name(apex)), problems_(problems) {}

  /// All records of one owner, sorted by type, in order of the file within a type.
  void check_node(NameView owner, std::span<const PlacedRecord> records, std::uint8_t node_flags);
  /// What needs the other names; after every node was seen.
  void check_zone(const Zone& zone);

 private:
  void check_apex(std::span<const PlacedRecord> records);
  void check_alone(NameView owner, std::span<const PlacedRecord> records);

  Name apex_;
  ZoneProblems* problems_;
  bool apex_seen_ = false;
};

}  // namespace postern::dns
