#include "dns/zone_rdata_fields.h"

#include <algorithm>
#include <utility>

#include "dns/name.h"
#include "dns/svcb.h"

namespace postern::dns {
namespace {

constexpr RrType kHip{55};
constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// The fields of each type, one character each:
//   n name · 1 2 4 number of so many bytes · t time · a IPv4 · 6 IPv6 · s string · g DNSSEC
//   algorithm · y record type · e RRSIG time · x hex or "-" behind its length · z base32hex behind
//   its length · and at the end: S strings · h hex · b base64 · q bytes as they are · Y type bitmap
//   X bitmap of NXT · p bytes of NSAP
// A comma after a last field means that it may be missing.
constexpr std::pair<RrType, std::string_view> kFields[] = {
    {RrType::kA, "a"},
    {RrType::kAaaa, "6"},
    {RrType::kNs, "n"},
    {RrType::kCname, "n"},
    {RrType::kPtr, "n"},
    {RrType::kMx, "2n"},
    {RrType::kTxt, "S"},
    {RrType::kSrv, "222n"},
    {RrType::kSoa, "nn4tttt"},
    {RrType::kDname, "n"},
    {RrType::kCaa, "1sq"},
    {RrType::kDs, "2g1h"},
    {RrType::kDnskey, "21gb"},
    {RrType::kRrsig, "yg1teE2nb"},
    {RrType::kSig, "yg1teE2nb"},
    {RrType::kNsec, "nY"},
    {RrType::kNsec3, "112xzY"},
    {RrType::kNsec3param, "112x"},
    {RrType::kTlsa, "111h"},
    {RrType::kCds, "2g1h"},
    {RrType::kCdnskey, "21gb"},
    {RrType::kCsync, "42Y"},
    {RrType::kZonemd, "411h"},
    {RrType::kMd, "n"},
    {RrType::kMf, "n"},
    {RrType::kMb, "n"},
    {RrType::kMg, "n"},
    {RrType::kMr, "n"},
    {RrType::kHinfo, "ss"},
    {RrType::kMinfo, "nn"},
    {RrType::kRp, "nn"},
    {RrType::kAfsdb, "2n"},
    {RrType::kRt, "2n"},
    {RrType::kKey, "21gb,"},
    {RrType::kPx, "2nn"},
    {RrType::kNaptr, "22sssn"},
    {RrType::kKx, "2n"},
    {RrType::kNxt, "nX"},
    {static_cast<RrType>(19), "s"},        // X25
    {static_cast<RrType>(20), "S"},        // ISDN
    {static_cast<RrType>(22), "p"},        // NSAP
    {static_cast<RrType>(23), "n"},        // NSAP-PTR
    {static_cast<RrType>(27), "sss"},      // GPOS
    {static_cast<RrType>(31), "h"},        // EID
    {static_cast<RrType>(32), "h"},        // NIMLOC
    {static_cast<RrType>(40), "111b"},     // SINK
    {static_cast<RrType>(44), "11h"},      // SSHFP
    {static_cast<RrType>(49), "b"},        // DHCID
    {static_cast<RrType>(53), "111h"},     // SMIMEA
    {static_cast<RrType>(56), "S"},        // NINFO
    {static_cast<RrType>(57), "21gb"},     // RKEY
    {static_cast<RrType>(58), "nn"},       // TALINK
    {static_cast<RrType>(61), "b"},        // OPENPGPKEY
    {static_cast<RrType>(66), "y122n"},    // DSYNC
    {static_cast<RrType>(67), "b"},        // HHIT
    {static_cast<RrType>(68), "b"},        // BRID
    {static_cast<RrType>(99), "S"},        // SPF
    {static_cast<RrType>(105), "2a"},      // L32
    {static_cast<RrType>(107), "2n"},      // LP
    {static_cast<RrType>(256), "22q"},     // URI
    {static_cast<RrType>(258), "S"},       // AVC
    {static_cast<RrType>(259), "441sb"},   // DOA
    {static_cast<RrType>(261), "S"},       // RESINFO
    {static_cast<RrType>(262), "S"},       // WALLET
    {static_cast<RrType>(32768), "2g1h"},  // TA
    {static_cast<RrType>(32769), "2g1h"},  // DLV
};

// Size of the name at the start of `bytes`.
std::size_t name_bytes(Bytes bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && at < kNameBytesMax) {
    const std::size_t label = bytes[at];
    if (label == 0) return at + 1;
    if (label > kLabelBytesMax) return kNone;
    at += label + 1;
  }
  return kNone;
}

std::size_t strings_bytes(Bytes rest) {
  std::size_t at = 0;
  while (at < rest.size()) at += rest[at] + 1U;
  return at == rest.size() && at != 0 ? at : kNone;
}

// RFC 4034 section 4.1.2.
std::size_t bitmap_bytes(Bytes rest) {
  int last = -1;
  std::size_t at = 0;
  while (at + 2 <= rest.size()) {
    const std::size_t size = rest[at + 1];
    if (rest[at] <= last || size == 0 || size > 32) return kNone;
    last = rest[at];
    at += 2 + size;
  }
  return at == rest.size() ? at : kNone;
}

// Bytes that a field takes at the start of `rest`; kNone when it is malformed. More than there is
// when it is cut short.
std::size_t field_bytes(char field, Bytes rest) {
  switch (field) {
    case 'n':
      return name_bytes(rest);
    case '1':
    case 'g':
      return 1;
    case '2':
    case 'y':
      return 2;
    case '4':
    case 't':
    case 'e':
    case 'E':
    case 'a':
      return 4;
    case '6':
      return 16;
    case 's':
    case 'x':
    case 'z':
      return rest.empty() ? kNone : rest[0] + std::size_t{1};
    case 'S':
      return strings_bytes(rest);
    case 'Y':
      return bitmap_bytes(rest);
    case 'q':
      return rest.size();
    default:  // h b X p: at least a byte
      return rest.empty() ? kNone : rest.size();
  }
}

template <class Visitor>  // void visit(char field, std::size_t at, std::size_t size)
bool walk_fields(std::string_view fields, Bytes rdata, Visitor visit) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < fields.size() && fields[i] != ','; ++i) {
    const bool optional = i + 1 < fields.size() && fields[i + 1] == ',';
    if (optional && at == rdata.size()) return true;
    const std::size_t size = field_bytes(fields[i], rdata.subspan(at));
    if (size > rdata.size() - at) return false;
    visit(fields[i], at, size);
    at += size;
  }
  return at == rdata.size();
}

