// What is known of one upstream, as plain numbers: how long it takes, whether it is there, whether
// it keeps the case of a question, whether it takes EDNS. Pure; the time is an argument.
#pragma once

#include <cstdint>

namespace postern::nameserver {

/// Smoothed round-trip time and the time-out that follows from it (RFC 6298 section 2), in
/// microseconds; the doubling of section 5.5 ends with the next sample.
class RoundTrip {
 public:
  static constexpr std::uint32_t kAssumedUs = 100'000;  ///< before the first sample
  static constexpr std::uint32_t kSampleMaxUs = 10'000'000;

  void sample(std::uint64_t us);
  void timed_out();

  bool measured() const { return smoothed_us_ != 0; }
  std::uint32_t smoothed_us() const { return smoothed_us_; }
  /// For comparing upstreams: unanswered queries count as slowness.
  std::uint64_t score_us() const;
  /// Smoothed + 4 * variation, doubled per time-out; no upper limit of its own.
  std::uint32_t timeout_ms() const;

 private:
  static constexpr std::uint8_t kBackoffMax = 4;
  std::uint32_t smoothed_us_ = 0;
  std::uint32_t variation_us_ = 0;
  std::uint8_t backoff_ = 0;
};

enum class HealthState : std::uint8_t {
  kGood,
  kProbeDue,  ///< failed, has rested: may be asked by way of trial
  kResting,   ///< asked only when there is nothing better
};

/// An upstream that failed several times in a row rests 1 s, then 2 s, ... 60 s, as long as the
/// probes at the end of each rest fail too.
class Health {
 public:
  static constexpr std::uint32_t kFailuresToRest = 3;
  static constexpr std::uint64_t kRestFirstMs = 1000;
  static constexpr std::uint64_t kRestMaxMs = 60'000;

  void answered();
  /// Queries that had been sent before the rest began say nothing new and are ignored.
  void failed(std::uint64_t sent_ms, std::uint64_t now_ms);
  /// The next probe is due when another rest is over, whatever becomes of this one.
  void probe_sent(std::uint64_t now_ms);

  HealthState state(std::uint64_t now_ms) const;
  std::uint64_t rest_left_ms(std::uint64_t now_ms) const;

 private:
  std::uint32_t failures_ = 0;
  std::uint64_t rest_ms_ = 0;
  std::uint64_t rest_from_ms_ = 0;
  std::uint64_t rest_until_ms_ = 0;
};

/// A property that is assumed until there is evidence against it several times with none for it in
/// between; then it is given up for a while and tried again. For 0x20: one packet of a stranger
/// must not switch it off.
class Assumption {
 public:
  Assumption(std::uint32_t evidence_needed, std::uint64_t given_up_ms)
      : evidence_needed_(evidence_needed), given_up_ms_(given_up_ms) {}

  bool holds(std::uint64_t now_ms) const { return now_ms >= until_ms_; }
  void confirmed() { evidence_ = 0; }
  /// True when it is given up by this.
  bool contradicted(std::uint64_t now_ms);

 private:
  std::uint32_t evidence_needed_;
  std::uint64_t given_up_ms_;
  std::uint32_t evidence_ = 0;
  std::uint64_t until_ms_ = 0;
};

}  // namespace postern::nameserver
