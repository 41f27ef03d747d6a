// What a zone has to be besides well-written: RFC 1034 section 3.6.2, RFC 1912, RFC 2181,
// RFC 6672 and what named-checkzone looks for. Errors keep the zone from being served, warnings do
// not; which is which follows named-checkzone where it has an opinion.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

#include "base/bytes.h"
#include "dns/name.h"
#include "dns/zone.h"
#include "dns/zone_problems.h"

namespace postern::dns {

/// Of one owner and sorted by type, in order of the file within a type.
struct PlacedRecord {
  RrType type{};
  std::uint32_t ttl = 0;
  Bytes rdata;
  ZonePlace place;
};
using PlacedRecords = std::span<const PlacedRecord>;

/// Those of one type.
PlacedRecords records_of(PlacedRecords records, RrType type);

class ZoneChecker {
 public:
  ZoneChecker(NameView apex, ZoneProblems* problems) : apex_(Name(apex)), problems_(problems) {}

  /// Before the first node. `incomplete`: records are missing because they could not be read, so
  /// that what is missing is not complained about once more.
  void begin(bool incomplete) { incomplete_ = incomplete; }
  /// All records of one owner. `node_flags` as in zone_data.h. Owner and rdata have to stay until
  /// check_zone() is done.
  void check_node(NameView owner, PlacedRecords records, std::uint8_t node_flags);
  /// What needs the other names; after every node was seen.
  void check_zone(const Zone& zone);

 private:
  /// A host that a record points at, to be looked up when all names are known.
  struct Target {
    RrType type{};
    NameView owner;
    NameView host;
    ZonePlace place;
  };
  struct Hidden {
    NameView owner;
    RrType type{};
    ZonePlace place;
  };

  void check_apex(PlacedRecords records);
  void check_away_from_apex(NameView owner, PlacedRecords records);
  void check_alone(NameView owner, PlacedRecords records);
  void check_wildcard(NameView owner, PlacedRecords records);
  void check_null_mx(NameView owner, PlacedRecords records);
  void check_ttls(NameView owner, PlacedRecords records);
  void check_names(NameView owner, const PlacedRecord& record);
  void check_service(NameView owner, PlacedRecords records);
  void note_targets(NameView owner, PlacedRecords records, bool hidden);
  void check_target(const Zone& zone, const Target& target);
  void check_alias(const Zone& zone, const Target& target);
  void check_hidden(const Zone& zone);
  void error(const ZonePlace& place, std::string text) { problems_->error(place, std::move(text)); }
  void warning(const ZonePlace& place, std::string text) {
    problems_->warning(place, std::move(text));
  }

  Name apex_;
  ZoneProblems* problems_;
  bool incomplete_ = false;
  std::vector<Target> targets_;
  std::vector<Hidden> hidden_;                 // below a cut or a DNAME
  std::unordered_set<std::uint64_t> servers_;  // hashes of what NS records point at
};

}  // namespace postern::dns
