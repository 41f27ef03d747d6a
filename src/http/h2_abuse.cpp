#include "http/h2_abuse.h"

#include <algorithm>
#include <string_view>

namespace postern::http::h2 {
namespace {

constexpr std::int64_t kUnit = 60'000;  // one event: a rate per minute leaks that much per ms

struct Rate {
  std::int32_t burst;
  std::int32_t per_minute;
};

constexpr Rate rate_of(Abuse kind) {
  switch (kind) {
    // Closing a page resets every stream it has, 128 or fewer; moving about a map cancels some
    // dozens of tiles a second. Three such pages at once, and 33 a second (nghttp2's own rate).
    case Abuse::kRapidReset:
      return {400, 33 * 60};
    // A client without mistakes never makes us reset a stream.
    case Abuse::kMadeYouReset:
      return {100, 10 * 60};
    // One at the start, one when a window grows.
    case Abuse::kSettings:
      return {50, 2 * 60};
    // gRPC measures the bandwidth with a PING per round trip, which in a house is a millisecond.
    // Fewer than the frames that may be queued, so that a flood in one piece is called what it is.
    case Abuse::kPing:
      return {800, 100 * 60};
    // Besides what DATA and HEADERS allow.
    case Abuse::kEmptyFrames:
      return {1000, 100 * 60};
    // Videos that are paused for long, in several tabs.
    case Abuse::kStalled:
      return {8, 1};
    // Somebody has a cookie that is too large and reloads.
    case Abuse::kHeaderBomb:
      return {16, 16};
    default:
      return {0, 0};
  }
}

}  // namespace

std::string_view abuse_name(Abuse abuse) {
  switch (abuse) {
    case Abuse::kNone:
      return "none";
    case Abuse::kProtocol:
      return "protocol";
    case Abuse::kRapidReset:
      return "rapid_reset";
    case Abuse::kMadeYouReset:
      return "made_you_reset";
    case Abuse::kContinuation:
      return "continuation";
    case Abuse::kSettings:
      return "settings";
    case Abuse::kPing:
      return "ping";
    case Abuse::kEmptyFrames:
      return "empty_frames";
    case Abuse::kHeaderBomb:
      return "header_bomb";
    case Abuse::kStalled:
      return "stalled";
    case Abuse::kOutput:
      return "output";
  }
  return "none";
}

bool AbuseMeter::note(Abuse kind, std::uint64_t now_ms) {
  const Rate rate = rate_of(kind);
  if (rate.burst == 0) return false;
  Bucket& bucket = buckets_[static_cast<std::size_t>(kind)];
  if (bucket.level > 0 && now_ms > bucket.since_ms) {
    const std::uint64_t empty_ms = static_cast<std::uint64_t>(bucket.level / rate.per_minute) +
                                   1;  // by then it has leaked out
    const std::uint64_t passed_ms = std::min(now_ms - bucket.since_ms, empty_ms);
    bucket.level = std::max<std::int64_t>(
        0, bucket.level - static_cast<std::int64_t>(passed_ms) * rate.per_minute);
  }
  bucket.since_ms = std::max(bucket.since_ms, now_ms);
  bucket.level += kUnit;
  return bucket.level > kUnit * rate.burst;
}

void AbuseMeter::allow(Abuse kind, unsigned count) {
  const Rate rate = rate_of(kind);
  Bucket& bucket = buckets_[static_cast<std::size_t>(kind)];
  bucket.level = std::max(-kUnit * rate.burst, bucket.level - kUnit * count);
}

}  // namespace postern::http::h2
