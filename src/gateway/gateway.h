// One worker's gateway: its listening sockets, client connections, exchanges and backend pools.
// Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/address.h"
#include "base/client_notes.h"
#include "base/result.h"
#include "base/top_list.h"
#include "gateway/access_log.h"
#include "gateway/counts.h"
#include "gateway/host_resolver.h"
#include "gateway/shared.h"
#include "gateway/site.h"
#include "net/loop.h"
#include "net/socket.h"

namespace postern::gateway {

class Gateway {
 public:
  /// `loop`, `resolver` and `shared` outlive the gateway.
  Gateway(net::Loop& loop, HostResolver& resolver, std::shared_ptr<const Site> site,
          SharedByWorkers& shared);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  /// New requests and connections are served by `site`; requests under way end with the one they
  /// began with. A connection whose listener is gone is ended gracefully after its requests.
  void swap_site(std::shared_ptr<const Site> site);

  /// A socket from net::listen_tcp(); what it serves is looked up by its address in the site.
  Result<void> listen(net::Fd tcp);
  /// A socket from net::bind_udp(), for quic = "refuse".
  Result<void> listen_quic(net::Fd udp);
  /// Connections that were accepted go on. Nothing happens when it is not ours.
  void stop_listening(const Endpoint& tcp);
  void stop_quic(const Endpoint& udp);

  /// No new connections; two-step GOAWAY, Connection: close; what is under way finishes. Listeners
  /// of HTTP whose sockets are shared go on until stop_accepting(), so that nobody waits meanwhile.
  void drain();
  /// Those who came before drain() have gone.
  bool older_drained() const;
  /// The shared listeners, too; who came since is told to end.
  void stop_accepting();
  /// What is under way ends now, and the log says so; nothing else may follow but the destructor.
  void cut();
  bool accepting() const;
  bool drained() const;

  /// Who is told of single clients; outlives the gateway.
  void tell_notes(ClientNotes& notes);

  GatewayCounts counts() const;

  /// Who tried QUIC, who Encrypted Client Hello. Keys: the address, 4 or 16 bytes.
  std::vector<TopEntry> quic_clients();
  std::vector<TopEntry> ech_clients();
  /// nullptr: nobody follows. It outlives the gateway, or is taken back.
  void follow(RequestFollower* follower);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::gateway
