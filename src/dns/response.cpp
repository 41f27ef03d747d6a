#include "dns/response.h"

namespace postern::dns {
namespace {

constexpr std::uint16_t kPointerToQuestion = 0xc000 | kHeaderBytes;

}  // namespace

bool Response::parse(Bytes message, const LookupName& question) {
  message_ = message;
  header_ = read_header(message);
  question_ = owner_at(question);
  rcode_ = header_.flags & kRcodeMask;
  size_ = 0;
  std::size_t at = kHeaderBytes;
  if (!skip_name(message, &at) || at + 4 > message.size()) return false;
  at += 4;
  for (const Section section : {Section::kAnswer, Section::kAuthority, Section::kAdditional}) {
    for (std::uint16_t i = 0; i < header_.count(section); ++i) {
      if (!index_record(&at, section)) return false;
    }
  }
  return true;
}

bool Response::index_record(std::size_t* at, Section section) {
  if (size_ == records_.size()) return false;
  ResponseRecord& record = records_[size_];
  if (!read_record(message_, *at, &record.at)) return false;
  *at = record.at.end;
  if (record.at.type == RrType::kOpt && section == Section::kAdditional) {
    if (message_[record.at.owner] != 0) return false;  // RFC 6891 section 6.1.2
    rcode_ = static_cast<std::uint16_t>(rcode_ | ((record.at.ttl >> 24) << 4));
    return true;
  }
  record.section = section;
  record.used = false;
  record.covered = RrType{};
  if (record.at.type == RrType::kRrsig && record.at.rdata_size >= 2) {
    record.covered = static_cast<RrType>(load_u16(message_.data() + record.at.rdata));
  }
  if (!hash_owner(&record)) return false;
  ++size_;
  return true;
}

bool Response::hash_owner(ResponseRecord* record) {
  const std::uint8_t* owner = message_.data() + record->at.owner;
  if (load_u16(owner) == kPointerToQuestion) {
    record->owner_hash = question_.hash;
    return true;
  }
  // Records of one RRset mostly point at the same place.
  if (size_ > 0 && owner[0] >= 0xc0) {
    const std::uint8_t* last = message_.data() + records_[size_ - 1].at.owner;
    if (load_u16(last) == load_u16(owner)) {
      record->owner_hash = records_[size_ - 1].owner_hash;
      return true;
    }
  }
  std::array<std::uint8_t, kNameBytesMax> name;
  std::size_t at = record->at.owner;
  const std::size_t size = read_name(message_, &at, name);
  if (size == 0) return false;
  record->owner_hash = hash_name(NameView(Bytes(name.data(), size)));
  return true;
}

bool Response::owner_is(const ResponseRecord& record, const OwnerName& owner) const {
  if (record.owner_hash != owner.hash) return false;
  if (owner.name.wire().data() == question_.name.wire().data() &&
      load_u16(message_.data() + record.at.owner) == kPointerToQuestion) {
    return true;
  }
  std::array<std::uint8_t, kNameBytesMax> name;
  std::size_t at = record.at.owner;
  const std::size_t size = read_name(message_, &at, name);
  return equal_names(NameView(Bytes(name.data(), size)), owner.name);
}

NameView Response::read_owner(const ResponseRecord& record,
                              std::array<std::uint8_t, kNameBytesMax>& out) {
  std::size_t at = record.at.owner;
  const std::size_t size = read_name(message_, &at, out);
  return NameView(Bytes(out.data(), size));
}

}  // namespace postern::dns
