#include "net/socket.h"

#include <cerrno>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace postern::net {
namespace {

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

int option_value(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, name, &value, &size) == 0 ? value : 0;
}

bool get_option(int fd, int level, int name) { return option_value(fd, level, name) != 0; }

// A peer that vanished is noticed although nothing is to be sent: after kIdleS and three more
// questions.
struct KeepAlive {
  int idle_s, interval_s;
};
// Clients may sleep; a server that says nothing for half a minute is gone.
constexpr KeepAlive kOfClients{60, 20}, kOfServers{15, 5};

void keep_alive(int fd, const KeepAlive& times) {
  constexpr int kProbes = 3;
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, times.idle_s);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, times.interval_s);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kProbes);
}

// Root may pass the system's limit (net.core.rmem_max); others get what it allows.
void set_buffers(int fd, int receive_bytes, int send_bytes) {
  if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, receive_bytes)) {
    set_option(fd, SOL_SOCKET, SO_RCVBUF, receive_bytes);
  }
  if (!set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, send_bytes)) {
    set_option(fd, SOL_SOCKET, SO_SNDBUF, send_bytes);
  }
}

std::string where_to_look(int error_number, const Endpoint& endpoint, bool stream) {
  switch (error_number) {
    case EADDRINUSE:
      return fmt::format("; is another server there? see: ss -l{}np sport = :{}",
                         stream ? 't' : 'u', endpoint.port);
    case EACCES:
    case EPERM:
      return "; ports below 1024 need root, CAP_NET_BIND_SERVICE or "
             "net.ipv4.ip_unprivileged_port_start = 0";
    case EADDRNOTAVAIL:
      return "; this machine does not have that address, see: ip address";
    case EAFNOSUPPORT:
      return "; the system has no IPv6, use IPv4 addresses";
    default:
      return {};
  }
}

tl::unexpected<Error> bind_error(const Endpoint& local, bool stream) {
  const int number = errno;
  return fail(
      Code::kIo,
      fmt::format("cannot listen on {} ({}): {}{}", local.to_string(), stream ? "TCP" : "UDP",
                  std::generic_category().message(number), where_to_look(number, local, stream)));
}

tl::unexpected<Error> connect_error(const Endpoint& peer, bool stream) {
  const int number = errno;
  return fail(number == EMFILE || number == ENFILE ? Code::kLimit : Code::kIo,
              fmt::format("cannot connect to {} ({}): {}", peer.to_string(), stream ? "TCP" : "UDP",
                          std::generic_category().message(number)));
}

