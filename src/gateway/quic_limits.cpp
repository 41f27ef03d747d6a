#include "gateway/quic_limits.h"

#include <algorithm>
#include <random>

#include "base/bytes.h"

namespace postern::gateway {
namespace {

constexpr std::size_t kV6PrefixBytes = 8;

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9fb21c651e98df25ULL;
  return hash ^ (hash >> 32U);
}

// A stranger who knew it could choose addresses that push others out.
std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

}  // namespace

// A bucket holds the tokens of one second; one token per second is a millitoken per millisecond.
bool QuicLimits::Bucket::take(std::uint32_t rate, std::uint64_t now_ms) {
  const std::uint64_t full = std::uint64_t{rate} * 1000;
  millitokens = static_cast<std::uint32_t>(
      std::min(full, millitokens + (now_ms - refilled_ms) * std::uint64_t{rate}));
  refilled_ms = now_ms;
  if (millitokens < 1000) return false;
  millitokens -= 1000;
  return true;
}

QuicLimits::QuicLimits(const QuicLimitSettings& settings)
    : settings_(settings), seed_(random_seed()) {
  const std::size_t sets = std::max<std::size_t>(1, settings_.clients_max / kWays);
  settings_.clients_max = sets * kWays;
}

std::uint64_t QuicLimits::tag_of(const IpAddress& client) const {
  std::uint64_t hash = mix(seed_, client.is_v4() ? 4 : 6);
  const std::size_t size = client.is_v4() ? client.size() : kV6PrefixBytes;
  for (std::size_t at = 0; at < size; at += 4) hash = mix(hash, load_u32(client.data() + at));
  return hash | 1;
}

QuicLimits::Client& QuicLimits::client_of(const IpAddress& client, std::uint64_t now_ms) {
  if (clients_.empty()) clients_.resize(settings_.clients_max);
  const std::uint64_t tag = tag_of(client);
  Client* const set = &clients_[(tag >> 20U) % (clients_.size() / kWays) * kWays];
  Client* oldest = set;
  for (Client* at = set; at != set + kWays; ++at) {
    if (at->tag == tag) return *at;
    if (at->bucket.refilled_ms < oldest->bucket.refilled_ms) oldest = at;
  }
  *oldest = {tag, {now_ms, settings_.per_client * 1000}};
  return *oldest;
}

bool QuicLimits::allow(const IpAddress& client, std::uint64_t now_ms) {
  // The client first: one who is over his own limit takes nothing from the others.
  return client_of(client, now_ms).bucket.take(settings_.per_client, now_ms) &&
         all_.take(settings_.in_all, now_ms);
}

}  // namespace postern::gateway
