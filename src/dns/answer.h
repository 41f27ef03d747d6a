// The life of a query up to the point where it has to wait: parse, access, overrides, zones, cache,
// or "ask upstream". Pure: bytes, policy, cache and the time in; a decision out. Any thread. No
// allocation.
#pragma once

#include <cstdint>

#include "base/address.h"
#include "base/bytes.h"
#include "dns/cache.h"
#include "dns/image.h"
#include "dns/policy.h"
#include "dns/query.h"

namespace postern::dns {

/// What to ask upstream for. The answer is accepted under this key and then the query is answered
/// again with it.
struct ForwardQuestion {
  LookupName name;
  RrType type{};
  RrClass klass{};
  bool dnssec_ok = false;
  bool checking_disabled = false;
  /// An override of ours has the name (or a zone that falls through has it for other types): the
  /// answer stands at the name itself, without the CNAMEs and DNAMEs that upstream has there, and
  /// never says that the name does not exist. HTTPS and SVCB lose ech and address hints as well.
  bool owned = false;
  /// A public name led here by CNAME: private addresses go even under a forward of its own.
  bool guarded = false;
  std::uint16_t forward = 0;         ///< index into the configuration's forwards
  const ViewPolicy* view = nullptr;  ///< lives as long as the snapshot of the query

  CacheKey key() const {
    return {&name, type, klass, view->id, dnssec_ok, checking_disabled, owned, guarded};
  }
};

enum class Source : std::uint8_t {
  kNone,
  kOverride,
  kZone,
  kCache,
  kStale,
  kUpstream,
  kSpecial,
  kRefused,
  kError
};

struct Decision {
  enum class Verdict : std::uint8_t {
    kReply,    ///< `reply_size` bytes stand in the buffer
    kDrop,     ///< say nothing
    kForward,  ///< ask upstream for `question`, then call again with what came
  };
  Verdict verdict = Verdict::kDrop;
  std::size_t reply_size = 0;
  Source source = Source::kNone;
  Rcode rcode = Rcode::kNoError;
  bool stale_at_hand = false;  ///< kForward: after the client-response timer call with allow_stale
  bool refresh = false;        ///< kReply: also fetch `question` again in the background
  ForwardQuestion question;    ///< kForward, or when `refresh`
  const ViewPolicy* view = nullptr;
  /// kReply to a question for HTTPS or SVCB: kSvcbH3Removed and others, dns/svcb.h.
  std::uint16_t svcb_changes = 0;
};

struct AnswerInput {
  const Policy* policy = nullptr;
  Cache* cache = nullptr;
  std::uint32_t now_s = 0;  ///< monotonic
  IpAddress client;
  bool internal = false;  ///< this process itself: the access list is not asked
  bool stream = false;    ///< TCP and friends: no size limit but 65535
  // When called again after a fetch:
  const ForwardQuestion* fetched_question = nullptr;
  const ImageView* fetched = nullptr;
  bool allow_stale = false;  ///< upstream is slow or failed: stale data may be used now
};

/// `reply`: room for the reply, 512 bytes at least; a UDP reply is truncated to what the client can
/// take, and TCP replies need 65535. On kForward the buffer's content is undefined.
void answer(const AnswerInput& input, Bytes message, MutableBytes reply, Decision* out);

/// A client over [dns.limits] qps_per_client: an empty reply with TC=1. Returns its size, 0 = none.
std::size_t truncated_reply(Bytes message, MutableBytes reply);

}  // namespace postern::dns
