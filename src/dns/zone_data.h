// How a zone lies in memory. Nodes: one per owner name and empty non-terminal, in order of
// appearance, each a head and the lower-cased name. RRsets of a node lie together in a second
// arena. A hash table of 8-byte slots (half of the hash, place of the node) finds nodes.
// About 60 bytes for a name with one address. Positions count 4-byte units; 0 is none.
#pragma once

#include <cstdint>

#include "dns/mapped_arena.h"
#include "dns/name.h"
#include "dns/zone.h"

namespace postern::dns {

inline constexpr std::uint8_t kNodeCut = 1;            ///< NS below the apex
inline constexpr std::uint8_t kNodeDname = 2;          ///< has a DNAME
inline constexpr std::uint8_t kNodeWildcardChild = 4;  ///< "*." of it is there
inline constexpr std::uint8_t kNodeOccluded = 8;       ///< below a cut or a DNAME

struct ZoneNode {
  std::uint32_t rrsets = 0;  // position; while a zone is read: the last record
  std::uint16_t rrset_count = 0;
  std::uint8_t name_size = 0;
  std::uint8_t flags = 0;

  NameView name() const {
    return NameView(Bytes(reinterpret_cast<const std::uint8_t*>(this + 1), name_size));
  }
};

struct ZoneRrset {
  std::uint32_t size = 0;  // of the packed rdatas behind this head
  std::uint32_t ttl = 0;
  RrType type{};
  std::uint16_t count = 0;
};

/// Nodes and the table that finds them.
class ZoneNodes {
 public:
  ZoneNodes();

  /// `lower` is lower-cased. 0 when it is not there.
  std::uint32_t find(NameView lower, std::uint64_t hash) const;
  /// REQUIRES: it is not there.
  std::uint32_t add(NameView lower, std::uint64_t hash);

  ZoneNode* at(std::uint32_t position) {
    return reinterpret_cast<ZoneNode*>(nodes_.at(std::size_t{position} * 4));
  }
  const ZoneNode* at(std::uint32_t position) const {
    return reinterpret_cast<const ZoneNode*>(nodes_.at(std::size_t{position} * 4));
  }
  std::uint32_t first() const { return 1; }
  /// The node that was added after `position`; end() behind the last.
  std::uint32_t after(std::uint32_t position) const;
  std::uint32_t end() const { return static_cast<std::uint32_t>(nodes_.size() / 4); }
  std::size_t memory_bytes() const { return nodes_.size() + slots_.size(); }
  void shrink() { nodes_.shrink(); }

 private:
  struct Slot {
    std::uint32_t hash;
    std::uint32_t position;
  };
  Slot* slot(std::size_t i) { return reinterpret_cast<Slot*>(slots_.at(i * sizeof(Slot))); }
  const Slot* slot(std::size_t i) const {
    return reinterpret_cast<const Slot*>(slots_.at(i * sizeof(Slot)));
  }
  void grow();
  void insert(Slot fresh);

  MappedArena nodes_;
  MappedArena slots_;
  std::size_t slot_count_;  // a power of two
  std::size_t node_count_ = 0;
};

struct Zone::Data {
  Name apex;
  std::size_t apex_labels = 0;
  std::uint32_t apex_node = 0;
  ZoneNodes nodes;
  MappedArena rrsets;
  RrsetView soa;
  std::uint32_t serial = 0;
  std::uint32_t negative_ttl = 0;
  std::size_t record_count = 0;
  bool has_cuts = false;  // or DNAMEs

  ZoneMatch walk(const LookupName& name, RrType type) const;
  ZoneMatch match_at(const ZoneNode& node, NameView owner, RrType type) const;
  ZoneMatch from_wildcard(const ZoneNode& encloser, const LookupName& name,
                          std::size_t encloser_suffix, RrType type) const;
  /// For ANY the first RRset of the node.
  RrsetView rrset(const ZoneNode& node, RrType type) const;
  template <class Visitor>  // bool visit(const RrsetView&); false stops
  void for_each_rrset(const ZoneNode& node, Visitor visit) const {
    std::size_t at = std::size_t{node.rrsets} * 4;
    for (std::uint16_t i = 0; i < node.rrset_count; ++i) {
      const auto* head = reinterpret_cast<const ZoneRrset*>(rrsets.at(at));
      RrsetView view;
      view.type = head->type;
      view.ttl = head->ttl;
      view.count = head->count;
      view.packed = Bytes(rrsets.at(at + sizeof(ZoneRrset)), head->size);
      if (!visit(view)) return;
      at += sizeof(ZoneRrset) + ((std::size_t{head->size} + 3) & ~std::size_t{3});
    }
  }
};

}  // namespace postern::dns
