// HTTPS and SVCB records (RFC 9460): checked and edited as bytes, so that no browser learns of h3
// or ECH for a name that is served inside. What is not edited stays byte for byte, unknown keys
// too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "dns/name.h"
#include "dns/suffix_table.h"

namespace postern::dns {

inline constexpr std::uint16_t kSvcMandatory = 0;
inline constexpr std::uint16_t kSvcAlpn = 1;
inline constexpr std::uint16_t kSvcNoDefaultAlpn = 2;
inline constexpr std::uint16_t kSvcPort = 3;
inline constexpr std::uint16_t kSvcIpv4Hint = 4;
inline constexpr std::uint16_t kSvcEch = 5;
inline constexpr std::uint16_t kSvcIpv6Hint = 6;
inline constexpr std::uint16_t kSvcDohPath = 7;

enum class SignedAnswers : std::uint8_t {
  kEdit,      ///< edit, drop the RRSIG, clear AD, say so by EDE
  kPreserve,  ///< leave a signed RRset to a client with DO=1 as it is
};

/// [dns.svcb]
struct SvcbSettings {
  std::vector<std::string> strip_alpn{"h3", "h3-*"};  ///< a final * matches any rest
  std::vector<std::uint16_t> drop_keys;
  std::vector<Name> except;  ///< these names and all under them are left untouched
  SignedAnswers signed_answers = SignedAnswers::kEdit;
};

/// "ech", "ipv4hint", "key65400" (RFC 9460 section 14.3.2).
Result<std::uint16_t> parse_svc_key(std::string_view text);
std::string svc_key_text(std::uint16_t key);

/// What was done to HTTPS and SVCB records, as bits. Those below 0x100 stand in an image.
inline constexpr std::uint16_t kSvcbH3Removed = 1;
inline constexpr std::uint16_t kSvcbAlpnRemoved = 2;  ///< another id than h3 and its drafts
inline constexpr std::uint16_t kSvcbEchRemoved = 4;
inline constexpr std::uint16_t kSvcbHintsRemoved = 8;
inline constexpr std::uint16_t kSvcbKeyRemoved = 0x10;
inline constexpr std::uint16_t kSvcbRecordRemoved = 0x20;
inline constexpr std::uint16_t kSvcbForOverride = 0x40;  ///< because of a name of ours
inline constexpr std::uint16_t kSvcbForRebind = 0x80;    ///< because of a private address only
inline constexpr std::uint16_t kSvcbDenied = 0x100;      ///< an override says that there is none
inline constexpr std::uint16_t kSvcbMade = 0x200;        ///< an override says what there is

/// What to take out of a record.
struct SvcbEdits {
  const std::vector<std::string>* strip_alpn = nullptr;
  const std::vector<std::uint16_t>* drop_keys = nullptr;
  bool drop_ech_and_hints = false;
  bool drop_hints = false;  ///< ipv4hint and ipv6hint only
};

enum class SvcbOutcome : std::uint8_t {
  kUnchanged,
  kEdited,     ///< `out` has the new rdata
  kWithheld,   ///< nothing usable is left: the record goes
  kMalformed,  ///< breaks RFC 9460 section 2.2: the record goes
};

/// Wire errors only (RFC 9460 section 2.2: order, duplicates, lengths; section 7 and 8: values,
/// mandatory). In AliasMode the values of parameters are ignored (section 2.4.2) and only their
/// framing counts. `why` gets a reason for people when it is not nullptr.
bool svcb_well_formed(Bytes rdata, std::string* why = nullptr);

/// `rdata` is uncompressed. REQUIRES: out.size() >= rdata.size(), no overlap. AliasMode records
/// (priority 0) are never edited. Does not allocate.
///
/// A record that loses its last ALPN id loses the alpn key and then stands for the default
/// protocol; with no-default-alpn nothing is left of it and it is withheld, and so is one with
/// dohpath, since DNS servers have no default protocol (RFC 9461 section 4.1). A mandatory key
/// (section 8) that goes takes the record along, for its owner says that the endpoint must not be
/// used without it (a browser then connects by A and AAAA, which is always safe); only address
/// hints leave the list alone, since A and AAAA say the same (section 7.3).
SvcbOutcome edit_svcb(Bytes rdata, const SvcbEdits& edits, MutableBytes out, std::size_t* out_size);

/// What edit_svcb() took out of a record: kSvcbH3Removed and others.
/// REQUIRES: both well-formed and none an alias.
std::uint16_t svcb_difference(Bytes before, Bytes after);

inline bool svcb_is_alias(Bytes rdata) { return load_u16(rdata.data()) == 0; }
/// REQUIRES: svcb_well_formed(rdata). The TargetName; the root stands for the owner's own name.
NameView svcb_target(Bytes rdata);
/// REQUIRES: svcb_well_formed(rdata). The value of `key`, empty when it is not there.
Bytes svcb_value(Bytes rdata, std::uint16_t key);

}  // namespace postern::dns
