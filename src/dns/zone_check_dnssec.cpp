#include "dns/zone_check_dnssec.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace postern::dns {
namespace {

constexpr RrType kSpf{99};
constexpr std::uint8_t kDigestSha1 = 1;
constexpr std::uint8_t kDnssecProtocol = 3;
constexpr std::size_t kRrsigHeadBytes = 18;
constexpr std::size_t kDnskeyHeadBytes = 4;  // flags, protocol, algorithm

// RFC 8624 section 3.1: what no longer signs.
bool is_deprecated_algorithm(std::uint8_t algorithm) {
  constexpr std::uint8_t kDeprecated[] = {1, 3, 5, 6, 7, 12};
  return std::find(std::begin(kDeprecated), std::end(kDeprecated), algorithm) !=
         std::end(kDeprecated);
}

// RFC 4034 appendix B.
std::uint16_t key_tag(Bytes dnskey) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < dnskey.size(); ++i) {
    sum += (i & 1) != 0 ? dnskey[i] : std::uint32_t{dnskey[i]} << 8;
  }
  return static_cast<std::uint16_t>(sum + (sum >> 16));
}

// KEY is for SIG(0) and old; only what named-checkzone minds there.
bool is_deprecated_for_key(std::uint8_t algorithm) { return algorithm == 5 || algorithm == 7; }

bool has_key_of(PlacedRecords keys, Bytes cds) {
  return std::any_of(keys.begin(), keys.end(), [&](const PlacedRecord& key) {
    return key.rdata.size() > kDnskeyHeadBytes && key.rdata[3] == cds[2] &&
           key_tag(key.rdata) == load_u16(cds.data());
  });
}

// RFC 7344 section 4.1; algorithm 0 asks for the DS to go (RFC 8078 section 4).
void check_cds(PlacedRecords records, ZoneProblems* problems) {
  const PlacedRecords keys = records_of(records, RrType::kDnskey);
  for (const PlacedRecord& record : records_of(records, RrType::kCds)) {
    if (record.rdata.size() < kDnskeyHeadBytes || record.rdata[2] == 0) continue;
    if (!has_key_of(keys, record.rdata)) {
      problems->error(record.place, "CDS: no DNSKEY here has this tag and algorithm");
    }
  }
  for (const PlacedRecord& record : records_of(records, RrType::kCdnskey)) {
    if (record.rdata.size() < kDnskeyHeadBytes || record.rdata[3] == 0) continue;
    const bool known = std::any_of(keys.begin(), keys.end(), [&](const PlacedRecord& key) {
      return equal_bytes(key.rdata, record.rdata);
    });
    if (!known) problems->error(record.place, "CDNSKEY: no DNSKEY here is the same");
  }
}

void check_ds(NameView owner, PlacedRecords records, bool at_apex, ZoneProblems* problems) {
  const PlacedRecords ds = records_of(records, RrType::kDs);
  if (ds.empty()) return;
  if (at_apex) {
    problems->error(ds[0].place, "DS at the apex; it belongs into the zone above");
  } else if (records_of(records, RrType::kNs).empty()) {
    problems->warning(ds[0].place, fmt::format("{} has a DS but no NS", name_text(owner)));
  }
}

void check_algorithm(const PlacedRecord& record, ZoneProblems* problems) {
  const bool digest = record.type == RrType::kDs || record.type == RrType::kCds;
  const bool key = record.type == RrType::kDnskey || record.type == RrType::kKey ||
                   record.type == RrType::kCdnskey;
  if ((!digest && !key) || record.rdata.size() < kDnskeyHeadBytes) return;
  const std::uint8_t algorithm = record.rdata[digest ? 2 : 3];
  if (record.type == RrType::kKey ? is_deprecated_for_key(algorithm)
                                  : is_deprecated_algorithm(algorithm)) {
    problems->warning(record.place, fmt::format("{}: algorithm {} is deprecated (RFC 8624)",
                                                type_text(record.type), algorithm));
  }
  if (record.type == RrType::kDnskey && record.rdata[2] != kDnssecProtocol) {
    problems->warning(record.place, fmt::format("DNSKEY: protocol {}; only 3 is valid (RFC 4034 "
                                                "section 2.1.2)",
                                                record.rdata[2]));
  }
  if (digest && record.rdata[3] == kDigestSha1) {
    problems->warning(record.place, fmt::format("{}: digest type 1 (SHA-1) is deprecated",
                                                type_text(record.type)));
  }
}

