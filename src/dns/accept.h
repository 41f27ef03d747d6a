// What comes back from upstream is checked (question, bailiwick), edited (HTTPS and SVCB, private
// addresses), cut where a CNAME chain arrives at a name of ours, and made into an image. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "dns/answer.h"
#include "dns/cache.h"
#include "dns/image.h"

namespace postern::dns {

enum class AcceptOutcome : std::uint8_t {
  kAnswer,     ///< `image` is to be stored and served (NXDOMAIN and NODATA too)
  kTruncated,  ///< TC=1: ask again by TCP
  kFailed,     ///< SERVFAIL, REFUSED, NOTIMP, FORMERR...: try the next upstream
  kMalformed,  ///< does not parse: try the next upstream
};

struct AcceptCounts {
  std::uint32_t svcb_edited = 0, svcb_withheld = 0, svcb_malformed = 0, rebind_removed = 0,
                out_of_bailiwick = 0;
};

/// True when `message` is a response to this question: QR, id, opcode, one question with the same
/// type, class and name. `sent_name` is the name as sent; with `match_case` its case must be equal
/// too (0x20).
bool matches_question(Bytes message, std::uint16_t id, NameView sent_name, RrType type,
                      RrClass klass, bool match_case);

/// True when `message` is FORMERR or NOTIMP with this id and without a question, as servers say
/// that know no EDNS and copy nothing but the header. It does not tell which question it answers,
/// so it is a hint and no more.
bool is_bare_refusal(Bytes message, std::uint16_t id);

/// REQUIRES: matches_question(). Fills `image`, TTLs within the limits of `cache`.
///
/// - Only the chain of CNAMEs from the question and the records at its end are kept, in order; the
///   proofs of DNSSEC with DO only. NS records and other names go.
/// - HTTPS and SVCB records are edited as [dns.svcb] says, those in the additional section and at
///   an AliasMode target too. For an override (`owned`) the answer stands at the name asked
///   for, whatever CNAMEs led there, has no additional section, and a record whose target is
///   another name, not ours, is withheld: it would lead the browser out of the LAN.
/// - When nothing is left of an answer it becomes NODATA, with a SOA at the name itself and 60 s if
///   upstream gave none. NODATA from upstream without a SOA is kept for 1 s (RFC 2308 section 5).
/// - A private address goes unless the question is under a forward of its own or excepted.
AcceptOutcome accept(Bytes message, const ForwardQuestion& question, const CacheSettings& cache,
                     ImageBuffer* image, AcceptCounts* counts);

/// An image that says SERVFAIL, with EDE and text, for `ttl_s` (RFC 9520 section 3.2: 1 to 300 s).
void failure_image(Ede ede, std::string_view text, std::uint32_t ttl_s, ImageBuffer* image);

}  // namespace postern::dns
