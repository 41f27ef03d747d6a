// The UDP side of one upstream: connected sockets whose ports the kernel drew at random. The
// queries of one turn of the loop leave by one of them in one sendmmsg, the next turn draws another
// (RFC 5452 section 9.2: id and port must both be guessed). A port is given up after some queries
// or seconds and lives on until its last answer came. Loop thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/address.h"
#include "nameserver/exchange.h"
#include "nameserver/flat_table.h"
#include "nameserver/random.h"
#include "nameserver/upstream_settings.h"
#include "net/loop.h"
#include "net/udp.h"

namespace postern::nameserver {

struct UdpPortSettings {
  /// A fresh port costs about 20 us of system calls, which 512 queries share.
  std::uint32_t queries_max = 512;
  std::uint64_t age_max_ms = 60'000;
};

class UdpPorts {
 public:
  static constexpr std::size_t kPorts = 16;        ///< live at the same time, once there is traffic
  static constexpr std::size_t kRetiringMax = 64;  ///< given up, with queries under way
  static constexpr std::size_t kPortQueriesMax = 16384;  ///< under way, so that a free id is found

  UdpPorts(net::Loop& loop, Random& random, const Endpoint& peer,
           const UdpPortSettings& settings = {});
  ~UdpPorts();
  UdpPorts(const UdpPorts&) = delete;
  UdpPorts& operator=(const UdpPorts&) = delete;

  /// Draws id and port and sends the question: kWaiting. Otherwise why it cannot be sent:
  /// kUnreachable, kNoSocket, kFull. While no port can be opened the open ones serve on.
  AttemptEnd send(Exchange& exchange);

  ExchangeCounts counts() const;

 private:
  class Port;

  Port* current_port();
  Port* draw_port();
  Port* open_port();
  bool must_retire(const Port& port) const;
  void retire(std::unique_ptr<Port>& port);
  void end_turn();

  net::Loop& loop_;
  Random& random_;
  Endpoint peer_;
  UdpPortSettings settings_;
  ExchangeCounts counts_;
  FlatTable<Exchange> exchanges_;  // of all ports
  std::uint32_t next_serial_ = 0;
  AttemptEnd open_end_ = AttemptEnd::kWaiting;  // why the last port could not be opened
  Port* current_ = nullptr;
  std::array<std::unique_ptr<Port>, kPorts> ports_;
  std::vector<std::unique_ptr<Port>> retiring_;
  net::Deferred turn_end_;
};

}  // namespace postern::nameserver
