// The numbers of the DNS that Postern acts on (IANA "Domain Name System (DNS) Parameters").
// Enumerations stay open: any 16-bit value may be cast in and is carried unharmed (RFC 3597).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace postern::dns {

enum class RrType : std::uint16_t {
  kA = 1,
  kNs = 2,
  kMd = 3,
  kMf = 4,
  kCname = 5,
  kSoa = 6,
  kMb = 7,
  kMg = 8,
  kMr = 9,
  kNull = 10,
  kPtr = 12,
  kHinfo = 13,
  kMinfo = 14,
  kMx = 15,
  kTxt = 16,
  kRp = 17,
  kAfsdb = 18,
  kRt = 21,
  kSig = 24,
  kKey = 25,
  kPx = 26,
  kAaaa = 28,
  kNxt = 30,
  kSrv = 33,
  kNaptr = 35,
  kKx = 36,
  kDname = 39,
  kOpt = 41,
  kDs = 43,
  kRrsig = 46,
  kNsec = 47,
  kDnskey = 48,
  kNsec3 = 50,
  kNsec3param = 51,
  kTlsa = 52,
  kCds = 59,
  kCdnskey = 60,
  kCsync = 62,
  kZonemd = 63,
  kSvcb = 64,
  kHttps = 65,
  kTkey = 249,
  kTsig = 250,
  kIxfr = 251,
  kAxfr = 252,
  kMailb = 253,
  kMaila = 254,
  kAny = 255,
  kCaa = 257,
};

enum class RrClass : std::uint16_t { kIn = 1, kCh = 3, kHs = 4, kNone = 254, kAny = 255 };

enum class Opcode : std::uint8_t {
  kQuery = 0,
  kIquery = 1,
  kStatus = 2,
  kNotify = 4,
  kUpdate = 5,
  kDso = 6
};

/// RFC 1035 section 4.1.1, RFC 2136 section 2.2, RFC 6891 section 9 (above 15: in the OPT record).
enum class Rcode : std::uint16_t {
  kNoError = 0,
  kFormErr = 1,
  kServFail = 2,
  kNxDomain = 3,
  kNotImp = 4,
  kRefused = 5,
  kYxDomain = 6,
  kNotAuth = 9,
  kBadVers = 16,
};

/// RFC 8914 section 4 and the IANA registry.
enum class Ede : std::uint16_t {
  kOther = 0,
  kStaleAnswer = 3,
  kForgedAnswer = 4,
  kDnssecBogus = 6,
  kCachedError = 13,
  kNotReady = 14,
  kBlocked = 15,
  kFiltered = 17,
  kProhibited = 18,
  kStaleNxDomain = 19,
  kNotAuthoritative = 20,
  kNotSupported = 21,
  kNoReachableAuthority = 22,
  kNetworkError = 23,
  kInvalidData = 24,
  kSynthesized = 29,
};

// Header flags, the 16 bits after the id (RFC 1035 section 4.1.1, RFC 4035 section 3.2).
inline constexpr std::uint16_t kFlagQr = 0x8000;
inline constexpr std::uint16_t kFlagAa = 0x0400;
inline constexpr std::uint16_t kFlagTc = 0x0200;
inline constexpr std::uint16_t kFlagRd = 0x0100;
inline constexpr std::uint16_t kFlagRa = 0x0080;
inline constexpr std::uint16_t kFlagAd = 0x0020;
inline constexpr std::uint16_t kFlagCd = 0x0010;
inline constexpr std::uint16_t kOpcodeMask = 0x7800;
inline constexpr unsigned kOpcodeShift = 11;
inline constexpr std::uint16_t kRcodeMask = 0x000f;

inline constexpr std::size_t kHeaderBytes = 12;
inline constexpr std::size_t kMessageBytesMax = 65535;
inline constexpr std::size_t kUdpPayloadMin = 512;  ///< what every client without EDNS can take

/// "A", "HTTPS", "TYPE65400" (RFC 3597 section 5 for those without a name).
std::string type_text(RrType type);
/// Accepts what `type_text` prints, in any case.
Result<RrType> parse_type(std::string_view text);
/// "NOERROR", "NXDOMAIN", "RCODE11".
std::string rcode_text(Rcode rcode);

}  // namespace postern::dns
