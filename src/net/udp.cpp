#include "net/udp.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "net/udp_buffers.h"

namespace postern::net {
namespace {

constexpr int kLastRoundsMax = 1024;  // full batches read when a socket goes: more than it can hold

// The packet info of a query, sent back as it is, names the source address of the reply. The
// interface is left to routing, except where the address means nothing without it.
void make_reply_info(msghdr& header) {
  cmsghdr* const info = CMSG_FIRSTHDR(&header);
  if (info == nullptr) return;
  if (info->cmsg_level == IPPROTO_IP && info->cmsg_type == IP_PKTINFO) {
    in_pktinfo packet{};
    std::memcpy(&packet, CMSG_DATA(info), sizeof packet);
    packet.ipi_ifindex = 0;
    std::memcpy(CMSG_DATA(info), &packet, sizeof packet);
  } else if (info->cmsg_level == IPPROTO_IPV6 && info->cmsg_type == IPV6_PKTINFO) {
    in6_pktinfo packet{};
    std::memcpy(&packet, CMSG_DATA(info), sizeof packet);
    if (!IN6_IS_ADDR_LINKLOCAL(&packet.ipi6_addr)) packet.ipi6_ifindex = 0;
    std::memcpy(CMSG_DATA(info), &packet, sizeof packet);
  }
}

bool is_buffer_full(int error_number) {
  return error_number == EAGAIN || error_number == ENOBUFS || error_number == ENOMEM;
}

int take_socket_error(int fd) {
  int error_number = 0;
  socklen_t size = sizeof error_number;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &size);
  return error_number;
}

}  // namespace

UdpReturn UdpDatagram::way_back() const {
  UdpReturn to;
  assert(header_->msg_name != nullptr && header_->msg_namelen <= sizeof to.peer);
  std::memcpy(&to.peer, header_->msg_name, header_->msg_namelen);
  to.peer_size = static_cast<std::uint8_t>(header_->msg_namelen);
  if (header_->msg_controllen > 0) {
    std::memcpy(to.control.data(), header_->msg_control, header_->msg_controllen);
    to.control_size = static_cast<std::uint8_t>(header_->msg_controllen);
  }
  return to;
}

Result<std::unique_ptr<UdpSocket>> UdpSocket::open(Loop& loop, Fd fd, UdpReader& reader,
                                                   const UdpSettings& settings) {
  std::unique_ptr<UdpSocket> socket(new UdpSocket(loop, std::move(fd), reader, settings));
  socket->poll_.open(loop, socket->fd_.get(), socket.get(), [](void* self, int status, int) {
    static_cast<UdpSocket*>(self)->ready(status);
  });
  socket->watch();
  return socket;
}

UdpSocket::UdpSocket(Loop& loop, Fd fd, UdpReader& reader, const UdpSettings& settings)
    : buffers_(loop.udp_buffers()),
      reader_(reader),
      settings_(settings),
      fd_(std::move(fd)),
      connected_(peer_endpoint(fd_).has_value()),
      packet_info_(has_packet_info(fd_)) {
  settings_.batch_max = std::clamp(settings.batch_max, std::size_t{1}, kUdpBatchMax);
}

UdpSocket::~UdpSocket() {
  mark_destroyed(destroyed_);
  buffers_.forget(*this);
}

void UdpSocket::queue(Bytes data) {
  assert(connected_);
  queue(UdpReturn{}, data);
}

void UdpSocket::queue(const UdpReturn& to, Bytes data) {
  assert(data.size() <= kUdpDatagramMax);
  if (pending_.size() == kUdpBatchMax) flush();
  const std::size_t at = buffers_.store(*this, data);
  pending_.push_back({at, data.size(), to});
}

void UdpSocket::flush() {
  if (pending_.empty()) return;
  SendSlots& slots = buffers_.queued();
  slots.clear();
  for (Pending& pending : pending_) {
    msghdr address{};
    address.msg_name = pending.to.peer_size == 0 ? nullptr : &pending.to.peer;
    address.msg_namelen = pending.to.peer_size;
    address.msg_control = pending.to.control_size == 0 ? nullptr : pending.to.control.data();
    address.msg_controllen = pending.to.control_size;
    slots.add(address, buffers_.stored(pending.at), pending.size);
  }
  send(slots.headers(), slots.count());
  pending_.clear();
}

