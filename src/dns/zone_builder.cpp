#include "dns/zone_builder.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "dns/zone_rdata_fields.h"

namespace postern::dns {

// As it was read; the rdata follows.
struct ZoneBuilder::Record {
  std::uint32_t before;  // the record of the same owner that came before
  std::uint32_t ttl;
  ZonePlace place;
  RrType type;
  std::uint16_t size;
};

namespace {

constexpr std::size_t kRecordHeadBytes = 12;  // a pointer to the name, type, class, TTL, length
constexpr std::size_t kOptBytes = 11;
constexpr std::uint32_t kNodePositionMax = UINT32_MAX - 1024;  // room for one more name

bool same_type_twice(std::span<const PlacedRecord> by_type) {
  return std::adjacent_find(by_type.begin(), by_type.end(), [](const auto& a, const auto& b) {
           return a.type == b.type;
         }) != by_type.end();
}

}  // namespace

ZoneBuilder::ZoneBuilder(NameView apex, ZoneProblems* problems)
    : zone_(new Zone), data_(zone_->data_.get()), problems_(problems), checker_(apex, problems) {
  const LookupName lower(apex);
  data_->apex = Name(lower.name());
  data_->apex_labels = lower.label_count();
  data_->apex_node = data_->nodes.add(lower.name(), lower.hash());
  log_.append(4);           // position 0 is none
  data_->rrsets.append(4);  // likewise
}

ZoneBuilder::~ZoneBuilder() = default;

void ZoneBuilder::add_ancestors(const LookupName& owner) {
  for (std::size_t i = 1; i <= owner.label_count() - data_->apex_labels; ++i) {
    std::uint32_t parent = data_->nodes.find(owner.suffix(i), owner.hash(i));
    const bool there = parent != 0;
    if (!there) parent = data_->nodes.add(owner.suffix(i), owner.hash(i));
    if (owner.suffix(i - 1).is_wildcard()) data_->nodes.at(parent)->flags |= kNodeWildcardChild;
    if (there) return;
  }
}

std::uint32_t ZoneBuilder::node_for(const LookupName& owner) {
  ZoneNodes& nodes = data_->nodes;
  if (last_node_ != 0 && equal_bytes(nodes.at(last_node_)->name().wire(), owner.name().wire())) {
    return last_node_;
  }
  last_node_ = nodes.find(owner.name(), owner.hash());
  if (last_node_ == 0) {
    last_node_ = nodes.add(owner.name(), owner.hash());
    add_ancestors(owner);
  }
  return last_node_;
}

void ZoneBuilder::mark(std::uint32_t node, RrType type) {
  const std::uint8_t flag = type == RrType::kDname                            ? kNodeDname
                            : type == RrType::kNs && node != data_->apex_node ? kNodeCut
                                                                              : 0;
  if (flag == 0) return;
  data_->nodes.at(node)->flags |= flag;
  data_->has_cuts = true;
}

bool ZoneBuilder::record(NameView owner, RrType type, std::uint32_t ttl, Bytes rdata,
                         const ZonePlace& place) {
  const std::uint32_t position = node_for(LookupName(owner));
  const std::size_t offset = log_.append(sizeof(Record) + rdata.size());
  if (offset / 4 > UINT32_MAX || data_->nodes.end() > kNodePositionMax) {
    problems_->error(place, "the zone is too large");
    return false;
  }
  ZoneNode* node = data_->nodes.at(position);
  const Record head{node->rrsets, ttl, place, type, static_cast<std::uint16_t>(rdata.size())};
  std::memcpy(log_.at(offset), &head, sizeof(head));
  std::memcpy(log_.at(offset + sizeof(head)), rdata.data(), rdata.size());
  node->rrsets = static_cast<std::uint32_t>(offset / 4);
  mark(position, type);
  return true;
}

void ZoneBuilder::mark_occluded() {
  ZoneNodes& nodes = data_->nodes;
  for (std::uint32_t at = nodes.first(); at != nodes.end(); at = nodes.after(at)) {
    const LookupName name(nodes.at(at)->name());
    for (std::size_t i = 1; i <= name.label_count() - data_->apex_labels; ++i) {
      const std::uint32_t above = nodes.find(name.suffix(i), name.hash(i));
      if (above != 0 && (nodes.at(above)->flags & (kNodeCut | kNodeDname)) != 0) {
        nodes.at(at)->flags |= kNodeOccluded;
        break;
      }
    }
  }
}

void ZoneBuilder::gather(const ZoneNode& node) {
  gathered_.clear();
  for (std::uint32_t at = node.rrsets; at != 0;) {
    Record head;
    const std::uint8_t* bytes = log_.at(std::size_t{at} * 4);
    std::memcpy(&head, bytes, sizeof(head));
    gathered_.push_back({head.type, head.ttl, Bytes(bytes + sizeof(head), head.size), head.place});
    at = head.before;
  }
  if (gathered_.size() < 2) return;
  std::reverse(gathered_.begin(), gathered_.end());
  std::stable_sort(gathered_.begin(), gathered_.end(),
                   [](const auto& a, const auto& b) { return a.type < b.type; });
}

void ZoneBuilder::drop_duplicates(NameView owner) {
  if (!same_type_twice(gathered_)) return;
  struct Entry {
    RrType type;
    std::string data;
    std::size_t index;
    bool operator<(const Entry& other) const {
      return std::tie(type, data, index) < std::tie(other.type, other.data, other.index);
    }
  };
  std::vector<Entry> order;
  order.reserve(gathered_.size());
  for (const PlacedRecord& record : gathered_) {
    order.push_back({record.type, comparable_rdata(record.type, record.rdata), order.size()});
  }
  std::sort(order.begin(), order.end());
  std::vector<bool> drop(gathered_.size());
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (order[i].type != order[i - 1].type || order[i].data != order[i - 1].data) continue;
    drop[order[i].index] = true;
    const PlacedRecord& record = gathered_[order[i].index];
    problems_->warning(record.place, fmt::format("{} {}: the same record is there twice",
                                                 name_text(owner), type_text(record.type)));
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < gathered_.size(); ++i) {
    if (!drop[i]) gathered_[kept++] = gathered_[i];
  }
  gathered_.resize(kept);
}