bool is_base32hex(std::uint8_t c) {
  const std::uint8_t lower = lower_byte(c);
  return (lower >= '0' && lower <= '9') || (lower >= 'a' && lower <= 'v');
}

// RFC 5155 section 3.
void check_nsec3_owner(NameView owner, PlacedRecords records, ZoneProblems* problems) {
  const PlacedRecords nsec3 = records_of(records, RrType::kNsec3);
  if (nsec3.empty()) return;
  const Bytes label = owner.is_root() ? Bytes() : owner.first_label();
  if (label.empty() || !std::all_of(label.begin(), label.end(), is_base32hex)) {
    problems->error(nsec3[0].place,
                    fmt::format("{}: the owner of an NSEC3 is a hash in base32hex without padding",
                                name_text(owner)));
    return;
  }
  for (const PlacedRecord& record : nsec3) {
    const std::size_t own = label.size() * 5 / 8;
    const std::size_t next = record.rdata[std::size_t{5} + record.rdata[4]];
    if (own == next) continue;
    problems->error(
        record.place,
        fmt::format("NSEC3: the owner's hash has {} bytes, the next one {}", own, next));
  }
}

// RFC 4034 sections 3.1.3 and 3.1.7.
void check_signature(NameView owner, NameView apex, const PlacedRecord& record,
                     ZoneProblems* problems) {
  const std::size_t labels = owner.label_count() - (owner.is_wildcard() ? 1 : 0);
  if (record.rdata[3] > labels) {
    problems->warning(record.place,
                      fmt::format("RRSIG: {} labels; the owner has {}", record.rdata[3], labels));
  }
  std::size_t end = kRrsigHeadBytes;
  while (record.rdata[end] != 0) end += record.rdata[end] + 1U;
  const NameView signer(record.rdata.subspan(kRrsigHeadBytes, end + 1 - kRrsigHeadBytes));
  if (equal_names(signer, apex)) return;
  problems->warning(record.place, fmt::format("RRSIG: the signer is {}, the zone is {}",
                                              name_text(signer), name_text(apex)));
}

// RFC 4034 section 2.1.1, RFC 5155 section 4, RFC 7344 section 4.1, RFC 7477, RFC 8976 section 2.
bool belongs_to_apex(RrType type) {
  return type == RrType::kDnskey || type == RrType::kNsec3param || type == RrType::kCds ||
         type == RrType::kCdnskey || type == RrType::kCsync || type == RrType::kZonemd;
}

void check_place(NameView owner, const PlacedRecord& record, bool at_apex, ZoneProblems* problems) {
  if (at_apex || !belongs_to_apex(record.type)) return;
  problems->warning(record.place, fmt::format("{} {} means nothing away from the apex",
                                              name_text(owner), type_text(record.type)));
}

bool has_spf_text(PlacedRecords records, RrType type) {
  const PlacedRecords those = records_of(records, type);
  return std::any_of(those.begin(), those.end(), [](const PlacedRecord& record) {
    return record.rdata.size() > 1 && as_text(record.rdata.subspan(1)).starts_with("v=spf1");
  });
}

void check_spf(PlacedRecords records, ZoneProblems* problems) {
  if (!has_spf_text(records, kSpf) || has_spf_text(records, RrType::kTxt)) return;
  problems->warning(records_of(records, kSpf)[0].place,
                    "SPF without a TXT record that says the same (RFC 7208 section 3.1)");
}

}  // namespace

void check_dnssec_records(NameView owner, NameView apex, PlacedRecords records,
                          ZoneProblems* problems) {
  const bool at_apex = equal_names(owner, apex);
  if (at_apex) check_cds(records, problems);
  check_ds(owner, records, at_apex, problems);
  check_nsec3_owner(owner, records, problems);
  check_spf(records, problems);
  for (const PlacedRecord& record : records) {
    check_algorithm(record, problems);
    check_place(owner, record, at_apex, problems);
    if (record.type == RrType::kRrsig) check_signature(owner, apex, record, problems);
  }
}

}  // namespace postern::dns
