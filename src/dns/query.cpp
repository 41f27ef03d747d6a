#include "dns/query.h"

#include <algorithm>

namespace postern::dns {
namespace {

constexpr std::size_t kQuestionFixedBytes = 4;

// RFC 6891 section 6.1.2: options are code, length, value, up to the end of the rdata.
bool options_well_formed(Bytes rdata) {
  std::size_t at = 0;
  while (at < rdata.size()) {
    if (at + 4 > rdata.size()) return false;
    at += 4U + load_u16(rdata.data() + at + 2);
  }
  return at == rdata.size();
}

QueryFault read_opt(Bytes message, const RecordPosition& record, Query* out) {
  const bool root_owner = message[record.owner] == 0;
  if (out->edns || !root_owner) return QueryFault::kFormErr;  // RFC 6891 section 6.1.1
  out->edns = true;
  out->payload = std::max<std::uint16_t>(record.klass, kUdpPayloadMin);  // section 6.2.3
  out->dnssec_ok = (record.ttl & 0x8000U) != 0;
  const bool version_known = ((record.ttl >> 16) & 0xffU) == 0;
  if (!version_known) return QueryFault::kBadVers;
  const bool good = options_well_formed(message.subspan(record.rdata, record.rdata_size));
  return good ? QueryFault::kNone : QueryFault::kFormErr;
}

QueryFault read_records(Bytes message, const Header& header, std::size_t at, Query* out) {
  const std::size_t before_additional =
      std::size_t{header.count(Section::kAnswer)} + header.count(Section::kAuthority);
  const std::size_t total = before_additional + header.count(Section::kAdditional);
  QueryFault fault = QueryFault::kNone;
  for (std::size_t i = 0; i < total; ++i) {
    RecordPosition record;
    if (!read_record(message, at, &record)) return QueryFault::kFormErr;
    at = record.end;
    if (record.type != RrType::kOpt) continue;
    if (i < before_additional) return QueryFault::kFormErr;
    const QueryFault opt = read_opt(message, record, out);
    if (opt == QueryFault::kFormErr) return opt;
    if (opt != QueryFault::kNone) fault = opt;
  }
  return fault;
}

}  // namespace

QueryFault parse_query(Bytes message, Query* out) {
  if (message.size() < kHeaderBytes) return QueryFault::kSilence;
  const Header header = read_header(message);
  out->id = header.id;
  out->flags = header.flags;
  out->name_size = 0;
  out->edns = false;
  out->dnssec_ok = false;
  out->payload = kUdpPayloadMin;
  if ((header.flags & kFlagQr) != 0) return QueryFault::kSilence;
  if (header.opcode() == Opcode::kNotify || header.opcode() == Opcode::kUpdate) {
    return QueryFault::kRefused;
  }
  if (header.opcode() != Opcode::kQuery) return QueryFault::kNotImp;
  if (header.count(Section::kQuestion) != 1) return QueryFault::kFormErr;  // RFC 9619
  const std::size_t size = out->name.read(message, kHeaderBytes);
  const std::size_t at = kHeaderBytes + size;
  if (size == 0 || at + kQuestionFixedBytes > message.size()) return QueryFault::kFormErr;
  out->name_size = static_cast<std::uint8_t>(size);
  out->type = static_cast<RrType>(load_u16(message.data() + at));
  out->klass = static_cast<RrClass>(load_u16(message.data() + at + 2));
  const std::size_t question_end = at + kQuestionFixedBytes;
  if (question_end == message.size() && header.count(Section::kAnswer) == 0 &&
      header.count(Section::kAuthority) == 0 && header.count(Section::kAdditional) == 0) {
    return QueryFault::kNone;
  }
  return read_records(message, header, question_end, out);
}

}  // namespace postern::dns
