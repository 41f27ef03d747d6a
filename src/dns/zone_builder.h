// Gathers the records of a zone in any order and packs them by owner and type.
#pragma once

#include <memory>
#include <vector>

#include "dns/mapped_arena.h"
#include "dns/zone.h"
#include "dns/zone_check.h"
#include "dns/zone_data.h"
#include "dns/zone_problems.h"
#include "dns/zone_sink.h"

namespace postern::dns {

class ZoneBuilder : public ZoneSink {
 public:
  ZoneBuilder(NameView apex, ZoneProblems* problems);
  ~ZoneBuilder() override;

  bool record(NameView owner, RrType type, std::uint32_t ttl, Bytes rdata,
              const ZonePlace& place) override;
  /// Checks and packs. nullptr when an error is known, now or from before.
  std::shared_ptr<const Zone> finish();

 private:
  struct Record;
  std::uint32_t node_for(const LookupName& owner);
  void add_ancestors(const LookupName& owner);
  void mark(std::uint32_t node, RrType type);
  void mark_occluded();
  void gather(const ZoneNode& node);
  void drop_duplicates(NameView owner);
  void pack(ZoneNode* node);
  bool pack_rrset(NameView owner, std::span<const PlacedRecord> records);
  void set_soa();

  std::shared_ptr<Zone> zone_;
  Zone::Data* data_;
  ZoneProblems* problems_;
  ZoneChecker checker_;
  MappedArena log_;
  std::uint32_t last_node_ = 0;
  std::vector<PlacedRecord> gathered_;  // of the node being packed
};

}  // namespace postern::dns
