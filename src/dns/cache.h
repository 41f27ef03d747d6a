// Answers from upstream, shared by all workers: striped locks, held only to copy. The size in bytes
// is a hard limit that includes the cache's own tables; memory is taken as it is used. The oldest
// entries go first, but one that was asked for since it came or was looked at last gets another
// turn while it can still be served. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "dns/image.h"

namespace postern::dns {

/// [dns.cache]
struct CacheSettings {
  std::size_t size_bytes = 64U << 20;
  std::uint32_t min_ttl_s = 0;
  std::uint32_t max_ttl_s = 86400;
  std::uint32_t negative_ttl_s = 300;   ///< upper limit for negative answers (RFC 2308)
  std::uint32_t serve_stale_s = 86400;  ///< RFC 8767; 0 = off
  bool prefetch = true;
};

inline constexpr std::uint32_t kStaleTtlS = 30;        ///< TTL in stale answers, RFC 8767 section 4
inline constexpr std::uint32_t kFailureRecheckS = 30;  ///< RFC 8767 section 5
inline constexpr unsigned kPrefetchHitsMin = 4;  ///< hits that make an entry worth prefetching

struct CacheHit {
  enum class State : std::uint8_t { kMiss, kFresh, kStale };
  State state = State::kMiss;
  bool refresh =
      false;  ///< fresh, asked for often, soon to end: fetch it again now (told to one caller)
  bool retry_now = true;  ///< stale: no failure was noted lately, so upstream should be asked first
  bool too_large = false;  ///< the body did not fit and was not copied; head is valid
  ImageHead head;          ///< head.ttl_s is what is left of it
  std::array<char, kEdeTextMax> ede_text;  ///< valid for head.ede_text_size bytes
};

/// One entry, copied, for people to look at.
struct CachedAnswer {
  RrType type{};
  RrClass klass{};
  std::uint64_t policy_id = 0;
  bool dnssec_ok = false, checking_disabled = false;
  bool stale = false;
  std::uint32_t age_s = 0;
  ImageHead head;                  ///< head.ttl_s is what is left of it
  std::vector<std::uint8_t> body;  ///< TTLs as they would be served now
};

struct CacheStats {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  ///< memory held, tables included
  std::uint64_t hits = 0, stale_hits = 0, misses = 0, insertions = 0, evictions = 0;
};

class Cache {
 public:
  explicit Cache(const CacheSettings& settings);
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  /// Copies the image's body into `body_out`, TTLs reduced by its age (stale: 30 s, RFC 8767
  /// section 4). `now_s`: monotonic seconds, any origin, the same for all calls. No allocation.
  void find(const CacheKey& key, std::uint32_t now_s, MutableBytes body_out, CacheHit* out);

  /// Replaces what was there. A failure image never replaces an entry that can still be served
  /// stale: it only notes the failure there. An image larger than 1/8 of a stripe is not stored.
  void put(const CacheKey& key, std::uint32_t now_s, const ImageView& image);

  /// Drops entries for `name` in all types and policies; the empty call drops everything.
  std::size_t flush(const LookupName& name);
  void flush();

  /// What is there for `name` and can still be served; `max` at most. Walks through all of it.
  std::vector<CachedAnswer> answers_for(const LookupName& name, std::uint32_t now_s,
                                        std::size_t max) const;

  CacheStats stats() const;
  const CacheSettings& settings() const { return settings_; }

 private:
  struct Stripe;
  CacheSettings settings_;
  std::vector<std::unique_ptr<Stripe>> stripes_;
};

}  // namespace postern::dns
