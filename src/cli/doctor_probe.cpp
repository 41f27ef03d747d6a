#include "cli/doctor_probe.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <random>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/message.h"

namespace postern::cli {
namespace {

constexpr std::size_t kInitialBytes = 1200;
constexpr std::size_t kReplyBytesMax = 65535;
constexpr int kSends = 3;

class Socket {
 public:
  Socket(const Endpoint& server, int type) {
    sockaddr_storage address{};
    const socklen_t size = server.to_sockaddr(address);
    fd_ = ::socket(address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return;
    const auto* to = reinterpret_cast<const sockaddr*>(&address);
    error_ = ::connect(fd_, to, size) == 0 ? 0 : errno;
  }
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int fd() const { return fd_; }
  /// Of all that ICMP says; without, "host unreachable" is kept from a socket of UDP.
  void hear_icmp(bool v4) const {
    const int on = 1;
    setsockopt(fd_, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof on);
  }
  int error() const { return error_; }
  bool wait(short events, int timeout_ms) const {
    pollfd entry{fd_, events, 0};
    return ::poll(&entry, 1, timeout_ms) > 0;
  }

 private:
  int fd_ = -1;
  int error_ = -1;
};

using Clock = std::chrono::steady_clock;

int left_ms(Clock::time_point end) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

bool answers(Bytes reply, Bytes query) {
  return reply.size() >= dns::kHeaderBytes &&
         dns::read_header(reply).id == dns::read_header(query).id;
}

/// Sends the packet, and again after a third of the time: one is lost now and then. False: nothing
/// has come by `end`.
bool send_and_wait(const Socket& socket, Bytes packet, Clock::time_point end) {
  for (int sends_left = kSends; sends_left > 0; --sends_left) {
    // An error is that of ICMP for the packet before; recv() tells it.
    if (::send(socket.fd(), packet.data(), packet.size(), 0) < 0) return true;
    if (socket.wait(POLLIN, left_ms(end) / sends_left)) return true;
  }
  return false;
}

std::vector<std::uint8_t> ask_by_udp(const Endpoint& server, Bytes query, Clock::time_point end) {
  const Socket socket(server, SOCK_DGRAM);
  if (socket.error() != 0 || !send_and_wait(socket, query, end)) return {};
  do {
    std::vector<std::uint8_t> reply(kReplyBytesMax);
    const ssize_t got = ::recv(socket.fd(), reply.data(), reply.size(), 0);
    if (got < 0) return {};
    reply.resize(static_cast<std::size_t>(got));
    if (answers(reply, query)) return reply;
  } while (socket.wait(POLLIN, left_ms(end)));
  return {};
}

// RFC 7766, one query and one reply, each behind its length.
std::vector<std::uint8_t> ask_by_tcp(const Endpoint& server, Bytes query, Clock::time_point end) {
  const Socket socket(server, SOCK_STREAM);
  if (socket.error() != 0 && socket.error() != EINPROGRESS) return {};
  if (!socket.wait(POLLOUT, left_ms(end))) return {};
  std::vector<std::uint8_t> message{static_cast<std::uint8_t>(query.size() >> 8U),
                                    static_cast<std::uint8_t>(query.size())};
  message.insert(message.end(), query.begin(), query.end());
  if (::send(socket.fd(), message.data(), message.size(), MSG_NOSIGNAL) < 0) return {};
  std::vector<std::uint8_t> got;
  while (socket.wait(POLLIN, left_ms(end))) {
    std::array<std::uint8_t, 4096> piece{};
    const ssize_t size = ::recv(socket.fd(), piece.data(), piece.size(), 0);
    if (size <= 0) return {};
    got.insert(got.end(), piece.begin(), piece.begin() + size);
    if (got.size() < 2 || got.size() - 2 < load_u16(got.data())) continue;
    got.erase(got.begin(), got.begin() + 2);
    return answers(got, query) ? got : std::vector<std::uint8_t>();
  }
  return {};
}

// RFC 9000 section 17.2.1: two ids behind their lengths, then versions; 0x?a?a?a?a are reserved and
// spoken by nobody (section 15).
QuicAnswer judge_versions(Bytes packet) {
  std::size_t at = 5;
  for (int id = 0; id < 2; ++id) {
    if (at >= packet.size()) return QuicAnswer::kOther;
    at += 1 + std::size_t{packet[at]};
  }
  for (; at + 4 <= packet.size(); at += 4) {
    if ((load_u32(packet.data() + at) & 0x0F0F0F0FU) != 0x0A0A0A0AU) return QuicAnswer::kSpoken;
  }
  return QuicAnswer::kRefused;
}

}  // namespace

std::optional<IpAddress> source_address(const Endpoint& server) {
  const Socket socket(server, SOCK_DGRAM);
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  auto* const own = reinterpret_cast<sockaddr*>(&address);
  if (socket.error() != 0 || getsockname(socket.fd(), own, &size) != 0) return std::nullopt;
  return Endpoint::from_sockaddr(address).ip;
}

std::vector<std::uint8_t> ask_dns(const Endpoint& server, dns::NameView name, dns::RrType type,
                                  int timeout_ms) {
  std::array<std::uint8_t, 512> buffer{};
  dns::MessageWriter writer(buffer, buffer.size());
  const auto id = static_cast<std::uint16_t>(std::random_device{}());
  writer.start(id, dns::kFlagRd);
  if (!writer.question(name, type, dns::RrClass::kIn)) return {};
  const Bytes query = writer.finish();
  const Clock::time_point end = Clock::now() + std::chrono::milliseconds(timeout_ms);
  std::vector<std::uint8_t> reply = ask_by_udp(server, query, end);
  if (reply.empty() || (dns::read_header(reply).flags & dns::kFlagTc) == 0) return reply;
  return ask_by_tcp(server, query, end);
}

QuicAnswer probe_quic(const Endpoint& server, int timeout_ms) {
  const Socket socket(server, SOCK_DGRAM);
  socket.hear_icmp(server.ip.is_v4());
  std::array<std::uint8_t, kInitialBytes> packet{0xc0, 0x1a, 0x2a, 0x3a, 0x5a, 8};
  std::random_device random;
  for (std::size_t i = 6; i < 14; ++i) packet.at(i) = static_cast<std::uint8_t>(random());
  packet[14] = 8;
  for (std::size_t i = 15; i < 23; ++i) packet.at(i) = static_cast<std::uint8_t>(random());
  const Clock::time_point end = Clock::now() + std::chrono::milliseconds(timeout_ms);
  if (!send_and_wait(socket, packet, end)) return QuicAnswer::kSilence;
  std::array<std::uint8_t, kInitialBytes> reply{};
  const ssize_t got = ::recv(socket.fd(), reply.data(), reply.size(), 0);
  if (got < 0) return errno == EAGAIN ? QuicAnswer::kSilence : QuicAnswer::kIcmp;
  const bool negotiation = got >= 7 && (reply[0] & 0x80U) != 0 && load_u32(&reply[1]) == 0;
  return negotiation ? judge_versions(Bytes(reply).first(static_cast<std::size_t>(got)))
                     : QuicAnswer::kOther;
}

}  // namespace postern::cli