// Connected to itself, a socket stays bound and can send to everybody, yet gets only what comes
// from its own address.
void UdpSocket::turn_away() {
  if (fd_.is_shared()) {
    poll_.watch(0);
    return;
  }
  Endpoint self = local();
  if (self.ip.is_unspecified()) {
    self.ip = *IpAddress::parse(self.ip.is_v4() ? "127.0.0.1" : "::1");
  }
  sockaddr_storage address{};
  const socklen_t size = self.to_sockaddr(address);
  // Without a route to itself it goes on reading: better than to hold queries that nobody answers.
  static_cast<void>(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size));
  LifeGuard guard(destroyed_);
  for (int round = 0; round < kLastRoundsMax; ++round) {
    if (!receive_batch(guard) || guard.gone()) return;
  }
}

Endpoint UdpSocket::local() const { return local_endpoint(fd_).value_or(Endpoint{}); }

void UdpSocket::watch() { poll_.watch(kReadable); }

void UdpSocket::ready(int status) {
  LifeGuard guard(destroyed_);
  if (status < 0) {  // nothing is watched after an error: go on, the peer may come back
    watch();
    note_error(take_socket_error(fd_.get()));
  }
  for (std::size_t round = 0; round < settings_.rounds_max; ++round) {
    const bool full = receive_batch(guard);
    if (guard.gone() || !full) return;
  }
}

// Returns whether the batch was full, so that more may be waiting.
bool UdpSocket::receive_batch(const LifeGuard& guard) {
  ReceiveSlots& slots = buffers_.received();
  const auto batch_max = static_cast<unsigned>(settings_.batch_max);
  mmsghdr* const headers = slots.prepare(batch_max, !connected_, packet_info_);
  const int count = recvmmsg(fd_.get(), headers, batch_max, MSG_DONTWAIT, nullptr);
  ++counts_.receive_calls;
  if (count < 0) {
    note_error(errno);
    return false;
  }
  buffers_.clear_replies();  // a socket destroyed in its batch leaves some behind
  UdpDatagram datagram;
  for (int i = 0; i < count; ++i) {
    if (!handle(headers[i], datagram, guard)) return false;
  }
  send_replies();
  return static_cast<unsigned>(count) == batch_max;
}

// Returns false when the reader destroyed this socket.
bool UdpSocket::handle(mmsghdr& message, UdpDatagram& datagram, const LifeGuard& guard) {
  msghdr& header = message.msg_hdr;
  if (packet_info_) make_reply_info(header);
  datagram.header_ = &header;
  datagram.data = {static_cast<const std::uint8_t*>(header.msg_iov->iov_base), message.msg_len};
  datagram.truncated = (header.msg_flags & MSG_TRUNC) != 0;
  if (!connected_) {
    datagram.peer = Endpoint::from_sockaddr(*static_cast<sockaddr_storage*>(header.msg_name));
  }
  ++counts_.received;
  if (datagram.truncated) ++counts_.truncated;

  std::uint8_t* const room = buffers_.reply_room();
  const std::size_t size = reader_.received(datagram, {room, kUdpDatagramMax});
  if (guard.gone()) return false;
  if (size > 0) {
    buffers_.keep_reply(header, size);
    if (!buffers_.can_reply()) send_replies();
  }
  return true;
}

void UdpSocket::send_replies() {
  SendSlots& replies = buffers_.replies();
  if (replies.count() > 0) send(replies.headers(), replies.count());
  buffers_.clear_replies();
}

// A datagram that finds the buffer full is lost, as it would be on the way; the asker asks again.
void UdpSocket::send(mmsghdr* headers, std::size_t count) {
  std::size_t at = 0;
  while (at < count) {
    const int sent = sendmmsg(fd_.get(), headers + at, static_cast<unsigned>(count - at), 0);
    ++counts_.send_calls;
    if (sent > 0) {
      at += static_cast<std::size_t>(sent);
      counts_.sent += static_cast<std::uint64_t>(sent);
      continue;
    }
    const int number = errno;
    if (number == EINTR) continue;
    if (is_buffer_full(number)) {
      counts_.send_dropped += count - at;
      return;
    }
    // A connected socket tells of an earlier ICMP error here, once, without having sent anything.
    const bool try_again = connected_ && error_number_ == 0;
    note_error(number);
    if (try_again) continue;
    ++counts_.send_errors;
    ++at;
  }
}

// Told at the end of the turn, so that the reader is never called from inside queue().
void UdpSocket::note_error(int error_number) {
  if (!connected_ || error_number == 0 || error_number == EINTR || is_buffer_full(error_number)) {
    return;
  }
  error_number_ = error_number;
  if (failed_) return;
  failed_ = true;
  buffers_.add_failed(*this);
}

void UdpSocket::report_error() {
  failed_ = false;
  reader_.failed(std::exchange(error_number_, 0));
}

}  // namespace postern::net