Fd new_socket(const Endpoint& endpoint, int type) {
  return Fd(
      socket(endpoint.ip.is_v4() ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

bool bind_to(int fd, const Endpoint& local) {
  sockaddr_storage address{};
  const socklen_t size = local.to_sockaddr(address);
  return bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0;
}

bool connect_to(int fd, const Endpoint& peer) {
  sockaddr_storage address{};
  const socklen_t size = peer.to_sockaddr(address);
  return connect(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0;
}

// What can be set before and after bind(2).
bool set_udp_options(int fd, const Endpoint& local) {
  const bool v4 = local.ip.is_v4();
  if (v4) {
    set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
  } else {
    set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
  }
  if (!local.ip.is_unspecified()) return true;
  return v4 ? set_option(fd, IPPROTO_IP, IP_PKTINFO, 1)
            : set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

bool prepare_udp_listener(int fd, const Endpoint& local) {
  if (!set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return false;
  if (!local.ip.is_v4() && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return false;
  return set_udp_options(fd, local);
}

// Not blocking, whoever made it: the flag belongs to the socket, not to the descriptor.
Fd further_descriptor(const Fd& fd) {
  Fd further = Fd::shared(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!further) return further;
  const int flags = fcntl(further.get(), F_GETFL);
  if (flags < 0 || fcntl(further.get(), F_SETFL, flags | O_NONBLOCK) != 0) further.reset();
  return further;
}

tl::unexpected<Error> adopt_error() {
  return fail(Code::kIo, fmt::format("cannot use a socket that was passed: {}",
                                     std::generic_category().message(errno)));
}

template <class GetName>
Result<Endpoint> named_endpoint(int fd, GetName get_name) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (get_name(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return fail(Code::kIo, std::generic_category().message(errno));
  }
  return Endpoint::from_sockaddr(address);
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    shared_ = other.shared_;
  }
  return *this;
}

Fd Fd::shared(int fd) {
  Fd made(fd);
  made.shared_ = true;
  return made;
}

void Fd::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Result<Fd> bind_udp(const Endpoint& local, const UdpBindOptions& options) {
  Fd fd = new_socket(local, SOCK_DGRAM);
  if (!fd || !prepare_udp_listener(fd.get(), local)) return bind_error(local, false);
  set_buffers(fd.get(), options.receive_bytes, options.send_bytes);
  if (!bind_to(fd.get(), local)) return bind_error(local, false);
  return fd;
}

Result<Fd> connect_udp(const Endpoint& peer, const UdpConnectOptions& options) {
  Fd fd = new_socket(peer, SOCK_DGRAM);
  if (!fd) return connect_error(peer, false);
  set_buffers(fd.get(), options.receive_bytes, options.send_bytes);
  if (options.source_port != 0) {
    Endpoint source;
    if (!peer.ip.is_v4()) source.ip = IpAddress::v6(in6addr_any.s6_addr);
    source.port = options.source_port;
    if (!bind_to(fd.get(), source)) return connect_error(peer, false);
  }
  if (!connect_to(fd.get(), peer)) return connect_error(peer, false);
  return fd;
}

Result<Fd> listen_tcp(const Endpoint& local, int backlog) {
  Fd fd = new_socket(local, SOCK_STREAM);
  if (!fd || !set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1) ||
      !set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1) ||
      !set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1)) {
    return bind_error(local, true);
  }
  if (!local.ip.is_v4() && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)) {
    return bind_error(local, true);
  }
  keep_alive(fd.get(), kOfClients);
  if (!bind_to(fd.get(), local) || listen(fd.get(), backlog) != 0) return bind_error(local, true);
  return fd;
}

Result<Fd> adopt_udp(const Fd& bound, const UdpBindOptions& options) {
  const auto local = local_endpoint(bound);
  if (!local) return tl::unexpected(local.error());
  Fd fd = further_descriptor(bound);
  if (!fd || !set_udp_options(fd.get(), *local)) return adopt_error();
  set_buffers(fd.get(), options.receive_bytes, options.send_bytes);
  return fd;
}

Result<Fd> adopt_tcp(const Fd& listening) {
  Fd fd = further_descriptor(listening);
  if (!fd || !set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1)) return adopt_error();
  keep_alive(fd.get(), kOfClients);
  return fd;
}

Result<Fd> start_connect_tcp(const Endpoint& peer, int fd_end) {
  Fd fd = new_socket(peer, SOCK_STREAM);
  if (fd.get() >= fd_end) {
    fd.reset();
    errno = EMFILE;
  }
  if (!fd) return connect_error(peer, true);
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  keep_alive(fd.get(), kOfServers);
  if (!connect_to(fd.get(), peer) && errno != EINPROGRESS) return connect_error(peer, true);
  return fd;
}

std::size_t unacknowledged_bytes(const Fd& tcp) {
  int bytes = 0;
  return ioctl(tcp.get(), SIOCOUTQ, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
}

std::uint64_t unacknowledged_ms(const Fd& tcp) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(tcp.get(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_unacked == 0 ? 0 : info.tcpi_last_ack_recv;
}

bool has_input(const Fd& fd) {
  std::uint8_t byte = 0;
  const ssize_t size = recv(fd.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return size >= 0 || (errno != EAGAIN && errno != EINTR);
}

void reset_on_close(const Fd& fd) {
  const linger option{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &option, sizeof option);
}

Result<Endpoint> local_endpoint(const Fd& fd) { return named_endpoint(fd.get(), getsockname); }

Result<Endpoint> peer_endpoint(const Fd& fd) { return named_endpoint(fd.get(), getpeername); }

int socket_type(const Fd& fd) { return option_value(fd.get(), SOL_SOCKET, SO_TYPE); }

bool is_listening(const Fd& fd) { return get_option(fd.get(), SOL_SOCKET, SO_ACCEPTCONN); }

bool takes_both_families(const Fd& fd) {
  return option_value(fd.get(), SOL_SOCKET, SO_DOMAIN) == AF_INET6 &&
         !get_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
}

bool has_packet_info(const Fd& fd) {
  return get_option(fd.get(), IPPROTO_IP, IP_PKTINFO) ||
         get_option(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO);
}

}  // namespace postern::net
