// TCP on plain sockets watched by the loop. A read fetches up to 64 KiB into the loop's scratch
// memory, so a connection without traffic owns no buffer; a write tries the socket first and copies
// only what it does not take. Interest in writing is switched on only while something is unsent.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/address.h"
#include "net/handle.h"
#include "net/loop.h"
#include "net/poll.h"
#include "net/socket.h"
#include "net/stream.h"
#include "net/timer.h"

namespace postern::net {

struct TcpSettings {
  std::size_t unsent_bytes_max = 1U << 20;
  std::uint32_t connect_timeout_ms = 2000;
  int fd_end = kNoFdEnd;  ///< of connect(): see start_connect_tcp()
};

class TcpStream final : public Stream {
 public:
  /// An accepted connection. `reader` outlives the stream.
  static Result<std::unique_ptr<TcpStream>> accepted(Loop& loop, Fd fd, const Endpoint& peer,
                                                     StreamReader& reader,
                                                     const TcpSettings& settings = {});
  /// A new connection; connected() or failed() follows. An error here is one of this machine
  /// (kLimit: no descriptor; no route).
  static Result<std::unique_ptr<TcpStream>> connect(Loop& loop, const Endpoint& peer,
                                                    StreamReader& reader,
                                                    const TcpSettings& settings = {});
  /// Closes at once; unsent bytes are dropped.
  ~TcpStream() override;
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  bool write(Bytes data) override;
  std::size_t unsent() const override { return unsent_.size() - unsent_at_; }
  std::uint64_t sent_total() const override { return sent_total_; }
  void finish() override;
  void pause() override;
  void resume() override;
  bool has_input() const override { return net::has_input(fd_); }
  std::uint64_t acknowledged_total() const override {
    return sent_total_ - std::min<std::uint64_t>(sent_total_, unacknowledged_bytes(fd_));
  }
  std::uint64_t unacknowledged_ms() const override { return net::unacknowledged_ms(fd_); }
  void break_off() override;
  void reset_on_close() override { net::reset_on_close(fd_); }
  const Endpoint& peer() const override { return peer_; }
  Endpoint local() const override;

  bool is_connected() const { return state_ == State::kOpen; }

 private:
  enum class State : std::uint8_t { kConnecting, kOpen, kBroken, kDead };

  TcpStream(Loop& loop, Fd fd, const Endpoint& peer, StreamReader& reader,
            const TcpSettings& settings, State state);
  static Result<std::unique_ptr<TcpStream>> make(Loop& loop, Fd fd, const Endpoint& peer,
                                                 StreamReader& reader, const TcpSettings& settings,
                                                 State state);
  void limit_connecting(Loop& loop);
  void update_interest();
  void ready(int status, int events);
  void finish_connecting();
  void read_chunk();
  void read_what_came();
  void write_unsent();
  void keep(Bytes data);
  void end_writing_when_sent();
  std::size_t send_now(Bytes data);
  void die(int error_number);

  Loop& loop_;
  StreamReader& reader_;
  TcpSettings settings_;
  Fd fd_;
  Endpoint peer_;
  State state_;
  bool paused_ = false, read_ended_ = false, finishing_ = false, write_ended_ = false;
  int error_number_ = 0;
  bool* destroyed_ = nullptr;
  Poll poll_;
  std::unique_ptr<Timer> connect_timer_;
  std::vector<std::uint8_t> unsent_;
  std::size_t unsent_at_ = 0;
  std::uint64_t sent_total_ = 0;
};

/// Accepts connections and hands them over as they are; limits are the owner's business.
class TcpListener {
 public:
  using Accepted = std::function<void(Fd fd, const Endpoint& peer)>;

  /// `fd` from listen_tcp(). `accepted` must not destroy the listener.
  static Result<std::unique_ptr<TcpListener>> open(Loop& loop, Fd fd, Accepted accepted);
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

  Endpoint local() const;
  /// Hands over what waits to be accepted; before a listener goes, since the system resets the
  /// rest. At a shared one they wait for the others that hold it.
  void accept_waiting();
  bool is_shared() const { return fd_.is_shared(); }
  /// Times that accepting had to rest because the process was out of descriptors or memory.
  std::uint64_t exhausted() const { return exhausted_; }

 private:
  TcpListener(Loop& loop, Fd fd, Accepted accepted);
  void ready();
  void watch();

  Fd fd_;
  Accepted accepted_;
  Poll poll_;
  Timer rest_;
  std::uint64_t exhausted_ = 0;
};

}  // namespace postern::net
