// Clients that still try what this gateway has no use for (QUIC, Encrypted Client Hello): how
// often, in the last half to whole day. Fixed memory; loop thread only.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/top_list.h"

namespace postern::gateway {

class StrayClients {
 public:
  static constexpr std::size_t kClientsMax = 64;
  static constexpr std::uint64_t kPeriodMs = 12ULL * 3600 * 1000;

  void add(const IpAddress& client, std::uint64_t now_ms) {
    const std::string_view key(reinterpret_cast<const char*>(client.data()), client.size());
    tops_.add(key, spread_hash(key), now_ms);
  }
  /// Keys: the address, 4 or 16 bytes.
  std::vector<TopEntry> entries(std::uint64_t now_ms) { return tops_.entries(now_ms); }

 private:
  RecentTops<16, kClientsMax> tops_{kPeriodMs};
};

}  // namespace postern::gateway
