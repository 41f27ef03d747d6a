// Sockets made with plain system calls: non-blocking, closed on exec. Errors say what was tried,
// why it failed and where to look next. Any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <utility>

#include "base/address.h"
#include "base/result.h"

namespace postern::net {

/// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  /// Of a listening socket that others hold as well, see adopt_udp().
  static Fd shared(int fd);
  ~Fd() { reset(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)), shared_(other.shared_) {}
  Fd& operator=(Fd&& other) noexcept;

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  /// Who has no more use for it leaves it as it is, with all that waits in it.
  bool is_shared() const { return shared_; }
  void reset();

 private:
  int fd_ = -1;
  bool shared_ = false;
};

struct UdpBindOptions {
  int receive_bytes = 4 << 20;  ///< SO_RCVBUF; less when the system's limit is lower
  int send_bytes = 4 << 20;     ///< SO_SNDBUF
};

/// SO_REUSEPORT, IPV6_V6ONLY; a wildcard address also gets IP_PKTINFO or IPV6_RECVPKTINFO, so that
/// replies leave from the address that was asked. Path MTU discovery is off: an ICMP message that
/// anybody can send must not shape our answers.
Result<Fd> bind_udp(const Endpoint& local, const UdpBindOptions& options = {});

struct UdpConnectOptions {
  std::uint16_t source_port = 0;  ///< 0: the kernel takes a random one
  int receive_bytes = 1 << 20;
  int send_bytes = 1 << 20;
};

/// A socket that hears only `peer`; ICMP errors come back as errors of the socket.
Result<Fd> connect_udp(const Endpoint& peer, const UdpConnectOptions& options = {});

/// SO_REUSEADDR, SO_REUSEPORT, IPV6_V6ONLY; accepted connections inherit TCP_NODELAY and keepalive.
Result<Fd> listen_tcp(const Endpoint& local, int backlog = 1024);

/// A further descriptor of a socket that was bound elsewhere and outlives this process, such as one
/// from a service manager, with the options of bind_udp() and listen_tcp() as far as they can still
/// be set. It is shared: what nobody reads waits there for whoever comes next.
Result<Fd> adopt_udp(const Fd& bound, const UdpBindOptions& options = {});
Result<Fd> adopt_tcp(const Fd& listening);

/// Descriptors are given out lowest first: one of this number means that as many are in use.
inline constexpr int kNoFdEnd = std::numeric_limits<int>::max();

/// Starts a connection; it is done when the socket turns writable (see tcp.h). kLimit: no
/// descriptor was left, or none below `fd_end`.
Result<Fd> start_connect_tcp(const Endpoint& peer, int fd_end = kNoFdEnd);

/// Are there bytes, the end or an error to be read from this stream socket?
bool has_input(const Fd& fd);
/// Bytes written that the peer's system has not acknowledged yet.
std::size_t unacknowledged_bytes(const Fd& tcp);
/// See Stream.
std::uint64_t unacknowledged_ms(const Fd& tcp);
/// Closing it resets the connection (SO_LINGER).
void reset_on_close(const Fd& fd);

Result<Endpoint> local_endpoint(const Fd& fd);
Result<Endpoint> peer_endpoint(const Fd& fd);

/// SOCK_DGRAM, SOCK_STREAM; 0 when it is no socket.
int socket_type(const Fd& fd);
/// After listen(2).
bool is_listening(const Fd& fd);
/// An IPv6 socket that takes IPv4, too.
bool takes_both_families(const Fd& fd);

/// True when sockets bound like this one have IP_PKTINFO switched on.
bool has_packet_info(const Fd& fd);

}  // namespace postern::net
