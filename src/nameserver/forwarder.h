// Asks upstream servers on behalf of one worker. Equal questions join; an upstream is chosen by
// policy, smoothed round-trip time and health; TC leads to TCP; what fails is tried elsewhere until
// the deadline. The answer is accepted (dns/accept), stored in the cache and handed to everybody
// who waits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "dns/accept.h"
#include "dns/answer.h"
#include "dns/cache.h"
#include "net/loop.h"

namespace postern::nameserver {

enum class UpstreamScheme : std::uint8_t { kUdp, kTcp };  // tls and https come with a later version
enum class UpstreamPolicy : std::uint8_t { kFastest, kSequential, kRoundRobin };

/// udp://192.0.2.1:53, tcp://[2001:db8::1]:53
struct UpstreamSettings {
  UpstreamScheme scheme = UpstreamScheme::kUdp;
  Endpoint endpoint;
  std::string text;  ///< as configured, for logs and EDE
};

/// [[dns.forward]]
struct ForwardSettings {
  dns::Name name;
  std::vector<UpstreamSettings> upstreams;
  UpstreamPolicy policy = UpstreamPolicy::kFastest;
  std::uint32_t timeout_ms = 2000;  ///< for a client's query, all attempts together
  std::string source;               ///< "FILE:LINE"
};

/// Told the outcome of a fetch, once, unless its Ticket was dropped before.
class FetchListener {
 public:
  virtual ~FetchListener() = default;
  /// `image` is valid during the call only; a failure is an image with `failure` set.
  virtual void fetched(const dns::ForwardQuestion& question, const dns::ImageView& image) = 0;
};

struct ForwarderCounts {
  std::uint64_t asked = 0, joined = 0, answered = 0, failed = 0, timeouts = 0, retries = 0, tcp = 0,
                mismatched = 0, refused_full = 0;
  dns::AcceptCounts accept;
};

class Forwarder {
 public:
  struct Settings {
    std::vector<ForwardSettings> forwards;
    std::uint32_t outstanding_max =
        10000;  ///< [dns.limits] outstanding, fetches under way in this worker
  };

  /// `cache` outlives the forwarder; loop too.
  Forwarder(net::Loop& loop, dns::Cache& cache, Settings settings);
  ~Forwarder();

  /// Dropping the ticket means the listener is not told; the fetch itself goes on and fills the
  /// cache.
  class Ticket;

  /// `snapshot` keeps `question.view` alive while the fetch is under way. With nullptr as listener:
  /// a background refresh. When `outstanding_max` is reached the listener is told a failure at once
  /// (during this call).
  [[nodiscard]] std::unique_ptr<Ticket> ask(const dns::ForwardQuestion& question,
                                            std::shared_ptr<const void> snapshot,
                                            FetchListener* listener);

  /// On reload: fetches under way finish with the old settings; RTT and health of upstreams that
  /// stay are kept.
  void reconfigure(dns::Cache& cache, Settings settings);

  const ForwarderCounts& counts() const;
  std::size_t outstanding() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::nameserver
