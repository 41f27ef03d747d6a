#include "base/daily_clients.h"

#include <algorithm>
#include <random>

namespace postern {
namespace {

constexpr std::size_t kSlots = 2 * DailyClients::kClientsMax;

// SplitMix64
std::uint64_t mixed(std::uint64_t z) {
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31U);
}

}  // namespace

// The seed is secret: nobody finds addresses that meet in one slot.
std::uint64_t DailyClients::tag_of(const IpAddress& client) const {
  std::uint64_t tag = mixed(seed_ + (client.is_v4() ? 4 : 6));
  for (std::size_t at = 0; at < client.size(); at += 4) {
    std::uint64_t part = 0;
    for (std::size_t i = 0; i < 4; ++i) part = part << 8U | client.data()[at + i];
    tag = mixed(tag + part + 0x9e3779b97f4a7c15ULL);
  }
  return std::max<std::uint64_t>(tag, 1);
}

bool DailyClients::first_today(const IpAddress& client, std::uint64_t now_ms) {
  if (client == last_ && now_ms / kDayMs == day_ && !tags_.empty()) return false;
  const bool is_first = look_up(client, now_ms);
  last_ = client;
  return is_first;
}

bool DailyClients::look_up(const IpAddress& client, std::uint64_t now_ms) {
  if (tags_.empty()) {
    std::random_device random;
    seed_ = std::uint64_t{random()} << 32U | random();
    tags_.resize(kSlots);
  }
  if (const std::uint64_t day = now_ms / kDayMs; day != day_) {
    day_ = day;
    used_ = 0;
    std::fill(tags_.begin(), tags_.end(), 0);
  }
  const std::uint64_t tag = tag_of(client);
  std::size_t slot = tag % kSlots;
  for (; tags_[slot] != 0; slot = (slot + 1) % kSlots) {
    if (tags_[slot] == tag) return false;
  }
  if (full()) return false;
  tags_[slot] = tag;
  ++used_;
  return true;
}

}  // namespace postern
