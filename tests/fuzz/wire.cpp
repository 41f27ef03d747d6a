#include "wire.h"

#include <memory>

#include <ldns/ldns.h>

namespace postern::fuzz {
namespace {

char lower(std::uint8_t c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); }

bool walk_record(Bytes message, std::size_t* at, int section, WireRecord* out) {
  out->section = section;
  if (!walk_name(message, at, &out->owner) || *at + 10 > message.size()) return false;
  const std::uint8_t* p = message.data() + *at;
  out->type = load_u16(p);
  out->klass = load_u16(p + 2);
  out->ttl = load_u32(p + 4);
  const std::size_t size = load_u16(p + 8);
  out->rdata_at = *at + 10;
  if (out->rdata_at + size > message.size()) return false;
  out->rdata = message.subspan(out->rdata_at, size);
  *at = out->rdata_at + size;
  return true;
}

struct FreePacket {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};

std::string bytes_of(const ldns_rdf* rdf) {
  return std::string(as_text(Bytes(ldns_rdf_data(rdf), ldns_rdf_size(rdf))));
}

LdnsRecord record_of(const ldns_rr* rr) {
  LdnsRecord record;
  for (const char c : bytes_of(ldns_rr_owner(rr))) {
    record.owner.push_back(lower(static_cast<std::uint8_t>(c)));
  }
  record.type = static_cast<std::uint16_t>(ldns_rr_get_type(rr));
  record.ttl = ldns_rr_ttl(rr);
  for (std::size_t i = 0; i < ldns_rr_rd_count(rr); ++i) {
    record.rdata += bytes_of(ldns_rr_rdf(rr, i));
  }
  return record;
}

}  // namespace

bool walk_name(Bytes message, std::size_t* at, std::string* out) {
  out->clear();
  std::size_t here = *at;
  bool jumped = false;
  std::size_t lowest = here;
  while (here < message.size()) {
    const std::size_t length = message[here];
    if (length >= 0xc0) {
      if (here + 2 > message.size()) return false;
      const std::size_t target = load_u16(message.data() + here) & 0x3fffU;
      if (target >= lowest) return false;
      if (!jumped) *at = here + 2;
      jumped = true;
      here = lowest = target;
      continue;
    }
    if (length > 63 || here + 1 + length > message.size()) return false;
    out->push_back(static_cast<char>(length));
    for (std::size_t i = 1; i <= length; ++i) out->push_back(lower(message[here + i]));
    if (out->size() > 255) return false;
    here += 1 + length;
    if (length != 0) continue;
    if (!jumped) *at = here;
    return true;
  }
  return false;
}

bool walk_message(Bytes message, WireMessage* out) {
  if (message.size() < 12) return false;
  out->id = load_u16(message.data());
  out->flags = load_u16(message.data() + 2);
  std::size_t at = 12;
  for (int i = 0; i < load_u16(message.data() + 4); ++i) {
    WireQuestion question;
    if (!walk_name(message, &at, &question.name) || at + 4 > message.size()) return false;
    question.type = load_u16(message.data() + at);
    question.klass = load_u16(message.data() + at + 2);
    at += 4;
    out->questions.push_back(std::move(question));
  }
  for (int section = 1; section <= 3; ++section) {
    for (int i = 0; i < load_u16(message.data() + 4 + 2 * section); ++i) {
      WireRecord record;
      if (!walk_record(message, &at, section, &record)) return false;
      out->records.push_back(std::move(record));
    }
  }
  out->end = at;
  return true;
}

bool wire_at_or_below(const std::string& name, const std::string& parent) {
  std::size_t at = 0;
  while (name.size() - at > parent.size()) at += static_cast<std::uint8_t>(name[at]) + 1U;
  return name.size() - at == parent.size() && name.compare(at, parent.size(), parent) == 0;
}

std::string wire_of(const char* text) {
  std::string wire;
  std::string label;
  for (const char* c = text;; ++c) {
    if (*c != '.' && *c != 0) {
      label.push_back(*c);
      continue;
    }
    if (!label.empty()) wire += static_cast<char>(label.size()) + label;
    label.clear();
    if (*c == 0) return wire + '\0';
  }
}

bool ldns_reads(Bytes message) {
  std::vector<LdnsRecord> records;
  return ldns_records(message, &records);
}

bool ldns_records(Bytes message, std::vector<LdnsRecord>* out) {
  ldns_pkt* read = nullptr;
  const ldns_status status = ldns_wire2pkt(&read, message.data(), message.size());
  const std::unique_ptr<ldns_pkt, FreePacket> packet(read);
  if (status != LDNS_STATUS_OK) return false;
  for (const ldns_rr_list* list :
       {ldns_pkt_answer(read), ldns_pkt_authority(read), ldns_pkt_additional(read)}) {
    for (std::size_t i = 0; i < ldns_rr_list_rr_count(list); ++i) {
      const ldns_rr* rr = ldns_rr_list_rr(list, i);
      const ldns_rr_type type = ldns_rr_get_type(rr);
      if (type != LDNS_RR_TYPE_OPT && type != LDNS_RR_TYPE_TSIG) out->push_back(record_of(rr));
    }
  }
  return true;
}

bool walk_svcb(Bytes rdata, std::uint16_t* priority, std::string* target,
               std::vector<WireParam>* params) {
  if (rdata.size() < 3) return false;
  *priority = load_u16(rdata.data());
  std::size_t at = 2;
  for (;;) {
    if (at >= rdata.size() || rdata[at] > 63) return false;
    const std::size_t label = rdata[at];
    at += 1 + label;
    if (label == 0) break;
  }
  if (at > 257) return false;
  target->clear();
  for (std::size_t i = 2; i < at; ++i) target->push_back(lower(rdata[i]));
  while (at < rdata.size()) {
    if (at + 4 > rdata.size()) return false;
    const std::size_t size = load_u16(rdata.data() + at + 2);
    if (at + 4 + size > rdata.size()) return false;
    params->push_back({load_u16(rdata.data() + at), rdata.subspan(at + 4, size)});
    at += 4 + size;
  }
  return true;
}

std::vector<std::string> alpn_ids(Bytes value) {
  std::vector<std::string> ids;
  while (!value.empty() && value[0] < value.size()) {
    ids.emplace_back(as_text(value.subspan(1, value[0])));
    value = value.subspan(value[0] + 1U);
  }
  return ids;
}

}  // namespace postern::fuzz
