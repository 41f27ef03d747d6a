// Which upstream to ask next, and how long to wait for it. Pure: what is known of each upstream in,
// an index or a number of milliseconds out.
#pragma once

#include <cstdint>
#include <span>

#include "nameserver/upstream_health.h"
#include "nameserver/upstream_settings.h"

namespace postern::nameserver {

/// One upstream as it stands for the question at hand; in the order of the configuration.
struct Candidate {
  std::uint64_t score_us = 0;  ///< RoundTrip::score_us()
  bool measured = false;
  HealthState health = HealthState::kGood;
  std::uint8_t times_asked = 0;  ///< for this question
  bool spoken = false;  ///< asking again is of no use: it said no, or TCP carries the question
};

inline constexpr int kNobody = -1;

/// Those asked least for this question come first; among them the good before the resting; among
/// those `fastest` takes the lowest score, `sequential` the first, `round_robin` the next behind
/// `turn`.
int choose_upstream(UpstreamPolicy policy, std::span<const Candidate> candidates,
                    std::uint32_t turn);

/// An upstream to send the same question to at the same time, so that nobody waits for a trial: one
/// whose rest is over, one that was never measured, or (policy `fastest`) now and then another one.
/// `sequential` tries only those that stand before the chosen one: those behind it may be strangers
/// to the names of this network.
inline constexpr std::uint32_t kExploreEvery = 64;  ///< questions
int choose_probe(UpstreamPolicy policy, std::span<const Candidate> candidates, int chosen,
                 std::uint32_t random);

struct AttemptTime {
  std::uint32_t rtt_timeout_ms = 0;  ///< RoundTrip::timeout_ms()
  std::uint32_t timeout_ms = 0;      ///< for the question, all attempts together
  std::uint32_t remaining_ms = 0;    ///< of these
  std::uint32_t times_asked = 0;     ///< this upstream, for this question
  std::uint32_t others_left = 0;     ///< upstreams not yet asked, this one aside
  std::uint32_t turn_left_ms = 0;    ///< `sequential`: nobody else is asked before; 0: no such turn
  bool by_stream = false;            ///< TCP sends again by itself
};

/// `sequential`: how long an upstream that is not resting is the only one asked, so that one
/// further down is no quicker way to a different answer and yet has its turn in time.
std::uint32_t turn_ms(const AttemptTime& time);

/// Upstreams are mostly resolvers, which know one name at once and take hundreds of milliseconds to
/// find the next: however fast it was so far, an upstream is given this long before another one is
/// asked, or the same once more.
inline constexpr std::uint32_t kSwitchMinMs = 200;
inline constexpr std::uint32_t kRepeatMinMs = 400;

/// The round-trip time-out, kSwitchMinMs or kRepeatMinMs at least, half of the timeout at most;
/// doubled when the upstream is asked again, and never so long that the others would get no turn.
/// At the end of a turn the next upstream is due, before it the same one again; by TCP the same one
/// again only when its connection has been silent for kStreamSilenceMs.
inline constexpr std::uint32_t kStreamSilenceMs = 2000;
std::uint32_t attempt_timeout_ms(const AttemptTime& time);

}  // namespace postern::nameserver
