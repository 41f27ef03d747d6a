#include "nameserver/upstream_health.h"

#include <algorithm>

namespace postern::nameserver {

void RoundTrip::sample(std::uint64_t us) {
  const auto r = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(us, 1, kSampleMaxUs));
  backoff_ = 0;
  if (!measured()) {
    smoothed_us_ = r;
    variation_us_ = r / 2;
    return;
  }
  const std::uint32_t difference = r > smoothed_us_ ? r - smoothed_us_ : smoothed_us_ - r;
  variation_us_ = static_cast<std::uint32_t>((std::uint64_t{variation_us_} * 3 + difference) / 4);
  smoothed_us_ = std::max(static_cast<std::uint32_t>((std::uint64_t{smoothed_us_} * 7 + r) / 8),
                          std::uint32_t{1});
}

void RoundTrip::timed_out() {
  if (backoff_ < kBackoffMax) ++backoff_;
}

std::uint64_t RoundTrip::score_us() const {
  return std::uint64_t{measured() ? smoothed_us_ : kAssumedUs} << backoff_;
}

std::uint32_t RoundTrip::timeout_ms() const {
  const std::uint64_t us =
      measured() ? smoothed_us_ + std::uint64_t{variation_us_} * 4 : std::uint64_t{kAssumedUs} * 4;
  return static_cast<std::uint32_t>(((us + 999) / 1000) << backoff_);
}

void Health::answered() {
  failures_ = 0;
  rest_ms_ = 0;
  rest_until_ms_ = 0;
}

void Health::failed(std::uint64_t sent_ms, std::uint64_t now_ms) {
  if (sent_ms < rest_from_ms_ && failures_ >= kFailuresToRest) return;
  if (failures_ < kFailuresToRest) ++failures_;
  if (failures_ < kFailuresToRest) return;
  rest_ms_ = rest_ms_ == 0 ? kRestFirstMs : std::min(rest_ms_ * 2, kRestMaxMs);
  rest_from_ms_ = now_ms;
  rest_until_ms_ = now_ms + rest_ms_;
}

void Health::probe_sent(std::uint64_t now_ms) { rest_until_ms_ = now_ms + rest_ms_; }

HealthState Health::state(std::uint64_t now_ms) const {
  if (failures_ < kFailuresToRest) return HealthState::kGood;
  return now_ms >= rest_until_ms_ ? HealthState::kProbeDue : HealthState::kResting;
}

std::uint64_t Health::rest_left_ms(std::uint64_t now_ms) const {
  return state(now_ms) == HealthState::kResting ? rest_until_ms_ - now_ms : 0;
}

bool Assumption::contradicted(std::uint64_t now_ms) {
  if (!holds(now_ms) || ++evidence_ < evidence_needed_) return false;
  evidence_ = 0;
  until_ms_ = now_ms + given_up_ms_;
  return true;
}

}  // namespace postern::nameserver
