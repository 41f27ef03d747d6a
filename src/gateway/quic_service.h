// quic = "refuse" on one listener address: its UDP socket, answered by refuse_quic(). Open exactly
// as long as the TLS listener beside it is, since a browser that finds both refused names the wrong
// one. Loop thread only; steady state allocates nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/address.h"
#include "base/client_notes.h"
#include "base/result.h"
#include "gateway/quic_limits.h"
#include "gateway/stray_clients.h"
#include "net/loop.h"
#include "net/quic_initial.h"
#include "net/socket.h"
#include "net/timer.h"
#include "net/udp.h"

namespace postern::gateway {

struct QuicCounts {
  std::uint64_t refused = 0;  ///< answered with Version Negotiation
  std::uint64_t ignored = 0;  ///< no QUIC, or nothing to be answered
  std::uint64_t limited = 0;  ///< over QuicLimitSettings: not answered
};

/// The limits of one worker, and what it counted, for all its addresses together.
struct QuicShared {
  QuicLimits limits;
  QuicCounts counts;
  ClientNotes* notes = nullptr;  ///< who is told which clients still try
  StrayClients clients{};        ///< that were refused, probes left out
};

class QuicRejecter final : public net::UdpReader {
 public:
  /// `fd` from net::bind_udp(); `loop` and `shared` outlive it.
  static Result<std::unique_ptr<QuicRejecter>> open(net::Loop& loop, net::Fd fd,
                                                    QuicShared& shared);
  /// Lines that still wait for a name are written without one.
  ~QuicRejecter() override;

  Endpoint local() const { return local_; }

  std::size_t received(const net::UdpDatagram& datagram, MutableBytes reply) override;
  void failed(int) override {}

  /// How long a client's line in the log waits for the datagram that has the name: the rest of a
  /// ClientHello that is too long for one follows at once.
  static constexpr std::uint64_t kNameWaitMs = 500;
  static constexpr std::size_t kWaitingMax = 16;  ///< clients; further ones do not wait
  static constexpr unsigned kDatagramsMax = 8;    ///< of a client that waits

 private:
  struct Waiting {
    ClientNote note;
    net::QuicHello hello;
    std::uint64_t until_ms = 0;
    unsigned datagrams = 1;
  };

  QuicRejecter(net::Loop& loop, QuicShared& shared);
  std::uint64_t random();
  void log(const net::UdpDatagram& datagram);
  void begin_note(const net::UdpDatagram& datagram);
  void go_on(std::vector<Waiting>::iterator waiting, Bytes datagram);
  void tell_overdue();

  net::Loop& loop_;
  QuicShared& shared_;
  std::uint64_t random_state_;
  Endpoint local_;
  std::vector<Waiting> waiting_;  // the longest first
  net::Timer timer_;
  std::unique_ptr<net::UdpSocket> socket_;
};

}  // namespace postern::gateway
