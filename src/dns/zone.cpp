#include "dns/zone.h"

#include <array>
#include <cstring>
#include <utility>

#include "dns/zone_data.h"

namespace postern::dns {
namespace {

using Kind = ZoneMatch::Kind;

constexpr std::size_t kFirstSlots = 1024;
constexpr std::uint8_t kNotPlain = kNodeCut | kNodeOccluded;

std::uint32_t high_half(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

}  // namespace

ZoneNodes::ZoneNodes() : slot_count_(kFirstSlots) {
  nodes_.append(4);  // position 0 is none
  slots_.append(kFirstSlots * sizeof(Slot));
}

std::uint32_t ZoneNodes::find(NameView lower, std::uint64_t hash) const {
  const std::uint32_t wanted = high_half(hash);
  for (std::size_t i = wanted & (slot_count_ - 1);; i = (i + 1) & (slot_count_ - 1)) {
    const Slot found = *slot(i);
    if (found.position == 0) return 0;
    if (found.hash == wanted && equal_bytes(at(found.position)->name().wire(), lower.wire())) {
      return found.position;
    }
  }
}

std::uint32_t ZoneNodes::add(NameView lower, std::uint64_t hash) {
  if ((node_count_ + 1) * 4 > slot_count_ * 3) grow();
  const std::size_t offset = nodes_.append(sizeof(ZoneNode) + lower.size());
  const auto position = static_cast<std::uint32_t>(offset / 4);
  at(position)->name_size = static_cast<std::uint8_t>(lower.size());
  std::memcpy(nodes_.at(offset + sizeof(ZoneNode)), lower.wire().data(), lower.size());
  insert({high_half(hash), position});
  ++node_count_;
  return position;
}

std::uint32_t ZoneNodes::after(std::uint32_t position) const {
  const std::size_t bytes = sizeof(ZoneNode) + at(position)->name_size;
  return position + static_cast<std::uint32_t>((bytes + 3) / 4);
}

void ZoneNodes::insert(Slot fresh) {
  std::size_t i = fresh.hash & (slot_count_ - 1);
  while (slot(i)->position != 0) i = (i + 1) & (slot_count_ - 1);
  *slot(i) = fresh;
}

void ZoneNodes::grow() {
  MappedArena old;
  std::swap(old, slots_);
  const std::size_t old_count = slot_count_;
  slot_count_ *= 2;
  slots_.append(slot_count_ * sizeof(Slot));
  for (std::size_t i = 0; i < old_count; ++i) {
    Slot moved;
    std::memcpy(&moved, old.at(i * sizeof(Slot)), sizeof(Slot));
    if (moved.position != 0) insert(moved);
  }
}

RrsetView Zone::Data::rrset(const ZoneNode& node, RrType type) const {
  RrsetView found;
  for_each_rrset(node, [&](const RrsetView& view) {
    if (view.type == type || type == RrType::kAny) found = view;
    return !found;
  });
  return found;
}

Zone::Zone() : data_(std::make_unique<Data>()) {}
Zone::~Zone() = default;

NameView Zone::apex() const { return data_->apex.view(); }
std::uint32_t Zone::serial() const { return data_->serial; }
std::size_t Zone::record_count() const { return data_->record_count; }
std::size_t Zone::memory_bytes() const {
  return data_->nodes.memory_bytes() + data_->rrsets.size();
}
const RrsetView& Zone::soa() const { return data_->soa; }
std::uint32_t Zone::negative_ttl() const { return data_->negative_ttl; }

ZoneMatch Zone::Data::match_at(const ZoneNode& node, NameView owner, RrType type) const {
  ZoneMatch match;
  match.owner = owner;
  match.rrset = rrset(node, type);
  match.kind = match.rrset ? Kind::kAnswer : Kind::kNoData;
  if (match.rrset) return match;
  match.rrset = rrset(node, RrType::kCname);
  if (match.rrset) match.kind = Kind::kCname;
  return match;
}

// Only the wildcard right below the closest encloser counts (RFC 4592 section 3.3.1).
ZoneMatch Zone::Data::from_wildcard(const ZoneNode& encloser, const LookupName& name,
                                    std::size_t encloser_suffix, RrType type) const {
  ZoneMatch none;
  none.owner = name.name();
  if ((encloser.flags & kNodeWildcardChild) == 0) return none;
  std::array<std::uint8_t, kNameBytesMax + 2> star{1, '*'};
  const Bytes suffix = name.suffix(encloser_suffix).wire();
  std::memcpy(star.data() + 2, suffix.data(), suffix.size());
  const std::uint32_t found = nodes.find(NameView(Bytes(star.data(), suffix.size() + 2)),
                                         name.wildcard_hash(encloser_suffix));
  if (found == 0) return none;
  ZoneMatch match = match_at(*nodes.at(found), name.name(), type);
  match.wildcard = true;
  return match;
}

// Downwards from the apex (RFC 1034 section 4.3.2 step 3). Every name between the apex and a node
// has a node too, so the walk ends at the closest encloser (RFC 4592 section 3.3.1).
ZoneMatch Zone::Data::walk(const LookupName& name, RrType type) const {
  const ZoneNode* encloser = nodes.at(apex_node);
  for (std::size_t i = name.label_count() - apex_labels;; --i) {
    const bool self = i == 0;
    if ((encloser->flags & kNodeCut) != 0 && !(self && type == RrType::kDs)) {
      return {Kind::kReferral, rrset(*encloser, RrType::kNs), name.suffix(i), false};
    }
    if (self) return match_at(*encloser, name.name(), type);
    if ((encloser->flags & kNodeDname) != 0) {
      return {Kind::kDname, rrset(*encloser, RrType::kDname), name.suffix(i), false};
    }
    const std::uint32_t next = nodes.find(name.suffix(i - 1), name.hash(i - 1));
    if (next == 0) return from_wildcard(*encloser, name, i, type);
    encloser = nodes.at(next);
  }
}

ZoneMatch Zone::find(const LookupName& name, RrType type) const {
  const std::uint32_t found = data_->nodes.find(name.name(), name.hash());
  if (found != 0) {
    const ZoneNode& node = *data_->nodes.at(found);
    if ((node.flags & kNotPlain) == 0) return data_->match_at(node, name.name(), type);
  }
  return data_->walk(name, type);
}

RrsetView Zone::find_exact(const LookupName& name, RrType type) const {
  const std::uint32_t found = data_->nodes.find(name.name(), name.hash());
  return found == 0 ? RrsetView() : data_->rrset(*data_->nodes.at(found), type);
}

void Zone::for_each(const std::function<void(NameView owner, const RrsetView&)>& visit) const {
  const ZoneNodes& nodes = data_->nodes;
  for (std::uint32_t at = nodes.first(); at != nodes.end(); at = nodes.after(at)) {
    const ZoneNode& node = *nodes.at(at);
    data_->for_each_rrset(node, [&](const RrsetView& rrset) {
      visit(node.name(), rrset);
      return true;
    });
  }
}

}  // namespace postern::dns
