#include "cli/doctor_records.h"

#include "dns/message.h"
#include "dns/svcb.h"

namespace postern::cli {
namespace {

void take_alpn(Bytes value, HttpsRecords* out) {
  while (!value.empty() && value.size() > value[0]) {
    if (as_text(value.subspan(1, value[0])).starts_with("h3")) out->h3 = true;
    value = value.subspan(value[0] + std::size_t{1});
  }
}

void take_hints(Bytes value, std::size_t size, HttpsRecords* out) {
  for (; value.size() >= size; value = value.subspan(size)) {
    out->hints.push_back(size == 4 ? IpAddress::v4(value.data()) : IpAddress::v6(value.data()));
  }
}

// Priority, a name without compression, and parameters (RFC 9460 section 2.2).
void take_record(Bytes rdata, HttpsRecords* out) {
  out->any = true;
  std::size_t at = 2;
  while (at < rdata.size() && rdata[at] != 0) at += rdata[at] + std::size_t{1};
  for (++at; at + 4 <= rdata.size();) {
    const std::uint16_t key = load_u16(&rdata[at]);
    const std::size_t size = load_u16(&rdata[at + 2]);
    at += 4;
    if (size > rdata.size() - at) return;
    const Bytes value = rdata.subspan(at, size);
    at += size;
    if (key == dns::kSvcEch) out->ech = true;
    if (key == dns::kSvcAlpn) take_alpn(value, out);
    if (key == dns::kSvcIpv4Hint) take_hints(value, 4, out);
    if (key == dns::kSvcIpv6Hint) take_hints(value, 16, out);
  }
}

}  // namespace

std::size_t behind_question(Bytes reply) {
  std::size_t at = dns::kHeaderBytes;
  while (at < reply.size() && reply[at] != 0 && reply[at] < 0xC0) at += reply[at] + std::size_t{1};
  return at + 5;
}

HttpsRecords https_records(Bytes reply) {
  HttpsRecords records;
  if (reply.size() < dns::kHeaderBytes) return records;
  std::size_t offset = behind_question(reply);
  for (int left = dns::read_header(reply).count(dns::Section::kAnswer); left > 0; --left) {
    dns::RecordPosition record;
    if (!dns::read_record(reply, offset, &record)) break;
    offset = record.end;
    if (record.type != dns::RrType::kHttps) continue;
    take_record(reply.subspan(record.rdata, record.rdata_size), &records);
  }
  return records;
}

}  // namespace postern::cli
