#include "dns/reply.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace postern::dns {
namespace {

constexpr std::size_t kOptBytes = 11;
constexpr std::uint16_t kOptionEde = 15;

// A stored body with header and question in front again, so that its pointers are true.
struct Scratch {
  std::array<std::uint8_t, kMessageBytesMax + 1> message;
  std::array<std::uint8_t, kMessageBytesMax + 1> rdata;
};

thread_local const std::unique_ptr<Scratch> scratch_room = std::make_unique<Scratch>();

bool same_rrset(Bytes message, const RecordPosition& a, const RecordPosition& b) {
  if (a.type != b.type) return false;
  std::array<std::uint8_t, kNameBytesMax> name_a;
  std::array<std::uint8_t, kNameBytesMax> name_b;
  std::size_t at_a = a.owner;
  std::size_t at_b = b.owner;
  const std::size_t size_a = read_name(message, &at_a, name_a);
  const std::size_t size_b = read_name(message, &at_b, name_b);
  return equal_names(NameView(Bytes(name_a.data(), size_a)),
                     NameView(Bytes(name_b.data(), size_b)));
}

bool copy_record(Bytes message, const RecordPosition& record, Section section, MutableBytes rdata,
                 MessageWriter* writer) {
  std::array<std::uint8_t, kNameBytesMax> owner;
  std::size_t at = record.owner;
  const std::size_t owner_size = read_name(message, &at, owner);
  const int rdata_size = expand_rdata(message, record, rdata);
  if (owner_size == 0 || rdata_size < 0) return false;
  return writer->record(section, NameView(Bytes(owner.data(), owner_size)), record.type,
                        static_cast<RrClass>(record.klass), record.ttl,
                        rdata.first(static_cast<std::size_t>(rdata_size)));
}

// Copies one section; false when an RRset did not fit, and then nothing of it was written.
bool copy_section(Bytes message, std::size_t* at, std::uint16_t count, Section section,
                  MutableBytes rdata, MessageWriter* writer) {
  MessageWriter::Mark rrset_start = writer->mark();
  RecordPosition previous;
  for (std::uint16_t i = 0; i < count; ++i) {
    RecordPosition record;
    if (!read_record(message, *at, &record)) return false;
    if (i == 0 || !same_rrset(message, previous, record)) rrset_start = writer->mark();
    if (!copy_record(message, record, section, rdata, writer)) {
      writer->rewind(rrset_start);
      return false;
    }
    *at = record.end;
    previous = record;
  }
  return true;
}

// The target of the last CNAME in the answer section; 0 when there is none.
std::size_t last_cname_target(Bytes message, std::size_t at, std::uint16_t answers,
                              std::array<std::uint8_t, kNameBytesMax>* out) {
  std::size_t size = 0;
  for (std::uint16_t i = 0; i < answers; ++i) {
    RecordPosition record;
    if (!read_record(message, at, &record)) break;
    at = record.end;
    if (record.type != RrType::kCname) continue;
    std::size_t name_at = record.rdata;
    size = read_name(message, &name_at, *out);
  }
  return size;
}

}  // namespace

Reply::Reply(const Query& query, Bytes message, MutableBytes buffer, std::size_t limit,
             std::uint16_t payload)
    : query_(query),
      writer_(buffer, limit),
      payload_(payload),
      flags_(
          static_cast<std::uint16_t>(kFlagQr | (query.flags & (kOpcodeMask | kFlagRd | kFlagCd)))) {
  writer_.start(query.id, flags_);
  if (query.edns) writer_.reserve(kOptBytes);
  if (query.name_size != 0) {
    writer_.question(NameView(message.subspan(kHeaderBytes, query.name_size)), query.type,
                     query.klass);
    if (query.name_size > 1) writer_.alias_question(query.name.name());
  }
  empty_ = writer_.mark();
}

void Reply::set_ede(Ede code, std::string_view text) {
  if (ede_ != kNoEde) return;
  ede_ = static_cast<std::uint16_t>(code);
  ede_text_ = text;
}

