// DNS over TCP (RFC 7766) of one worker: accepts on any number of addresses, keeps the limits on
// connections, closes what is idle or stalled. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/result.h"
#include "nameserver/tcp_connection.h"
#include "nameserver/transport.h"
#include "net/loop.h"
#include "net/socket.h"
#include "net/tcp.h"
#include "net/timer.h"

namespace postern::nameserver {

class TcpService {
 public:
  /// `handler` outlives the service and does not destroy it.
  TcpService(net::Loop& loop, QueryHandler& handler, const TcpServiceSettings& settings = {});
  /// Closes all connections; replies that come later go nowhere.
  ~TcpService();
  TcpService(const TcpService&) = delete;
  TcpService& operator=(const TcpService&) = delete;

  /// `fd` from net::listen_tcp().
  Result<void> listen(net::Fd fd);
  /// On reload; connections that are there stay.
  void configure(const TcpServiceSettings& settings);

  /// No new connections and no new queries by this address; its connections end when their replies
  /// have left.
  void stop_listening(const Endpoint& endpoint);
  /// The same for all addresses.
  void drain();
  /// True when no reply is under way any more.
  bool drained() const;

  std::vector<Endpoint> listening() const;
  std::size_t clients() const { return shared_.connections.size(); }
  TcpServiceCounts counts() const;

 private:
  void accept(net::Fd fd, const Endpoint& peer, const Endpoint& listener);
  bool make_room(const IpAddress* address);
  void close(TcpConnection& connection);
  void check_timeouts();
  void start_checking();

  struct ByBytes {
    bool operator()(const IpAddress& a, const IpAddress& b) const {
      return as_text({a.data(), a.size()}) < as_text({b.data(), b.size()});
    }
  };

  TcpShared shared_;
  std::map<IpAddress, std::size_t, ByBytes> clients_by_address_;
  std::vector<std::unique_ptr<net::TcpListener>> listeners_;
  net::Timer check_;
};

}  // namespace postern::nameserver
