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

}  // namespace

std::vector<std::uint8_t> ask_dns(const Endpoint& server, dns::NameView name, dns::RrType type,
                                  int timeout_ms) {
  const Socket socket(server, SOCK_DGRAM);
  if (socket.error() != 0) return {};
  const auto id = static_cast<std::uint16_t>(std::random_device{}());
  std::array<std::uint8_t, 512> buffer{};
  dns::MessageWriter writer(buffer, buffer.size());
  writer.start(id, dns::kFlagRd);
  if (!writer.question(name, type, dns::RrClass::kIn)) return {};
  const Bytes query = writer.finish();
  if (::send(socket.fd(), query.data(), query.size(), 0) < 0) return {};
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !socket.wait(POLLIN, static_cast<int>(left.count()))) return {};
    std::vector<std::uint8_t> reply(kReplyBytesMax);
    const ssize_t got = ::recv(socket.fd(), reply.data(), reply.size(), 0);
    if (got < 0) return {};
    reply.resize(static_cast<std::size_t>(got));
    if (reply.size() >= dns::kHeaderBytes && dns::read_header(reply).id == id) return reply;
  }
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
