// A relay on a loop with a listener, a resolver that says what the test wants, and backends made of
// plain sockets.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <csignal>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "../sockets.h"
#include "gateway/tcp_relay.h"
#include "net/tcp.h"

namespace postern::test {

/// Answers at the end of the turn, from a table; names that are not in it do not exist, or nobody
/// can say.
class TableResolver final : public gateway::HostResolver {
 public:
  explicit TableResolver(net::Loop& loop) : loop_(loop) {}
  std::map<std::string, gateway::ResolvedHost> hosts;
  int asked = 0;
  Code otherwise = Code::kNotFound;
  bool hold = false;  ///< until let_go()

  void let_go() {
    for (net::Deferred* work : held_) work->schedule();
    held_.clear();
  }

  std::unique_ptr<Ticket> resolve(const std::string& host, Done done) override {
    ++asked;
    Result<gateway::ResolvedHost> result = fail(otherwise, host + ": not in the table");
    if (const auto known = hosts.find(host); known != hosts.end()) result = known->second;
    auto later = std::make_unique<Later>(loop_, std::move(done), std::move(result));
    if (hold) {
      held_.push_back(&later->work);
    } else {
      later->work.schedule();
    }
    return later;
  }

 private:
  struct Later final : Ticket {
    Later(net::Loop& loop, Done done, Result<gateway::ResolvedHost> result)
        : work(loop, [done = std::move(done), result = std::move(result)] { done(result); }) {}
    net::Deferred work;
  };

  net::Loop& loop_;
  std::vector<net::Deferred*> held_;
};

/// A listening socket; accepts without waiting.
class TestBackend {
 public:
  TestBackend() : listener_(SOCK_STREAM, "127.0.0.1") {
    REQUIRE(listen(listener_.fd(), 64) == 0);
    fcntl(listener_.fd(), F_SETFL, O_NONBLOCK);
  }
  std::uint16_t port() const { return listener_.local().port; }
  /// nullptr when nobody came yet.
  std::unique_ptr<TestSocket> take() {
    const int fd = accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return nullptr;
    return std::make_unique<TestSocket>(fd, TestSocket::Adopt{});
  }

 private:
  TestSocket listener_;
};

/// A port that refuses connections as long as this lives: bound, not listening.
class DeadPort {
 public:
  DeadPort() : socket_(SOCK_STREAM, "127.0.0.1") {}
  std::uint16_t port() const { return socket_.local().port; }

 private:
  TestSocket socket_;
};

/// What a blocked read would say now: bytes, "" for nothing yet, or how the stream ended.
struct Received {
  std::string bytes;
  bool ended = false;  ///< FIN
  bool reset = false;
};

inline Received receive_now(const TestSocket& socket) {
  Received received;
  char buffer[65536];
  for (;;) {
    const ssize_t n = recv(socket.fd(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n > 0) {
      received.bytes.append(buffer, static_cast<std::size_t>(n));
      continue;
    }
    received.ended = n == 0;
    received.reset = n < 0 && errno == ECONNRESET;
    return received;
  }
}

class RelayBench {
 public:
  net::Loop loop;
  TableResolver resolver{loop};
  gateway::RelaySettings settings;
  gateway::Site site;
  std::vector<std::string> log;
  std::string unreached;             // of the last one   ///< "END in/out backend"
  std::vector<Endpoint> clients;     ///< of the records
  std::vector<std::string> no_file;  // backends
  std::unique_ptr<gateway::TcpRelay> relay;
  std::unique_ptr<net::TcpListener> listener;

  RelayBench() {
    std::signal(SIGPIPE, SIG_IGN);
    gateway::Listener tcp;
    tcp.settings.name = "postgres";
    tcp.settings.tcp = 5432;
    site.listeners.push_back(std::move(tcp));
  }

  gateway::ListenerSettings& listener_settings() { return site.listeners[0].settings; }
  void add_backend(const std::string& host, std::uint16_t port) {
    listener_settings().backends.push_back({host, port});
  }
  void start() {
    relay = std::make_unique<gateway::TcpRelay>(
        loop, resolver,
        [this](const gateway::RelayRecord& record) {
          unreached = record.unreached;
          log.push_back(fmt::format("{} {}/{} {}", gateway::relay_end_text(record.end),
                                    record.bytes_in, record.bytes_out, record.backend));
          clients.push_back(record.client);
        },
        [this](const std::string& backend) { no_file.push_back(backend); }, settings);
    relay->configure(site);
    listener = net::TcpListener::open(loop, net::listen_tcp(endpoint("127.0.0.1")).value(),
                                      [this](net::Fd fd, const Endpoint& peer) {
                                        relay->accept(std::move(fd), peer, site.listeners[0]);
                                      })
                   .value();
  }
  std::unique_ptr<TestSocket> connect() {
    auto client = std::make_unique<TestSocket>(SOCK_STREAM);
    client->connect_to(listener->local());
    return client;
  }
  bool wait_for(const std::function<bool()>& done, std::uint64_t limit_ms = 3000) {
    return run_until(loop, done, limit_ms);
  }
  std::unique_ptr<TestSocket> wait_for_connection(TestBackend& backend) {
    std::unique_ptr<TestSocket> socket;
    REQUIRE(wait_for([&] { return (socket = backend.take()) != nullptr; }));
    return socket;
  }
  /// Turns the loop until this came or the stream ended.
  Received receive(const TestSocket& socket, std::size_t size = 1) {
    Received all;
    REQUIRE(wait_for([&] {
      const Received now = receive_now(socket);
      all.bytes += now.bytes;
      all.ended = now.ended;
      all.reset = now.reset;
      return all.ended || all.reset || all.bytes.size() >= size;
    }));
    return all;
  }
  /// Turns the loop until FIN or a reset came, and gives all that came before.
  Received receive_all(const TestSocket& socket) { return receive(socket, ~std::size_t{0}); }
  bool wait_for_log(std::size_t lines) {
    return wait_for([&] { return log.size() >= lines; });
  }
};

}  // namespace postern::test
