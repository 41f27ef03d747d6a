// Who looks at the queries of one worker besides those who answer them: the list of the most asked
// names and busiest clients, always; and a follower, while there is one. Loop thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/top_list.h"
#include "dns/answer.h"
#include "dns/name.h"
#include "nameserver/transport.h"

namespace postern::nameserver {

/// One query and what became of it; borrowed during the call.
struct SeenQuery {
  Bytes query;
  const Client& client;
  const dns::Decision& decision;
  std::uint64_t took_us = 0;
};

class QueryFollower {
 public:
  virtual ~QueryFollower() = default;
  virtual void seen(const SeenQuery& query) = 0;
};

/// Exact for kExactPerSecond queries in a second; what comes beyond in it is sampled, one in
/// kSampled, so that a busy server spends nothing worth speaking of. No allocation.
class QueryTops {
 public:
  static constexpr std::uint32_t kExactPerSecond = 1000;
  static constexpr std::uint32_t kSampled = 64;
  static constexpr std::uint64_t kPeriodMs = 30ULL * 60 * 1000;

  void count(Bytes query, const Client& client, std::uint64_t now_ms) {
    if (now_ms >= second_ms_ + 1000) {
      second_ms_ = now_ms;
      this_second_ = 0;
    }
    if (++this_second_ <= kExactPerSecond) {
      add(query, client, now_ms, 1);
    } else if (this_second_ % kSampled == 0) {
      add(query, client, now_ms, kSampled);
    }
  }

  /// Keys: lower-case wire form of the name.
  std::vector<TopEntry> names(std::uint64_t now_ms) { return names_.entries(now_ms); }
  /// Keys: the address, 4 or 16 bytes.
  std::vector<TopEntry> clients(std::uint64_t now_ms) { return clients_.entries(now_ms); }

 private:
  void add(Bytes query, const Client& client, std::uint64_t now_ms, std::uint32_t weight);

  std::uint64_t second_ms_ = 0;
  std::uint32_t this_second_ = 0;
  RecentTops<dns::kNameBytesMax> names_{kPeriodMs};
  RecentTops<16> clients_{kPeriodMs};
};

}  // namespace postern::nameserver
