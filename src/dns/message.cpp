#include "dns/message.h"

#include <algorithm>
#include <cstring>

namespace postern::dns {
namespace {

constexpr std::size_t kRecordFixedBytes = 10;  // type, class, ttl, rdlength
constexpr std::uint16_t kPointerMark = 0xc000;
constexpr std::size_t kPointerReachMax = 0x3fff;

constexpr std::uint8_t kAnyBytes = 0xff;

/// Where names stand in the rdata of a type: `before` bytes, then `names` names, then `after`
/// bytes.
struct NameLayout {
  std::uint8_t before = 0;
  std::uint8_t names = 0;
  bool compressible = false;  // on sending: types of RFC 1035 only (RFC 3597 section 4)
  std::uint8_t after = 0;
};

NameLayout name_layout(RrType type) {
  switch (type) {
    case RrType::kNs:
    case RrType::kMd:
    case RrType::kMf:
    case RrType::kCname:
    case RrType::kMb:
    case RrType::kMg:
    case RrType::kMr:
    case RrType::kPtr:
      return {0, 1, true};
    case RrType::kSoa:
      return {0, 2, true, 20};
    case RrType::kMinfo:
      return {0, 2, true};
    case RrType::kMx:
      return {2, 1, true};
    case RrType::kRp:
      return {0, 2, false};
    case RrType::kAfsdb:
    case RrType::kRt:
    case RrType::kKx:
      return {2, 1, false};
    case RrType::kPx:
      return {2, 2, false};
    case RrType::kSrv:
      return {6, 1, false};
    case RrType::kSig:
      return {18, 1, false, kAnyBytes};
    case RrType::kNxt:
      return {0, 1, false, kAnyBytes};
    case RrType::kDname:
      return {0, 1, false};
    default:
      return {};
  }
}

// NAPTR: two numbers and three character-strings stand before the name (RFC 3403 section 4.1).
std::size_t naptr_prefix(Bytes rdata) {
  std::size_t at = 4;
  for (int i = 0; i < 3 && at < rdata.size(); ++i) at += rdata[at] + 1U;
  return at;
}

/// Length of the uncompressed name that `bytes` begins with, 0 when there is none.
std::size_t plain_name_size(Bytes bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && bytes[at] != 0) {
    if (bytes[at] > kLabelBytesMax) return 0;
    at += bytes[at] + 1U;
  }
  return at < bytes.size() && at < kNameBytesMax ? at + 1 : 0;
}

}  // namespace

Header read_header(Bytes message) {
  Header header;
  header.id = load_u16(message.data());
  header.flags = load_u16(message.data() + 2);
  for (std::size_t i = 0; i < header.counts.size(); ++i) {
    header.counts[i] = load_u16(message.data() + 4 + 2 * i);
  }
  return header;
}

bool read_record(Bytes message, std::size_t offset, RecordPosition* out) {
  out->owner = offset;
  std::size_t at = offset;
  if (!skip_name(message, &at) || at + kRecordFixedBytes > message.size()) return false;
  const std::uint8_t* p = message.data() + at;
  out->type = static_cast<RrType>(load_u16(p));
  out->klass = load_u16(p + 2);
  out->ttl = load_u32(p + 4);
  out->ttl_offset = at + 4;
  out->rdata_size = load_u16(p + 8);
  out->rdata = at + kRecordFixedBytes;
  out->end = out->rdata + out->rdata_size;
  return out->end <= message.size();
}

