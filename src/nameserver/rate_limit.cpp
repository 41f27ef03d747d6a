#include "nameserver/rate_limit.h"

#include <algorithm>

#include "base/bytes.h"
#include "dns/name.h"

namespace postern::nameserver {
namespace {

constexpr std::size_t kV6PrefixBytes = 8;
constexpr std::uint32_t kBurstMax = 4'000'000;

// Seeded per process: a stranger cannot choose addresses that share a place.
std::uint64_t tag_of(const IpAddress& client) {
  const Bytes prefix(client.data(), client.is_v4() ? client.size() : kV6PrefixBytes);
  return dns::extend_hash(dns::process_hash_seed() + prefix.size(), prefix) | 1;
}

}  // namespace

RateLimit::RateLimit(std::uint32_t rate, std::uint32_t burst)
    : rate_(rate), burst_millitokens_(std::min(burst, kBurstMax) * 1000) {
  if (rate_ != 0) buckets_.resize(kBuckets);
}

RateLimit::Bucket& RateLimit::bucket_of(std::uint64_t tag, std::uint64_t now_ms) {
  Bucket* const set = &buckets_[(tag >> 20) % (kBuckets / kWays) * kWays];
  Bucket* oldest = set;
  for (Bucket* bucket = set; bucket != set + kWays; ++bucket) {
    if (bucket->tag == tag) return *bucket;
    if (bucket->refilled_ms < oldest->refilled_ms) oldest = bucket;
  }
  *oldest = {tag, now_ms, burst_millitokens_, true};
  return *oldest;
}

RateLimit::Verdict RateLimit::take(const IpAddress& client, std::uint64_t now_ms) {
  if (rate_ == 0) return Verdict::kPass;
  Bucket& bucket = bucket_of(tag_of(client), now_ms);
  // One token per second and rate is one millitoken per millisecond and rate.
  const std::uint64_t refill = (now_ms - bucket.refilled_ms) * rate_;
  bucket.millitokens = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(bucket.millitokens + refill, burst_millitokens_));
  bucket.refilled_ms = now_ms;
  if (bucket.millitokens >= 1000) {
    bucket.millitokens -= 1000;
    return Verdict::kPass;
  }
  bucket.dropped_last = !bucket.dropped_last;
  return bucket.dropped_last ? Verdict::kDrop : Verdict::kTruncate;
}

}  // namespace postern::nameserver
