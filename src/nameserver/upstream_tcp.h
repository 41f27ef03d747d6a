// The TCP side of one upstream (RFC 7766): few connections, kept while they are used, queries
// pipelined, answers in any order. A query whose connection ends is handed back to its owner, who
// may send it again. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/address.h"
#include "nameserver/exchange.h"
#include "nameserver/random.h"
#include "nameserver/upstream_settings.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "net/timer.h"

namespace postern::nameserver {

struct TcpConnectionSettings {
  std::size_t connections_max = 4;
  std::size_t pipeline_min = 32;    ///< under way on a connection before another one is opened
  std::size_t pipeline_max = 4096;  ///< under way on one connection
  std::uint64_t idle_ms = 10'000;
  /// Nothing at all came for so long after a query: the connection may be dead without a word (a
  /// router forgot it), so nothing more is sent on it. A little less than the usual timeout.
  std::uint64_t silence_ms = 1900;
};

class TcpConnections {
 public:
  TcpConnections(net::Loop& loop, Random& random, const Endpoint& peer,
                 const TcpConnectionSettings& settings = {});
  ~TcpConnections();
  TcpConnections(const TcpConnections&) = delete;
  TcpConnections& operator=(const TcpConnections&) = delete;

  /// kWaiting, or why it cannot be sent: kUnreachable, kRefused, kNoSocket, kFull, kClosed.
  AttemptEnd send(Exchange& exchange);

  const ExchangeCounts& counts() const { return counts_; }
  std::size_t open() const { return connections_.size(); }

 private:
  class Connection;

  Connection* pick(AttemptEnd* why_not);
  Connection* connect(AttemptEnd* why_not);
  void sweep();
  void watch_idle();

  net::Loop& loop_;
  Random& random_;
  Endpoint peer_;
  TcpConnectionSettings settings_;
  ExchangeCounts counts_;
  std::vector<std::unique_ptr<Connection>> connections_;
  net::Deferred sweep_;
  net::Timer idle_timer_;
};

}  // namespace postern::nameserver