int expand_rdata(Bytes message, const RecordPosition& record, MutableBytes out) {
  const Bytes rdata = message.subspan(record.rdata, record.rdata_size);
  NameLayout layout = name_layout(record.type);
  std::size_t before = layout.before;
  if (record.type == RrType::kNaptr) {
    before = naptr_prefix(rdata);
    layout.names = 1;
  }
  if (layout.names == 0) before = rdata.size();
  if (before > rdata.size() || before > out.size()) return -1;
  std::memcpy(out.data(), rdata.data(), before);
  std::size_t written = before;
  std::size_t at = record.rdata + before;
  std::array<std::uint8_t, kNameBytesMax> name;
  for (std::uint8_t i = 0; i < layout.names; ++i) {
    // Names end inside the rdata; what they point at may stand anywhere before.
    const std::size_t size = read_name(message.first(record.end), &at, name);
    if (size == 0 || written + size > out.size()) return -1;
    std::memcpy(out.data() + written, name.data(), size);
    written += size;
  }
  const std::size_t rest = record.end - at;
  if (layout.names != 0 && layout.after != kAnyBytes && rest != layout.after) return -1;
  if (layout.names != 0 && rest != 0) {
    if (written + rest > out.size()) return -1;
    std::memcpy(out.data() + written, message.data() + at, rest);
    written += rest;
  }
  return static_cast<int>(written);
}

MessageWriter::MessageWriter(MutableBytes buffer, std::size_t limit)
    : buffer_(buffer), limit_(std::min(limit, buffer.size())) {}

void MessageWriter::start(std::uint16_t id, std::uint16_t flags) {
  std::memset(buffer_.data(), 0, kHeaderBytes);
  store_u16(buffer_.data(), id);
  flags_ = flags;
  counts_ = {};
  size_ = kHeaderBytes;
  known_names_ = 0;
  question_name_size_ = 0;
}

bool MessageWriter::question(NameView name, RrType type, RrClass klass) {
  const std::size_t end = size_ + name.size() + 4;
  if (end + reserved_ > limit_) return false;
  std::memcpy(buffer_.data() + size_, name.wire().data(), name.size());
  std::size_t at = size_;
  question_name_size_ = static_cast<std::uint8_t>(name.size());
  while (buffer_[at] != 0) {
    remember(at, end - 4 - at);
    at += buffer_[at] + 1U;
  }
  store_u16(buffer_.data() + end - 4, static_cast<std::uint16_t>(type));
  store_u16(buffer_.data() + end - 2, static_cast<std::uint16_t>(klass));
  size_ = end;
  ++counts_[static_cast<std::size_t>(Section::kQuestion)];
  return true;
}

bool MessageWriter::record(Section section, NameView owner, RrType type, RrClass klass,
                           std::uint32_t ttl, Bytes rdata) {
  const Mark before = mark();
  if (!put_name(owner, true) || size_ + kRecordFixedBytes + reserved_ > limit_) {
    rewind(before);
    return false;
  }
  std::uint8_t* p = buffer_.data() + size_;
  store_u16(p, static_cast<std::uint16_t>(type));
  store_u16(p + 2, static_cast<std::uint16_t>(klass));
  store_u32(p + 4, ttl);
  const std::size_t ttl_offset = size_ + 4;
  size_ += kRecordFixedBytes;
  const std::size_t rdata_start = size_;
  if (!put_rdata(type, rdata)) {
    rewind(before);
    return false;
  }
  store_u16(buffer_.data() + rdata_start - 2, static_cast<std::uint16_t>(size_ - rdata_start));
  last_ttl_offset_ = ttl_offset;
  ++counts_[static_cast<std::size_t>(section)];
  return true;
}

MessageWriter::Mark MessageWriter::mark() const { return {size_, counts_, known_names_}; }

void MessageWriter::rewind(const Mark& mark) {
  size_ = mark.size;
  counts_ = mark.counts;
  known_names_ = mark.known_names;
}

bool MessageWriter::adopt(std::size_t bytes, std::uint16_t answers, std::uint16_t authorities,
                          std::uint16_t additionals) {
  if (size_ + bytes + reserved_ > limit_) return false;
  size_ += bytes;
  counts_[1] = static_cast<std::uint16_t>(counts_[1] + answers);
  counts_[2] = static_cast<std::uint16_t>(counts_[2] + authorities);
  counts_[3] = static_cast<std::uint16_t>(counts_[3] + additionals);
  return true;
}