// The RRset has to fit an answer to a question for it.
bool ZoneBuilder::pack_rrset(NameView owner, std::span<const PlacedRecord> records) {
  std::size_t size = 0;
  for (const PlacedRecord& record : records) size += 2 + record.rdata.size();
  const std::size_t answer =
      kHeaderBytes + owner.size() + 4 + kOptBytes + size + (kRecordHeadBytes - 2) * records.size();
  if (answer > kMessageBytesMax) {
    problems_->error(
        records[0].place,
        fmt::format("{} {}: an answer of {} bytes; a message has at most {}", name_text(owner),
                    type_text(records[0].type), answer, kMessageBytesMax));
    return false;
  }
  ZoneRrset head;
  head.size = static_cast<std::uint32_t>(size);
  head.type = records[0].type;
  head.count = static_cast<std::uint16_t>(records.size());
  head.ttl = records[0].ttl;
  for (const PlacedRecord& record : records) head.ttl = std::min(head.ttl, record.ttl);
  const std::size_t offset = data_->rrsets.append(sizeof(head) + size);
  std::uint8_t* out = data_->rrsets.at(offset);
  std::memcpy(out, &head, sizeof(head));
  out += sizeof(head);
  for (const PlacedRecord& record : records) {
    store_u16(out, static_cast<std::uint16_t>(record.rdata.size()));
    std::memcpy(out + 2, record.rdata.data(), record.rdata.size());
    out += 2 + record.rdata.size();
  }
  data_->record_count += records.size();
  return true;
}

void ZoneBuilder::pack(ZoneNode* node) {
  node->rrsets = static_cast<std::uint32_t>(data_->rrsets.size() / 4);
  const std::span<const PlacedRecord> all(gathered_);
  for (std::size_t first = 0; first < all.size();) {
    std::size_t last = first + 1;
    while (last < all.size() && all[last].type == all[first].type) ++last;
    if (pack_rrset(node->name(), all.subspan(first, last - first))) ++node->rrset_count;
    first = last;
  }
}

void ZoneBuilder::set_soa() {
  data_->soa = data_->rrset(*data_->nodes.at(data_->apex_node), RrType::kSoa);
  data_->soa.for_each([&](Bytes rdata) {
    const std::uint8_t* numbers = rdata.data() + rdata.size() - 20;
    data_->serial = load_u32(numbers);
    data_->negative_ttl = std::min(data_->soa.ttl, load_u32(numbers + 16));
    return true;
  });
}

std::shared_ptr<const Zone> ZoneBuilder::finish() {
  ZoneNodes& nodes = data_->nodes;
  if (data_->has_cuts) mark_occluded();
  checker_.begin(problems_->error_count() != 0);
  for (std::uint32_t at = nodes.first(); at != nodes.end(); at = nodes.after(at)) {
    ZoneNode* node = nodes.at(at);
    gather(*node);
    drop_duplicates(node->name());
    checker_.check_node(node->name(), gathered_, node->flags);
    pack(node);
  }
  checker_.check_zone(*zone_);
  nodes.shrink();
  data_->rrsets.shrink();
  if (problems_->error_count() != 0) return nullptr;
  set_soa();
  return std::move(zone_);
}

}  // namespace postern::dns