void Reply::clear() {
  writer_.rewind(empty_);
  ede_ = kNoEde;
  ede_text_ = {};
  rcode_ = Rcode::kNoError;
  flags_ = static_cast<std::uint16_t>(flags_ & ~(kFlagTc | kFlagAa | kFlagAd));
}

bool Reply::add(Section section, NameView owner, RrType type, std::uint32_t ttl, Bytes rdata,
                RrClass klass) {
  if (writer_.record(section, owner, type, klass, ttl, rdata)) return true;
  if (section != Section::kAdditional) set_flag(kFlagTc);
  return false;
}

bool Reply::add_rrset(Section section, NameView owner, const RrsetView& rrset) {
  const MessageWriter::Mark before = writer_.mark();
  const bool whole = rrset.for_each(
      [&](Bytes rdata) { return add(section, owner, rrset.type, rrset.ttl, rdata); });
  if (!whole) writer_.rewind(before);
  return whole;
}

void Reply::add_soa(NameView owner, std::uint32_t ttl, Bytes rdata) {
  add(Section::kAuthority, owner, RrType::kSoa, ttl, rdata);
}

bool Reply::adopt_body(const ImageHead& head) {
  return writer_.adopt(head.body_size, head.answers, head.authorities, head.additionals);
}

std::size_t Reply::add_image(const LookupName& name, const ImageHead& head, Bytes body,
                             std::array<std::uint8_t, kNameBytesMax>* chain_end) {
  Scratch& room = *scratch_room;
  const std::size_t start = kHeaderBytes + name.name().size() + 4;
  std::memcpy(room.message.data() + kHeaderBytes, name.name().wire().data(), name.name().size());
  std::memcpy(room.message.data() + start, body.data(), body.size());
  const Bytes message(room.message.data(), start + body.size());
  std::size_t at = start;
  if (!copy_section(message, &at, head.answers, Section::kAnswer, room.rdata, &writer_)) {
    set_flag(kFlagTc);
    return 0;
  }
  if (chain_end != nullptr) return last_cname_target(message, start, head.answers, chain_end);
  if (!copy_section(message, &at, head.authorities, Section::kAuthority, room.rdata, &writer_)) {
    set_flag(kFlagTc);  // a SOA or a proof (RFC 4035 section 3.1.1) is part of the answer
    return 0;
  }
  copy_section(message, &at, head.additionals, Section::kAdditional, room.rdata, &writer_);
  return 0;
}

std::size_t Reply::finish() {
  if (query_.edns) put_opt();
  const auto low_rcode =
      static_cast<std::uint16_t>(static_cast<std::uint16_t>(rcode_) & kRcodeMask);
  writer_.set_flags(static_cast<std::uint16_t>(flags_ | low_rcode));
  return writer_.finish().size();
}

void Reply::put_opt() {
  writer_.release_reserved();
  const std::uint32_t extended = static_cast<std::uint32_t>(rcode_) >> 4;
  const std::uint32_t ttl = (extended << 24) | (query_.dnssec_ok ? 0x8000U : 0U);
  std::array<std::uint8_t, 6 + kEdeTextMax> option;
  std::size_t option_size = 0;
  if (ede_ != kNoEde) {
    const std::size_t text_size = std::min(ede_text_.size(), kEdeTextMax);
    store_u16(option.data(), kOptionEde);
    store_u16(option.data() + 2, static_cast<std::uint16_t>(2 + text_size));
    store_u16(option.data() + 4, ede_);
    std::copy_n(ede_text_.data(), text_size, option.data() + 6);
    option_size = 6 + text_size;
  }
  const auto klass = static_cast<RrClass>(payload_);
  const Bytes options(option.data(), option_size);
  if (writer_.record(Section::kAdditional, NameView(), RrType::kOpt, klass, ttl, options)) return;
  writer_.record(Section::kAdditional, NameView(), RrType::kOpt, klass, ttl, {});
}

}  // namespace postern::dns
