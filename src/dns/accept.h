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

/// REQUIRES: matches_question(). Fills `image`, TTLs within the limits of `cache`.
AcceptOutcome accept(Bytes message, const ForwardQuestion& question, const CacheSettings& cache,
                     ImageBuffer* image, AcceptCounts* counts);

/// An image that says SERVFAIL, with EDE and text, for `ttl_s` (RFC 9520 section 3.2: 1 to 300 s).
void failure_image(Ede ede, std::string_view text, std::uint32_t ttl_s, ImageBuffer* image);

}  // namespace postern::dns
