// Asks upstream servers on behalf of one worker. Equal questions join; an upstream is chosen by
// policy, smoothed round-trip time and health; TC leads to TCP; what fails is tried elsewhere until
// the deadline. The answer is accepted (dns/accept), stored in the cache and handed to everybody
// who waits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dns/accept.h"
#include "dns/answer.h"
#include "dns/cache.h"
#include "nameserver/query_ring.h"
#include "nameserver/upstream_settings.h"
#include "net/loop.h"

namespace postern::nameserver {

/// Told the outcome of a fetch, once, from the loop, never from inside ask(); not at all when its
/// Ticket was dropped before. It may ask again and drop tickets during the call.
class FetchListener {
 public:
  virtual ~FetchListener() = default;
  /// `image` is valid during the call only; a failure is an image with `failure` set.
  virtual void fetched(const dns::ForwardQuestion& question, const dns::ImageView& image) = 0;
};

struct ForwarderCounts {
  std::uint64_t asked = 0;           ///< fetches begun
  std::uint64_t joined = 0;          ///< questions that joined a fetch under way
  std::uint64_t answered = 0;        ///< fetches that brought an answer
  std::uint64_t failed = 0;          ///< fetches that did not
  std::uint64_t queries = 0;         ///< sent to upstreams, retries included
  std::uint64_t tcp = 0;             ///< of these, by TCP
  std::uint64_t timeouts = 0;        ///< queries that got no answer in time
  std::uint64_t retries = 0;         ///< queries that were not the first of their fetch
  std::uint64_t refused_full = 0;    ///< questions refused: Settings::outstanding_max
  std::uint64_t joins_refused = 0;   ///< questions refused: 2000 wait for the same answer already
  std::uint64_t attempts_full = 0;   ///< times that a fetch had no query left to send (12)
  std::uint64_t lingering_full = 0;  ///< late answers not waited for: 2000 fetches do so already
  ExchangeCounts exchanges;          ///< of all upstreams, former ones included
  dns::AcceptCounts accept;
};

class Forwarder {
  struct Impl;
  struct Waiter;

 public:
  struct Settings {
    std::vector<ForwardSettings> forwards;
    /// [dns.limits] outstanding, fetches under way in this worker; listeners as well.
    std::uint32_t outstanding_max = 10000;
  };

  /// The wait of one listener. Dropping it means that the listener is not told; the fetch itself
  /// goes on and fills the cache. REQUIRES: the forwarder outlives it.
  class Ticket {
   public:
    Ticket() = default;
    ~Ticket() { drop(); }
    Ticket(Ticket&& other) noexcept : waiter_(std::exchange(other.waiter_, nullptr)) {}
    Ticket& operator=(Ticket&& other) noexcept;

    /// False: a limit was hit, nobody will be told anything.
    explicit operator bool() const { return waiter_ != nullptr; }
    void drop();

   private:
    friend class Forwarder;
    explicit Ticket(Waiter* waiter) : waiter_(waiter) {}
    Waiter* waiter_ = nullptr;
  };

  /// `cache` outlives the forwarder; loop too.
  Forwarder(net::Loop& loop, dns::Cache& cache, const Settings& settings);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  /// `snapshot` keeps `question.view` alive while the fetch is under way. When a limit is hit the
  /// ticket is empty and refusal() is the outcome. Steady state allocates nothing.
  [[nodiscard]] Ticket ask(const dns::ForwardQuestion& question,
                           const std::shared_ptr<const void>& snapshot, FetchListener& listener);

  /// Fetches into the cache with nobody waiting; nothing happens when a limit is hit or when the
  /// question is under way.
  void refresh(const dns::ForwardQuestion& question, const std::shared_ptr<const void>& snapshot);

  /// The failure that stands for the last empty ticket: which limit was hit.
  dns::ImageView refusal() const;

  /// On reload: fetches under way finish with the old settings; RTT and health of upstreams that
  /// stay are kept. From here on `question.forward` is an index into the new forwards.
  void reconfigure(dns::Cache& cache, const Settings& settings);

  /// Where replies of upstreams are left, when somebody wants them; outlives the forwarder.
  void record_to(QueryRing& ring);

  const ForwarderCounts& counts() const;
  std::size_t outstanding() const;  ///< fetches under way
  std::vector<UpstreamStatus> upstreams() const;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::nameserver
