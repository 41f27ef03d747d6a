// A client's query, parsed once. RFC 1035 section 4.1, RFC 6891 (EDNS), RFC 9619 (one question).
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "dns/message.h"
#include "dns/name.h"
#include "dns/types.h"

namespace postern::dns {

struct Query {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;  ///< as sent
  RrType type{};
  RrClass klass{};
  LookupName name;
  std::uint8_t name_size = 0;  ///< bytes of the name as sent, at kHeaderBytes of the message
  bool edns = false;           ///< an OPT record came along
  bool dnssec_ok = false;      ///< DO, RFC 3225
  std::uint16_t payload = kUdpPayloadMin;  ///< what the client can take by UDP, 512 at least

  bool recursion_desired() const { return (flags & kFlagRd) != 0; }
  bool checking_disabled() const { return (flags & kFlagCd) != 0; }
  /// Bytes of header and question; the same in the reply.
  std::size_t question_end() const { return kHeaderBytes + name_size + 4U; }
};

/// What is wrong with a message before anything is looked up.
enum class QueryFault : std::uint8_t {
  kNone,
  kSilence,  ///< shorter than a header, or a response (QR=1): no answer, RFC 8906 would loop
  kFormErr,
  kRefused,  ///< NOTIFY or UPDATE: known, not served
  kNotImp,   ///< any other opcode that is not QUERY
  kBadVers,  ///< EDNS version above 0
};

/// Fills `out` as far as the message could be read; `out->id` and `out->flags` are valid unless
/// the fault is kSilence. `out->name_size` is 0 when there is no question to echo.
QueryFault parse_query(Bytes message, Query* out);

}  // namespace postern::dns
