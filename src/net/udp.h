// Datagrams in batches: recvmmsg fetches up to 64, each is handed to the reader, the replies leave
// in one sendmmsg. What is queued outside of a batch (answers that came from upstream, queries to
// upstream) leaves at the end of the loop's turn, again one sendmmsg per socket. Buffers are shared
// by all UDP sockets of a loop; steady state allocates nothing and never touches the epoll set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <netinet/in.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/result.h"
#include "net/handle.h"
#include "net/loop.h"
#include "net/poll.h"
#include "net/socket.h"

struct mmsghdr;
struct msghdr;

namespace postern::net {

inline constexpr std::size_t kUdpDatagramMax = 4096;  ///< bytes, received and sent
inline constexpr std::size_t kUdpBatchMax = 64;       ///< datagrams per system call

/// Whom to answer, from which of our addresses. A value, to be kept for a reply that comes later.
struct UdpReturn {
  sockaddr_in6 peer{};  ///< or a sockaddr_in at its start
  std::uint8_t peer_size = 0;
  std::uint8_t control_size = 0;
  alignas(
      std::size_t) std::array<std::uint8_t, 40> control{};  ///< packet info of a wildcard socket
};

/// One datagram of a batch; valid during the call it is handed to.
class UdpDatagram {
 public:
  Bytes data;
  Endpoint peer;           ///< of a connected socket: not set
  bool truncated = false;  ///< was longer than kUdpDatagramMax

  /// Copies about 80 bytes; only for replies that come later. REQUIRES: not a connected socket.
  UdpReturn way_back() const;

 private:
  friend class UdpSocket;
  const msghdr* header_ = nullptr;
};

/// What a UdpSocket tells its owner, always from the loop, never from inside queue(). Every call
/// may destroy the socket.
class UdpReader {
 public:
  virtual ~UdpReader() = default;
  /// Returns the size of the reply written to `reply` (kUdpDatagramMax bytes of room); 0 = none.
  virtual std::size_t received(const UdpDatagram& datagram, MutableBytes reply) = 0;
  /// A connected socket was told by ICMP that the peer is not there (ECONNREFUSED, EHOSTUNREACH).
  virtual void failed(int error_number) = 0;
};

struct UdpSettings {
  std::size_t batch_max = kUdpBatchMax;
  std::size_t rounds_max = 4;  ///< full batches in a row before the loop's other sockets get a turn
};

struct UdpCounts {
  std::uint64_t received = 0, truncated = 0, sent = 0;
  std::uint64_t send_dropped = 0;  ///< the socket's buffer was full
  std::uint64_t send_errors = 0;   ///< refused by the system or the network
  std::uint64_t receive_calls = 0, send_calls = 0;
};

class UdpSocket {
 public:
  /// Starts to read. `fd` from bind_udp() or connect_udp(); `reader` outlives the socket.
  static Result<std::unique_ptr<UdpSocket>> open(Loop& loop, Fd fd, UdpReader& reader,
                                                 const UdpSettings& settings = {});
  /// What is queued and not sent is dropped.
  ~UdpSocket();
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  /// Copies `data`; it leaves at the end of this turn of the loop, or at once when a batch is full.
  /// The form without an address is for connected sockets. REQUIRES: size <= kUdpDatagramMax.
  void queue(Bytes data);
  void queue(const UdpReturn& to, Bytes data);
  /// Sends what is queued now.
  void flush();
  /// The system hands this socket no more datagrams: they go to another one that is bound to the
  /// address, or their senders learn that nobody is there. What came before is read now, and
  /// queue() still works. A shared one is only read no more: what comes waits for those who hold
  /// it. REQUIRES: not from inside the reader's received().
  void turn_away();

  Endpoint local() const;
  const UdpCounts& counts() const { return counts_; }

 private:
  friend class UdpBuffers;
  struct Pending {
    std::size_t at = 0, size = 0;
    UdpReturn to;
  };

  UdpSocket(Loop& loop, Fd fd, UdpReader& reader, const UdpSettings& settings);
  void watch();
  void ready(int status);
  bool receive_batch(const LifeGuard& guard);
  bool handle(mmsghdr& message, UdpDatagram& datagram, const LifeGuard& guard);
  void send_replies();
  void send(mmsghdr* headers, std::size_t count);
  void note_error(int error_number);
  void report_error();

  UdpBuffers& buffers_;
  UdpReader& reader_;
  UdpSettings settings_;
  Fd fd_;
  Poll poll_;
  UdpCounts counts_;
  bool connected_ = false, packet_info_ = false, dirty_ = false, failed_ = false;
  int error_number_ = 0;  // found while sending, not yet reported
  bool* destroyed_ = nullptr;
  std::vector<Pending> pending_;
};

}  // namespace postern::net
