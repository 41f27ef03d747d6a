#include "gateway/quic_service.h"

#include <random>
#include <string>
#include <utility>

#include "gateway/quic_reject.h"
#include "net/quic_initial.h"

namespace postern::gateway {

Result<std::unique_ptr<QuicRejecter>> QuicRejecter::open(net::Loop& loop, net::Fd fd,
                                                         QuicShared& shared) {
  std::unique_ptr<QuicRejecter> rejecter(new QuicRejecter(loop, shared));
  auto socket = net::UdpSocket::open(loop, std::move(fd), *rejecter);
  if (!socket) return tl::unexpected(std::move(socket.error()));
  rejecter->socket_ = std::move(*socket);
  rejecter->local_ = rejecter->socket_->local();
  return rejecter;
}

QuicRejecter::QuicRejecter(net::Loop& loop, QuicShared& shared)
    : loop_(loop), shared_(shared), random_state_(std::random_device{}()) {}

// SplitMix64: for bits that a client has to ignore.
std::uint64_t QuicRejecter::random() {
  std::uint64_t z = random_state_ += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31U);
}

// A reply cannot start a loop: it is a Version Negotiation packet, and no server of QUIC answers
// those.
std::size_t QuicRejecter::received(const net::UdpDatagram& datagram, MutableBytes reply) {
  const QuicReply made = refuse_quic(datagram.data, random(), reply);
  if (made.verdict == QuicVerdict::kIgnore || datagram.peer.port == 0) {
    ++shared_.counts.ignored;
    return 0;
  }
  if (!shared_.limits.allow(datagram.peer.ip, loop_.now_ms())) {
    ++shared_.counts.limited;
    return 0;
  }
  ++shared_.counts.refused;
  log(datagram);
  return made.size;
}

void QuicRejecter::log(const net::UdpDatagram& datagram) {
  const IpAddress& client = datagram.peer.ip;
  const auto log = shared_.limits.log(client, loop_.now_ms());
  if (log == QuicLimits::Log::kNo || shared_.notes == nullptr) return;
  ClientNote note;
  note.event = ClientEvent::kQuicRefused;
  note.client = client;
  note.name = net::quic_server_name(datagram.data);
  note.where = local_.to_string();
  note.is_last = log == QuicLimits::Log::kLast;
  shared_.notes->tell(std::move(note));
}

}  // namespace postern::gateway
