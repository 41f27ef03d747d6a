#include "nameserver/udp_service.h"

#include <utility>

namespace postern::nameserver {

Result<std::unique_ptr<UdpService>> UdpService::open(net::Loop& loop, net::Fd fd,
                                                     QueryHandler& handler,
                                                     const UdpServiceSettings& settings) {
  std::unique_ptr<UdpService> service(new UdpService(handler));
  auto socket =
      net::UdpSocket::open(loop, std::move(fd), *service,
                           {.batch_max = settings.batch_max, .rounds_max = settings.rounds_max});
  if (!socket) return tl::unexpected(std::move(socket.error()));
  service->socket_ = std::move(*socket);
  service->local_ = service->socket_->local();
  return service;
}

UdpServiceCounts UdpService::counts() const {
  const net::UdpCounts& socket = socket_->counts();
  UdpServiceCounts counts;
  counts.received = socket.received;
  counts.replied = socket.sent;
  counts.dropped = dropped_;
  counts.truncated = socket.truncated;
  counts.source_port0 = source_port0_;
  counts.send_dropped = socket.send_dropped;
  counts.send_errors = socket.send_errors;
  return counts;
}

std::size_t UdpService::received(const net::UdpDatagram& datagram, MutableBytes reply) {
  if (datagram.truncated || datagram.peer.port == 0) {
    if (datagram.peer.port == 0) ++source_port0_;
    ++dropped_;
    return 0;
  }
  current_ = &datagram;
  current_kept_ = false;
  const Client client{datagram.peer, Transport::kUdp, false, local_};
  const std::size_t size = handler_.handle(datagram.data, client, reply, *this);
  current_ = nullptr;
  if (size == 0 && !current_kept_) ++dropped_;
  return size;
}

void UdpService::failed(int) {}  // only connected sockets fail

std::unique_ptr<ReplyPath> UdpService::keep() {
  current_kept_ = true;
  return kept_.keep(current_->way_back());
}

void UdpService::late_reply(const net::UdpReturn& to, Bytes reply) {
  if (reply.empty() || reply.size() > net::kUdpDatagramMax) {
    ++dropped_;
    return;
  }
  socket_->queue(to, reply);
}

}  // namespace postern::nameserver
