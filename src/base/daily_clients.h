// Which clients were named in the log today, so that each is named once a day. Bounded: beyond
// kClientsMax nobody new is named until the day is over. Days are those of the clock that is handed
// in, so that tables of several threads agree on them. The first client makes the table; from then
// on nothing is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/address.h"

namespace postern {

class DailyClients {
 public:
  static constexpr std::size_t kClientsMax = 1024;
  static constexpr std::uint64_t kDayMs = 86'400'000;

  bool first_today(const IpAddress& client, std::uint64_t now_ms);
  /// Nobody new is named until the day is over.
  bool full() const { return used_ == kClientsMax; }

 private:
  bool look_up(const IpAddress& client, std::uint64_t now_ms);
  std::uint64_t tag_of(const IpAddress& client) const;

  std::uint64_t day_ = 0;
  std::uint64_t seed_ = 0;
  std::size_t used_ = 0;
  std::vector<std::uint64_t> tags_;  // open addressing; 0: free
  IpAddress last_;                   // that was asked for, most likely asked for again
};

}  // namespace postern
