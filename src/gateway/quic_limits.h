// How often QUIC is refused: for each client and in all. One table of fixed size per worker, made
// when the first datagram comes. Pure: time comes in as an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/address.h"

namespace postern::gateway {

struct QuicLimitSettings {
  std::uint32_t per_client = 50;   ///< replies per second and IPv4 address or IPv6 /64
  std::uint32_t in_all = 5000;     ///< replies per second of this worker
  std::size_t clients_max = 4096;  ///< remembered; the one heard longest ago makes room
};

class QuicLimits {
 public:
  explicit QuicLimits(const QuicLimitSettings& settings = {});

  /// False: over a limit, say nothing.
  bool allow(const IpAddress& client, std::uint64_t now_ms);

 private:
  struct Bucket {
    std::uint64_t refilled_ms = 0;
    std::uint32_t millitokens = 0;

    bool take(std::uint32_t rate, std::uint64_t now_ms);
  };
  struct Client {
    std::uint64_t tag = 0;  // 0: nobody
    Bucket bucket;
  };
  static constexpr std::size_t kWays = 4;

  std::uint64_t tag_of(const IpAddress& client) const;
  Client& client_of(const IpAddress& client, std::uint64_t now_ms);

  QuicLimitSettings settings_;
  std::uint64_t seed_;
  Bucket all_;
  std::vector<Client> clients_;
};

}  // namespace postern::gateway
