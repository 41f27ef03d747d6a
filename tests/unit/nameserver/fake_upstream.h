// An upstream made of plain sockets: it notes what it was asked and answers what the test wants, by
// bytes made by hand. Served from the test's own thread, between turns of the loop.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>

#include "../sockets.h"
#include "base/bytes.h"

namespace postern::test {

using namespace std::string_literals;

/// A query as it came, with what the tests look at.
struct Asked {
  std::string bytes;
  Endpoint from;
  bool by_tcp = false;
  std::size_t connection = 0;

  std::uint16_t id() const { return load_u16(as_bytes(bytes).data()); }
  std::size_t name_size() const { return bytes.find('\0', 12) + 1 - 12; }
  std::string name() const { return bytes.substr(12, name_size()); }  ///< wire form, case as sent
  std::string question() const { return bytes.substr(12, name_size() + 4); }
  std::uint16_t type() const { return load_u16(as_bytes(bytes).data() + 12 + name_size()); }
  bool edns() const { return bytes[11] != '\0'; }
};

inline std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

inline std::string u16_text(std::size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 255)};
}

/// A reply with this many answers behind the question; `flags` as on the wire.
inline std::string reply(const Asked& asked, std::size_t flags, std::size_t answers = 0,
                         const std::string& records = {}) {
  return u16_text(asked.id()) + u16_text(flags) + "\0\1"s + u16_text(answers) + "\0\0\0\0"s +
         asked.question() + records;
}

/// One A record with TTL 300 for the name in question: 192.0.2.`last`.
inline std::string a_reply(const Asked& asked, std::uint8_t last = 1) {
  return reply(asked, 0x8180, 1,
               "\xc0\x0c\0\1\0\1\0\0\x01\x2c\0\4\xc0\0\2"s + static_cast<char>(last));
}

class FakeUpstream {
 public:
  /// What to send for a query; "" sends nothing.
  using Answer = std::function<std::string(const Asked&)>;

  explicit FakeUpstream(Answer answer, std::string_view ip = "127.0.0.1")
      : answer_(std::move(answer)), udp_(SOCK_DGRAM, ip), tcp_(SOCK_STREAM) {
    const int on = 1;
    setsockopt(tcp_.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    // The port that was drawn for UDP may be somebody's for TCP.
    for (int tries = 0; tries < 100 && !tcp_.try_bind_to(udp_.local()); ++tries) {
      udp_.close_now();
      udp_.reopen(SOCK_DGRAM, ip);
      udp_.bind_to(endpoint(ip));
    }
    REQUIRE(tcp_.local().port == udp_.local().port);
  }

  Endpoint address() const { return udp_.local(); }
  void listen_tcp() {
    REQUIRE(listen(tcp_.fd(), 16) == 0);
    set_nonblocking(tcp_.fd());
    listening_ = true;
  }
  void set_answer(Answer answer) { answer_ = std::move(answer); }
  /// The kernel answers with ICMP from now on.
  void close_udp() {
    udp_.close_now();
    udp_open_ = false;
  }
  void open_udp() {
    udp_.reopen(SOCK_DGRAM, "127.0.0.1");
    udp_.bind_to(tcp_.local());
    udp_open_ = true;
  }
  void send(const Endpoint& to, std::string_view bytes) { udp_.send_to(to, bytes); }

  std::vector<Asked> asked;
  std::size_t connections = 0;
  std::size_t close_after = 0;  ///< answers on a connection after which it is closed; 0: never

  void serve() {
    if (udp_open_) serve_udp();
    if (listening_) accept_some();
    for (Connection& connection : open_) serve_connection(connection);
    std::erase_if(open_, [](const Connection& c) { return c.closed; });
  }
  void close_connections() { open_.clear(); }
  /// Only from inside an answer: the connection that the query came by.
  void close_current() { close_current_ = true; }
  void send_on_connection(std::size_t index, std::string_view bytes) {
    open_.at(index).socket->send_all(bytes);
  }
  std::size_t open_connections() const { return open_.size(); }

 private:
  struct Connection {
    std::unique_ptr<TestSocket> socket;
    std::size_t number = 0;
    std::string input;
    std::size_t answered = 0;
    bool closed = false;
  };

  static void set_nonblocking(int fd) { fcntl(fd, F_SETFL, O_NONBLOCK); }

  void serve_udp() {
    char buffer[4096];
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    for (;;) {
      const ssize_t n = recvfrom(udp_.fd(), buffer, sizeof buffer, MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&address), &size);
      if (n < 0) return;
      asked.push_back({std::string(buffer, static_cast<std::size_t>(n)),
                       Endpoint::from_sockaddr(address), false, 0});
      const Asked query = asked.back();
      const std::string bytes = answer_(query);
      if (!bytes.empty()) udp_.send_to(query.from, bytes);
    }
  }

  void accept_some() {
    for (;;) {
      const int fd = accept(tcp_.fd(), nullptr, nullptr);
      if (fd < 0) return;
      auto socket = std::make_unique<TestSocket>(fd, TestSocket::Adopt{});
      open_.push_back({std::move(socket), ++connections, {}, 0, false});
    }
  }

  void serve_connection(Connection& connection) {
    char buffer[65536];
    const ssize_t n = recv(connection.socket->fd(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n == 0) connection.closed = true;
    if (n <= 0) return;
    connection.input.append(buffer, static_cast<std::size_t>(n));
    while (!connection.closed && connection.input.size() >= 2) {
      const std::size_t size = load_u16(as_bytes(connection.input).data());
      if (connection.input.size() < size + 2) return;
      asked.push_back({connection.input.substr(2, size), {}, true, connection.number});
      connection.input.erase(0, size + 2);
      const std::string bytes = answer_(Asked(asked.back()));
      if (std::exchange(close_current_, false)) connection.closed = true;
      if (bytes.empty()) continue;
      connection.socket->send_all(u16_text(bytes.size()) + bytes);
      connection.closed = ++connection.answered == close_after;
    }
  }

  Answer answer_;
  TestSocket udp_;
  TestSocket tcp_;
  bool udp_open_ = true;
  bool listening_ = false;
  bool close_current_ = false;
  std::vector<Connection> open_;
};

}  // namespace postern::test