Bytes MessageWriter::finish() {
  store_u16(buffer_.data() + 2, flags_);
  for (std::size_t i = 0; i < counts_.size(); ++i)
    store_u16(buffer_.data() + 4 + 2 * i, counts_[i]);
  return {buffer_.data(), size_};
}

bool MessageWriter::is_question(NameView name) const {
  if (name.wire().data() == question_alias_) return true;
  return question_name_size_ > 1 && name.size() == question_name_size_ &&
         equal_names(name, NameView(Bytes(buffer_.data() + kHeaderBytes, question_name_size_)));
}

bool MessageWriter::put_name(NameView name, bool is_owner) {
  if (is_owner && is_question(name)) return put_pointer(kHeaderBytes);
  NameView rest = name;
  while (!rest.is_root()) {
    std::uint16_t offset = 0;
    if (known_suffix(rest, is_owner, &offset)) return put_pointer(offset);
    const std::size_t start = size_;
    if (!put_bytes(rest.wire().first(rest.first_label().size() + 1))) return false;
    remember(start, rest.size());
    rest = rest.parent();
  }
  return put_bytes(rest.wire());
}

bool MessageWriter::put_pointer(std::size_t offset) {
  if (size_ + 2 + reserved_ > limit_) return false;
  store_u16(buffer_.data() + size_, static_cast<std::uint16_t>(kPointerMark | offset));
  size_ += 2;
  return true;
}

bool MessageWriter::put_bytes(Bytes bytes) {
  if (size_ + bytes.size() + reserved_ > limit_) return false;
  if (!bytes.empty()) std::memcpy(buffer_.data() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
  return true;
}

bool MessageWriter::put_rdata(RrType type, Bytes rdata) {
  const NameLayout layout = name_layout(type);
  if (!layout.compressible || rdata.size() < layout.before) return put_bytes(rdata);
  if (!put_bytes(rdata.first(layout.before))) return false;
  Bytes rest = rdata.subspan(layout.before);
  for (std::uint8_t i = 0; i < layout.names; ++i) {
    const std::size_t size = plain_name_size(rest);
    if (size == 0) break;  // not our layout: the bytes go as they are
    if (!put_name(NameView(rest.first(size)), false)) return false;
    rest = rest.subspan(size);
  }
  return put_bytes(rest);
}

// Compares label by label with what stands there, through the pointers that we wrote ourselves.
bool MessageWriter::stands_at(std::size_t offset, Bytes name, bool from_question) const {
  const std::size_t question_end = kHeaderBytes + question_name_size_;
  std::size_t at = offset;
  std::size_t matched = 0;
  while (matched < name.size()) {
    if (at >= size_ || (!from_question && at < question_end)) return false;
    if ((buffer_[at] & 0xc0) == 0xc0) {
      at = load_u16(buffer_.data() + at) & kPointerReachMax;
      continue;
    }
    const std::size_t label = buffer_[at] + 1U;
    if (matched + label > name.size() ||
        std::memcmp(buffer_.data() + at, name.data() + matched, label) != 0) {
      return false;
    }
    at += label;
    matched += label;
  }
  return true;
}

// Names of another length are passed over: otherwise a stranger could make every suffix of a long
// name be compared with all of many long names.
bool MessageWriter::known_suffix(NameView suffix, bool from_question, std::uint16_t* offset) const {
  for (std::uint8_t i = 0; i < known_names_; ++i) {
    if (known_sizes_[i] != suffix.size()) continue;
    if (!stands_at(known_[i], suffix.wire(), from_question)) continue;
    *offset = known_[i];
    return true;
  }
  return false;
}

void MessageWriter::remember(std::size_t offset, std::size_t name_size) {
  if (known_names_ == kKnownNamesMax || offset > kPointerReachMax) return;
  known_[known_names_] = static_cast<std::uint16_t>(offset);
  known_sizes_[known_names_] = static_cast<std::uint8_t>(name_size);
  ++known_names_;
}

}  // namespace postern::dns
