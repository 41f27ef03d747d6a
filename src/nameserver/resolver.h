// One worker's resolver: takes each query through dns::answer(); what has to wait for upstream is
// kept and answered when the forwarder has it, or from stale data when that takes too long (RFC
// 8767 section 5). Loop thread only. A query under way keeps the snapshot it began with until it
// asks upstream the next time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/client_notes.h"
#include "dns/answer.h"
#include "dns/cache.h"
#include "dns/policy.h"
#include "nameserver/forwarder.h"
#include "nameserver/svcb_note.h"
#include "nameserver/transport.h"
#include "net/loop.h"

namespace postern::nameserver {

/// What answers depend on; built once per reload and shared by the workers.
struct ResolverSnapshot {
  std::shared_ptr<const dns::Policy> policy;
};

/// [dns.limits] and [server] log.
struct ResolverSettings {
  /// Queries per second and client address (IPv6: per /64) by UDP, 0 = no limit. In this worker:
  /// the system sends all that comes from one source port to the same one.
  std::uint32_t qps_per_client = 0;
  std::uint32_t pending_max = 10000;   ///< [dns.limits] outstanding: clients that wait
  std::uint32_t stale_wait_ms = 1800;  ///< client response timer, RFC 8767 section 5
  bool log_queries = false;            ///< one line per query
};

/// Plain numbers of this worker; another thread gets them as a copy that the worker posts to it.
struct ResolverCounts {
  std::array<std::uint64_t, 4> by_transport{};  ///< queries, by Transport
  std::array<std::uint64_t, 17> by_rcode{};     ///< replies; the last one: all other rcodes
  std::array<std::uint64_t, 9> by_source{};     ///< replies, by dns::Source
  /// Replies to questions for HTTPS or SVCB that were edited or made here, by kSvcbWhy.
  std::array<std::uint64_t, kSvcbWhy.size()> svcb_changed{};
  std::uint64_t dropped = 0;            ///< not answered because of what they were
  std::uint64_t limited_dropped = 0;    ///< over qps_per_client: no reply
  std::uint64_t limited_truncated = 0;  ///< over qps_per_client: TC=1
  std::uint64_t forwarded = 0;          ///< queries that had to wait for upstream
  std::uint64_t refreshed = 0;          ///< fetches begun in the background
  std::uint64_t pending_refused = 0;    ///< pending_max was reached
  std::uint64_t oversize_refused = 0;   ///< would have to wait, longer than 4096 bytes
  std::uint64_t hops_refused = 0;       ///< a chain that asked upstream too often
};

class Resolver final : public QueryHandler {
 public:
  static constexpr unsigned kHopsMax = 12;  ///< times that one query may ask upstream

  /// `loop`, `cache` and `forwarder` outlive the resolver.
  Resolver(net::Loop& loop, dns::Cache& cache, Forwarder& forwarder,
           const ResolverSettings& settings, std::shared_ptr<const ResolverSnapshot> snapshot);
  ~Resolver() override;
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  std::size_t handle(Bytes query, const Client& client, MutableBytes reply,
                     ReplyLater& later) override;

  /// REQUIRES: Forwarder::reconfigure with the forwards of the same configuration in the same call
  /// from the loop.
  void swap_snapshot(std::shared_ptr<const ResolverSnapshot> snapshot);
  void reconfigure(dns::Cache& cache, const ResolverSettings& settings);

  /// Who is told which client got an edited HTTPS record; outlives the resolver.
  void tell_notes(ClientNotes& notes);

  const ResolverCounts& counts() const;
  std::size_t pending() const;  ///< queries that wait; 0 when drained

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::nameserver
