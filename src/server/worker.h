// One event loop on its own thread, with everything that serves queries and requests there: its own
// sockets, resolver, forwarder and gateway. Shares constant snapshots and the cache with the other
// workers; all else comes and goes as messages.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/client_notes.h"
#include "dns/cache.h"
#include "gateway/gateway.h"
#include "nameserver/forwarder.h"
#include "nameserver/resolver.h"
#include "nameserver/tcp_service.h"
#include "nameserver/udp_service.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "net/timer.h"
#include "server/counts.h"
#include "server/follow.h"
#include "server/host_resolver.h"
#include "server/listen.h"
#include "server/snapshot.h"

namespace postern::server {

/// What a worker serves from: at start, and again with each reload.
struct WorkerPlan {
  std::shared_ptr<const Snapshot> snapshot;
  std::shared_ptr<dns::Cache> cache;
  unsigned workers = 1;                        ///< limits of the nameserver are shared by so many
  gateway::SharedByWorkers* shared = nullptr;  ///< outlives them
};

/// Who and what comes most often, of one worker or of all of them.
struct WorkerTops {
  std::vector<TopEntry> names;                               ///< key: wire form
  std::vector<TopEntry> clients, quic_clients, ech_clients;  ///< key: address, 4 or 16 bytes
};

void add(WorkerTops* sum, const WorkerTops& more);

/// How long a worker that is told to end waits for what is under way.
struct DrainLimits {
  std::uint64_t dns_ms = 5000;
  std::uint64_t gateway_ms = 30'000;  ///< a download takes longer than a query
};

class Worker {
 public:
  /// Main thread. The sockets are served from start() on. `note` is called on the worker's thread;
  /// `queries` outlives the worker.
  Worker(const WorkerPlan& plan, Sockets sockets, ClientNotes::Tell note,
         nameserver::QueryRing& queries);
  /// REQUIRES: never started, or joined.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Result<void> open();  ///< main thread, before start()
  /// Both are called on the worker's thread: `done` when end() is waited for after drain(), `ended`
  /// as the last thing it does, with the number of the gateway's connections that were cut.
  void start(std::function<void()> done, std::function<void(std::uint64_t)> ended);

  /// Any thread; done by the worker between two events.
  void reload(WorkerPlan plan, ListenChange change = {});
  /// `take` is called on the worker's thread.
  void collect(std::function<void(WorkerCounts)> take);
  void collect_tops(std::function<void(WorkerTops)> take);
  /// From now on `deliver` is called on the worker's thread; nullptr: nobody follows any more.
  void follow(std::shared_ptr<const FollowFilters> filters, FollowSource::Deliver deliver);
  /// No new requests; when those under way are over, or time is up, done() says so. DNS is served
  /// on: other workers, and whoever uses their names, may not be done.
  void drain(const DrainLimits& limits);
  /// No new queries either; the loop ends when all replies have left, or time is up.
  void end();

  void join() { thread_.join(); }

 private:
  nameserver::ResolverSettings resolver_settings() const;
  nameserver::Forwarder::Settings forwarder_settings() const;
  nameserver::TcpServiceSettings tcp_settings() const;
  Result<void> serve(Sockets sockets);
  void apply(WorkerPlan plan, ListenChange change);
  void apply(WorkerPlan plan);
  void remove_listeners(const ListenChange& change);
  void drain_dns();
  void drop_retired();
  WorkerCounts counts() const;
  bool dns_is_drained() const;
  void end_when_drained();

  WorkerPlan plan_;
  Sockets sockets_;  // until open()
  net::Loop loop_;
  ClientNotes notes_;
  nameserver::Forwarder forwarder_;
  nameserver::Resolver resolver_;
  std::vector<std::unique_ptr<nameserver::UdpService>> udp_, retired_udp_;
  nameserver::TcpService tcp_;
  HostResolver host_resolver_;
  gateway::Gateway gateway_;
  std::unique_ptr<FollowSource> follow_;   // while somebody does
  nameserver::UdpServiceCounts past_udp_;  // of services that are gone
  net::Deferred drop_soon_;
  net::Timer tick_;  // also keeps the loop running when nothing is listened on
  std::function<void()> done_;
  bool draining_ = false, told_done_ = false, ending_ = false, dns_draining_ = false;
  std::uint64_t cut_ = 0;
  std::uint64_t dns_drain_ms_ = 0, dns_until_ms_ = 0, gateway_until_ms_ = 0;  // while draining
  net::Mailbox mailbox_;
  std::thread thread_;
};

}  // namespace postern::server
