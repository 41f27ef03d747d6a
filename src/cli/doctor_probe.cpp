#include "cli/doctor_probe.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <random>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/message.h"

namespace postern::cli {
namespace {

constexpr std::size_t kInitialBytes = 1200;
constexpr std::size_t kReplyBytesMax = 65535;

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

std::vector<std::uint8_t> ask_by_udp(const Endpoint& server, Bytes query, Clock::time_point end) {
  const Socket socket(server, SOCK_DGRAM);
  if (socket.error() != 0) return {};
  if (::send(socket.fd(), query.data(), query.size(), 0) < 0) return {};
  while (socket.wait(POLLIN, left_ms(end))) {
    std::vector<std::uint8_t> reply(kReplyBytesMax);
    const ssize_t got = ::recv(socket.fd(), reply.data(), reply.size(), 0);
    if (got < 0) return {};
    reply.resize(static_cast<std::size_t>(got));
    if (answers(reply, query)) return reply;
  }
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

}  // namespace

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
  std::array<std::uint8_t, kInitialBytes> packet{0xc0, 0x1a, 0x2a, 0x3a, 0x5a, 8};
  std::random_device random;
  for (std::size_t i = 6; i < 14; ++i) packet.at(i) = static_cast<std::uint8_t>(random());
  packet[14] = 8;
  for (std::size_t i = 15; i < 23; ++i) packet.at(i) = static_cast<std::uint8_t>(random());
  if (::send(socket.fd(), packet.data(), packet.size(), 0) < 0) return QuicAnswer::kSilence;
  if (!socket.wait(POLLIN, timeout_ms)) return QuicAnswer::kSilence;
  std::array<std::uint8_t, kInitialBytes> reply{};
  const ssize_t got = ::recv(socket.fd(), reply.data(), reply.size(), 0);
  if (got < 0) return errno == ECONNREFUSED ? QuicAnswer::kIcmp : QuicAnswer::kSilence;
  const bool negotiation = got >= 7 && (reply[0] & 0x80U) != 0 &&
                           std::all_of(&reply[1], &reply[5], [](auto b) { return b == 0; });
  return negotiation ? QuicAnswer::kRefused : QuicAnswer::kOther;
}

}  // namespace postern::cli