void lower(std::string* text, std::size_t at, std::size_t size) {
  for (std::size_t i = at; i < at + size && i < text->size(); ++i) {
    (*text)[i] = static_cast<char>(lower_byte(static_cast<std::uint8_t>((*text)[i])));
  }
}

}  // namespace

std::string_view rdata_fields(RrType type) {
  for (const auto& [known, fields] : kFields) {
    if (known == type) return fields;
  }
  return {};
}

bool rdata_well_formed(RrType type, Bytes rdata) {
  if (type == RrType::kSvcb || type == RrType::kHttps) return svcb_well_formed(rdata);
  const std::string_view fields = rdata_fields(type);
  if (fields.empty()) return ldns_reads(type, rdata);
  return walk_fields(fields, rdata, [](char, std::size_t, std::size_t) {});
}

std::string comparable_rdata(RrType type, Bytes rdata) {
  std::string text(as_text(rdata));
  if (type == RrType::kSvcb || type == RrType::kHttps) {
    lower(&text, 2, svcb_target(rdata).size());
  } else if (type == kHip && rdata.size() > 4) {  // names of rendezvous servers behind the key
    const std::size_t names = std::size_t{4} + rdata[0] + load_u16(rdata.data() + 2);
    if (names < text.size()) lower(&text, names, text.size() - names);
  }
  walk_fields(rdata_fields(type), rdata, [&](char field, std::size_t at, std::size_t size) {
    if (field == 'n') lower(&text, at, size);
  });
  return text;
}

}  // namespace postern::dns
