#include "gateway/quic_service.h"

#include <algorithm>
#include <random>
#include <utility>

#include "gateway/quic_reject.h"

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
    : loop_(loop),
      shared_(shared),
      random_state_(std::random_device{}()),
      timer_(loop, [this] { tell_overdue(); }) {}

QuicRejecter::~QuicRejecter() {
  for (Waiting& one : waiting_) shared_.notes->tell(std::move(one.note));
}

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
  if (!made.probe) {
    shared_.clients.add(datagram.peer.ip, loop_.now_ms());
    log(datagram);
  }
  return made.size;
}

void QuicRejecter::log(const net::UdpDatagram& datagram) {
  const IpAddress& client = datagram.peer.ip;
  const auto waiting = std::find_if(waiting_.begin(), waiting_.end(),
                                    [&](const Waiting& one) { return one.note.client == client; });
  if (waiting != waiting_.end()) return go_on(waiting, datagram.data);
  if (shared_.notes == nullptr) return;
  if (shared_.notes->is_first(ClientEvent::kQuicRefused, client, loop_.now_ms())) {
    begin_note(datagram);
  }
}

// What cannot be read is no part of anything: there is nothing to wait for.
void QuicRejecter::begin_note(const net::UdpDatagram& datagram) {
  Waiting one;
  one.note.event = ClientEvent::kQuicRefused;
  one.note.client = datagram.peer.ip;
  one.note.where = local_.to_string();
  const bool is_read = one.hello.add(datagram.data);
  one.note.name = one.hello.server_name();
  const bool waits = one.note.name.empty() && is_read && !one.hello.complete();
  if (!waits || waiting_.size() == kWaitingMax) return shared_.notes->tell(std::move(one.note));
  one.until_ms = loop_.now_ms() + kNameWaitMs;
  waiting_.push_back(std::move(one));
  if (!timer_.active()) timer_.start_once(kNameWaitMs);
}

void QuicRejecter::go_on(std::vector<Waiting>::iterator waiting, Bytes datagram) {
  waiting->hello.add(datagram);
  waiting->note.name = waiting->hello.server_name();
  const bool done = !waiting->note.name.empty() || waiting->hello.complete() ||
                    ++waiting->datagrams == kDatagramsMax;
  if (!done) return;
  shared_.notes->tell(std::move(waiting->note));
  waiting_.erase(waiting);
}

void QuicRejecter::tell_overdue() {
  const std::uint64_t now_ms = loop_.now_ms();
  while (!waiting_.empty() && waiting_.front().until_ms <= now_ms) {
    shared_.notes->tell(std::move(waiting_.front().note));
    waiting_.erase(waiting_.begin());
  }
  if (!waiting_.empty()) timer_.start_once(waiting_.front().until_ms - now_ms);
}

}  // namespace postern::gateway
