// An image is an answer ready to be sent again: the wire form of everything behind the question,
// its names compressed as in a message whose question stands at offset 12, with the places of its
// TTLs. A hit copies it and patches the TTLs; records are never parsed again.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "dns/name.h"
#include "dns/types.h"

namespace postern::dns {

inline constexpr std::uint16_t kNoEde = 0xffff;
inline constexpr std::size_t kImageTtlsMax = 4096;  ///< records in one stored answer
inline constexpr std::size_t kEdeTextMax = 120;     ///< bytes of EDE text kept

struct ImageHead {
  std::uint32_t ttl_s = 0;  ///< how long it may be served as fresh
  std::uint16_t flags = 0;  ///< rcode, and kFlagAd when upstream vouched for it unedited
  std::uint16_t answers = 0;
  std::uint16_t authorities = 0;
  std::uint16_t additionals = 0;  ///< without OPT
  std::uint16_t body_size = 0;
  std::uint16_t ttl_count = 0;
  std::uint16_t ede = kNoEde;  ///< info code to send along to clients with EDNS
  std::uint8_t ede_text_size = 0;
  std::uint8_t svcb_changes = 0;  ///< kSvcbH3Removed and others, dns/svcb.h
  /// The answer section ends in a CNAME whose target belongs to this server (override or zone):
  /// the chain goes on there.
  bool continues = false;
  /// Not an answer: upstream failed (RFC 9520).
  bool failure = false;
  /// Not to be served when it is over: what may not be cached for long is no stale data either.
  bool no_stale = false;

  Rcode rcode() const { return static_cast<Rcode>(flags & kRcodeMask); }
};

/// Borrowed; `body` starts behind the question.
struct ImageView {
  ImageHead head;
  std::span<const std::uint16_t> ttl_offsets;  ///< from the start of `body`
  Bytes body;
  std::string_view ede_text;
};

/// Room to make an image in; one per worker, never on the stack of a deep call.
struct ImageBuffer {
  ImageHead head;
  std::array<std::uint16_t, kImageTtlsMax> ttl_offsets;
  std::array<std::uint8_t, kMessageBytesMax> body;
  std::array<char, kEdeTextMax> ede_text;

  ImageView view() const {
    return {head,
            {ttl_offsets.data(), head.ttl_count},
            {body.data(), head.body_size},
            {ede_text.data(), head.ede_text_size}};
  }
  void set_ede(Ede code, std::string_view text);  ///< text is cut at kEdeTextMax
};

/// What an answer from upstream depends on; nothing else may influence it.
struct CacheKey {
  const LookupName* name = nullptr;
  RrType type{};
  RrClass klass{};
  std::uint64_t policy_id = 0;  ///< ViewPolicy::id
  bool dnssec_ok = false;
  bool checking_disabled = false;
  bool owned = false;    ///< an override has the name, see ForwardQuestion
  bool guarded = false;  ///< private addresses go whatever forward it is, see ForwardQuestion

  std::uint64_t hash() const;
};

}  // namespace postern::dns
