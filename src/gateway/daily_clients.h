// Which clients were named in the log today, so that each is named once a day. Bounded: beyond
// kClientsMax nobody new is named until the day is over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>

#include "base/address.h"

namespace postern::gateway {

class DailyClients {
 public:
  static constexpr std::size_t kClientsMax = 1024;
  static constexpr std::uint64_t kDayMs = 86'400'000;

  bool first_today(const IpAddress& client, std::uint64_t now_ms) {
    if (now_ms >= begun_ms_ + kDayMs) {
      clients_.clear();
      begun_ms_ = now_ms;
    }
    return clients_.size() < kClientsMax && clients_.insert(client).second;
  }

 private:
  std::uint64_t begun_ms_ = 0;
  std::set<IpAddress> clients_;
};

}  // namespace postern::gateway
