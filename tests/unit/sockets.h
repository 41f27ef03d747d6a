// Plain sockets and small helpers for the tests of net/ and nameserver/: the other end of what is
// tested, made without the code under test.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "base/address.h"
#include "base/bytes.h"
#include "net/loop.h"
#include "net/timer.h"

namespace postern::test {

inline Endpoint endpoint(std::string_view ip, std::uint16_t port = 0) {
  Endpoint e;
  e.ip = IpAddress::parse(ip).value();
  e.port = port;
  return e;
}

/// A blocking socket with a receive timeout of two seconds; closes itself.
class TestSocket {
 public:
  explicit TestSocket(int type, std::string_view local_ip = {}) {
    const bool v6 = local_ip.find(':') != std::string_view::npos;
    open(v6 ? AF_INET6 : AF_INET, type);
    if (!local_ip.empty()) bind_to(endpoint(local_ip));
  }
  struct Adopt {};
  TestSocket(int fd, Adopt) : fd_(fd) { set_timeout(2, 0); }
  ~TestSocket() {
    if (fd_ >= 0) close(fd_);
  }
  TestSocket(const TestSocket&) = delete;
  TestSocket& operator=(const TestSocket&) = delete;

  int fd() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void close_now() {
    close(fd_);
    fd_ = -1;
  }

  void reopen(int type, std::string_view ip) {
    open(ip.find(':') != std::string_view::npos ? AF_INET6 : AF_INET, type);
  }

  void bind_to(const Endpoint& local) { REQUIRE(try_bind_to(local)); }
  bool try_bind_to(const Endpoint& local) {
    sockaddr_storage address{};
    const socklen_t size = local.to_sockaddr(address);
    return bind(fd_, reinterpret_cast<sockaddr*>(&address), size) == 0;
  }
  void connect_to(const Endpoint& peer) {
    sockaddr_storage address{};
    const socklen_t size = peer.to_sockaddr(address);
    REQUIRE(connect(fd_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  }
  Endpoint local() const {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    return Endpoint::from_sockaddr(address);
  }

  void send_to(const Endpoint& peer, std::string_view data) {
    sockaddr_storage address{};
    const socklen_t size = peer.to_sockaddr(address);
    REQUIRE(sendto(fd_, data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&address), size) ==
            static_cast<ssize_t>(data.size()));
  }
  /// One datagram or what a stream has; empty at the end of a stream and after two seconds.
  std::string receive(Endpoint* from = nullptr) {
    std::string buffer(70'000, '\0');
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const ssize_t n = recvfrom(fd_, buffer.data(), buffer.size(), 0,
                               reinterpret_cast<sockaddr*>(&address), &size);
    if (from != nullptr && n >= 0) *from = Endpoint::from_sockaddr(address);
    buffer.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return buffer;
  }
  /// What is there now; empty when nothing is.
  std::string receive_now(Endpoint* from = nullptr) {
    set_timeout(0, 1000);
    std::string data = receive(from);
    set_timeout(2, 0);
    return data;
  }
  void send_all(std::string_view data) {
    while (!data.empty()) {
      const ssize_t n = send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
      REQUIRE(n > 0);
      data.remove_prefix(static_cast<std::size_t>(n));
    }
  }

 private:
  void open(int family, int type) {
    fd_ = socket(family, type | SOCK_CLOEXEC, 0);
    REQUIRE(fd_ >= 0);
    set_timeout(2, 0);
  }
  void set_timeout(int seconds, int microseconds) {
    const timeval limit{seconds, microseconds};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }

  int fd_ = -1;
};

/// Turns the loop until `done` or for two seconds; returns whether it was done.
inline bool run_until(net::Loop& loop, const std::function<bool()>& done,
                      std::uint64_t limit_ms = 2000) {
  net::Timer tick(loop, [] {});
  tick.start_every(2);
  const std::uint64_t begin = loop.now_ms();
  while (!done()) {
    if (loop.now_ms() > begin + limit_ms) return false;
    loop.run_once(true);
  }
  return true;
}

/// Turns the loop for this long.
inline void run_for(net::Loop& loop, std::uint64_t ms) {
  run_until(
      loop, [] { return false; }, ms);
}

inline std::string text_of(Bytes bytes) { return std::string(as_text(bytes)); }

}  // namespace postern::test
