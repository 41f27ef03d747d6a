#include "nameserver/upstream_choice.h"

#include <algorithm>
#include <cstddef>
#include <tuple>

namespace postern::nameserver {
namespace {

std::uint64_t preference(UpstreamPolicy policy, const Candidate& candidate, std::size_t index,
                         std::size_t count, std::uint32_t turn) {
  switch (policy) {
    case UpstreamPolicy::kFastest:
      return candidate.score_us;
    case UpstreamPolicy::kRoundRobin:
      return (index + count - turn % count) % count;
    case UpstreamPolicy::kSequential:
      break;
  }
  return index;
}

}  // namespace

int choose_upstream(UpstreamPolicy policy, std::span<const Candidate> candidates,
                    std::uint32_t turn) {
  using Rank = std::tuple<std::uint8_t, bool, std::uint64_t>;
  int best = kNobody;
  Rank best_rank;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    if (candidate.spoken) continue;
    const Rank rank{candidate.times_asked, candidate.health != HealthState::kGood,
                    preference(policy, candidate, i, candidates.size(), turn)};
    if (best != kNobody && rank >= best_rank) continue;
    best = static_cast<int>(i);
    best_rank = rank;
  }
  return best;
}

int choose_probe(UpstreamPolicy policy, std::span<const Candidate> candidates, int chosen,
                 std::uint32_t random) {
  const auto wants_probe = [&](int index, bool unmeasured_too) {
    const Candidate& candidate = candidates[static_cast<std::size_t>(index)];
    if (index == chosen || candidate.times_asked > 0) return false;
    return candidate.health == HealthState::kProbeDue ||
           (unmeasured_too && candidate.health == HealthState::kGood && !candidate.measured);
  };
  const bool fastest = policy == UpstreamPolicy::kFastest;
  const auto count = static_cast<int>(candidates.size());
  const int end = policy == UpstreamPolicy::kSequential ? chosen : count;
  for (int i = 0; i < end; ++i) {
    if (wants_probe(i, fastest)) return i;
  }
  if (!fastest || count < 2 || random % kExploreEvery != 0) return kNobody;
  const auto other = static_cast<int>((random / kExploreEvery) % candidates.size());
  const Candidate& candidate = candidates[static_cast<std::size_t>(other)];
  const bool useful =
      other != chosen && candidate.times_asked == 0 && candidate.health == HealthState::kGood;
  return useful ? other : kNobody;
}

std::uint32_t turn_ms(const AttemptTime& time) {
  return std::max(time.remaining_ms / (time.others_left + 1), 1U);
}

std::uint32_t attempt_timeout_ms(const AttemptTime& time) {
  const bool in_turn = time.turn_left_ms > 0;
  const bool same_again = in_turn || time.others_left == 0;
  const std::uint32_t half = std::max(time.timeout_ms / 2, 1U);
  const std::uint32_t least = std::min(same_again ? kRepeatMinMs : kSwitchMinMs, half);
  const std::uint32_t base = std::clamp(time.rtt_timeout_ms, least, half);
  const std::uint32_t wanted = base << std::min(time.times_asked, 4U);
  const std::uint32_t share = in_turn ? time.turn_left_ms : turn_ms(time);
  const bool no_repeat = same_again && time.by_stream;
  return std::min({no_repeat ? kStreamSilenceMs : wanted, share, time.remaining_ms});
}

}  // namespace postern::nameserver
