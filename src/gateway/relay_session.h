// One relayed connection of TcpRelay: PROXY header, backend, bytes both ways, end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/proxy_protocol.h"
#include "gateway/relay_backends.h"
#include "gateway/relay_flow.h"
#include "gateway/tcp_relay.h"
#include "net/poll.h"
#include "net/timer.h"

namespace postern::gateway {

class RelaySession;

/// What sessions share; TcpRelay's inside.
struct RelayShared {
  net::Loop& loop;
  RelaySettings settings;
  PipePool pipes{};
  int fd_end = net::kNoFdEnd;  ///< of backends
  std::uint64_t bytes_in = 0, bytes_out = 0;
  /// The session has closed its sockets and is to be deleted when it is off the call stack.
  std::function<void(RelaySession&, RelayEnd)> ended{};
  std::function<void(const std::string& backend)> no_file{};
};

class RelaySession final : public AddressWaiter {
 public:
  /// Waits for a PROXY header first when `proxied`.
  RelaySession(RelayShared& shared, net::Fd client, const Endpoint& peer,
               std::shared_ptr<RelayTarget> target, bool proxied);
  ~RelaySession() override;
  RelaySession(const RelaySession&) = delete;
  RelaySession& operator=(const RelaySession&) = delete;

  void start();
  /// Closes both sockets, by a reset where `end` is no orderly one; ended() follows at once.
  void finish(RelayEnd end);
  /// To be asked at a quarter of idle_ms() too: what moves slowly is not.
  bool is_idle(std::uint64_t now_ms);
  std::uint64_t idle_ms() const { return idle_ms_; }
  RelayRecord record(RelayEnd end) const;

  void addresses_ready() override;

  std::size_t index = 0;  ///< the owner's

 private:
  enum class Stage : std::uint8_t { kHeader, kLookup, kConnecting, kRelaying, kEnding, kEnded };
  enum : std::size_t { kClient = 0, kBackend = 1 };

  /// A socket and what is watched on it.
  struct Side {
    RelaySession* session = nullptr;
    net::Fd fd;
    net::Poll poll;

    void close(bool reset);
  };
  /// Only until bytes are relayed.
  struct Setup {
    explicit Setup(net::Loop& loop, std::function<void()> expired)
        : timer(loop, std::move(expired)) {}
    net::Timer timer;
    ProxyHeaderReader header;
    RelayTarget::Tried tried;
    std::vector<Endpoint> addresses;  // of the backend at hand, not tried yet
    std::uint32_t attempt_ms = 0;
    std::string why;  // the last attempt failed
  };

  /// Only when a side is broken, until what it said before has reached the other one.
  struct Ending {
    Ending(net::Loop& loop, std::function<void()> look) : timer(loop, std::move(look)) {}
    net::Timer timer;
    std::size_t broken = kClient;
    std::uint64_t moved_ms = 0;
    std::size_t left = 0;  // bytes
  };

  void open_side(std::size_t which, net::Fd fd);
  void ready(const Side& side, int status, int events);
  void timed_out();
  void read_header();
  void try_backends();
  void take_addresses();
  bool try_addresses();
  void no_file(const std::string& why);
  void drop_backend();
  void finish_connecting();
  void attempt_failed(int error_number);
  void connected();
  bool send_header();
  RelayFlow::State pump(std::size_t source);
  void relay(std::size_t source);
  void broke(std::size_t which);
  void pass_last();
  void look_at_last();
  void update_interest();
  /// Bytes that one side has sent and the other one's system has not acknowledged.
  std::size_t undelivered() const;

  RelayShared& shared_;
  std::shared_ptr<RelayTarget> target_;
  std::shared_ptr<RelayBackend> backend_;
  Endpoint client_, destination_;
  std::uint64_t idle_ms_, began_ms_, active_ms_;
  std::uint64_t looked_ms_ = 0;  // at what is undelivered
  std::size_t undelivered_ = 0;
  Stage stage_ = Stage::kHeader;
  bool proxied_, write_header_;
  std::array<Side, 2> sides_;
  std::array<RelayFlow, 2> flows_;  // by source
  std::unique_ptr<Setup> setup_;
  std::string unreached_;  // the last backend that was tried in vain, and why
  std::unique_ptr<Ending> ending_;
};

}  // namespace postern::gateway
