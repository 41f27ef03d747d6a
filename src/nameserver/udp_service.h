// DNS over UDP on one listen address of one worker: datagrams in batches to the QueryHandler,
// replies back in batches, from the address that was asked. Loop thread only. A query that is
// answered at once costs no allocation and no system call of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "nameserver/kept_reply.h"
#include "nameserver/transport.h"
#include "net/loop.h"
#include "net/socket.h"
#include "net/udp.h"

namespace postern::nameserver {

struct UdpServiceSettings {
  std::size_t batch_max = net::kUdpBatchMax;  ///< datagrams per system call
  std::size_t rounds_max = 4;  ///< full batches in a row before other sockets get their turn
};

struct UdpServiceCounts {
  std::uint64_t received = 0;      ///< datagrams
  std::uint64_t replied = 0;       ///< replies that left
  std::uint64_t dropped = 0;       ///< queries that get no reply
  std::uint64_t truncated = 0;     ///< of these: longer than any query
  std::uint64_t source_port0 = 0;  ///< of these: from port 0, where no reply can go
  std::uint64_t send_dropped = 0;  ///< replies lost because the socket's buffer was full
  std::uint64_t send_errors = 0;   ///< replies that the system refused to send
};

class UdpService final : private net::UdpReader, private ReplyLater {
 public:
  /// `fd` from net::bind_udp(); `handler` outlives the service and does not destroy it.
  static Result<std::unique_ptr<UdpService>> open(net::Loop& loop, net::Fd fd,
                                                  QueryHandler& handler,
                                                  const UdpServiceSettings& settings = {});
  ~UdpService() override = default;
  UdpService(const UdpService&) = delete;
  UdpService& operator=(const UdpService&) = delete;

  /// New queries go to another service that listens there, or are turned away; those that have come
  /// are still taken, and replies under way leave. Done when waiting() is 0 and the loop has
  /// finished its turn.
  void drain() { socket_->turn_away(); }
  std::size_t waiting() const { return kept_.size(); }  ///< replies that come later

  Endpoint local() const { return local_; }
  UdpServiceCounts counts() const;

 private:
  using Kept = KeptReplies<UdpService, net::UdpReturn>;
  friend Kept;

  explicit UdpService(QueryHandler& handler) : handler_(handler) {}
  std::size_t received(const net::UdpDatagram& datagram, MutableBytes reply) override;
  void failed(int error_number) override;
  std::unique_ptr<ReplyPath> keep() override;
  void late_reply(const net::UdpReturn& to, Bytes reply);
  void late_nothing() { ++dropped_; }

  QueryHandler& handler_;
  Endpoint local_;
  std::unique_ptr<net::UdpSocket> socket_;
  Kept kept_{*this};
  const net::UdpDatagram* current_ = nullptr;  // during handle()
  bool current_kept_ = false;
  std::uint64_t dropped_ = 0, source_port0_ = 0;
};

}  // namespace postern::nameserver
