// TlsStream on a socket that the loop watches. Private to tls_*.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/handle.h"
#include "net/loop.h"
#include "net/poll.h"
#include "net/socket.h"
#include "net/timer.h"
#include "net/tls.h"
#include "net/tls_client.h"
#include "net/tls_memory.h"
#include "net/tls_openssl.h"
#include "net/tls_server.h"
#include "net/tls_socket.h"

namespace postern::net {

class SocketTlsStream final : public TlsStream {
 public:
  SocketTlsStream(Loop& loop, Fd fd, const Endpoint& peer, StreamReader& reader,
                  const TlsSettings& settings);
  ~SocketTlsStream() override;
  SocketTlsStream(const SocketTlsStream&) = delete;
  SocketTlsStream& operator=(const SocketTlsStream&) = delete;

  // What accepted() and connect() do after making it.
  Result<void> be_server(std::shared_ptr<const ServerContext> server);
  Result<void> be_client(std::shared_ptr<const ClientContext> client, const std::string& name);

  bool write(Bytes data) override;
  std::size_t unsent() const override {
    return unsent_.size() - unsent_at_ + socket_.sealed.size();
  }
  std::uint64_t sent_total() const override { return sent_total_; }
  bool ended_without_notice() const override { return socket_.ended; }
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
  void rest() override;
  const Endpoint& peer() const override { return peer_; }
  Endpoint local() const override;
  std::string_view sni() const override;
  std::string_view alpn() const override;
  std::string_view version() const override;
  bool resumed() const override;
  bool is_connected() const override { return state_ == State::kOpen; }
  bool has_begun() const override { return SSL_in_before(tls_.ssl()) == 0; }

 private:
  enum class State : std::uint8_t { kConnecting, kHandshake, kOpen, kBroken, kDead };
  // What OpenSSL holds that no event of the socket will tell of.
  enum class Held : std::uint8_t { kNothing, kBytes, kEnd, kError };

  Result<void> start();
  int wanted_events() const;
  void update_interest();
  void ready(int status, int events);
  void finish_connecting();
  void shake_hands();
  int do_handshake();
  void answer_plain_http();
  void read_held();
  void read_chunk();
  void read_what_came();
  std::size_t fill(MutableBytes room);
  bool owes_key_update() const;
  bool stops_reading(int reason);
  void tell_held();
  void write_unsent();
  void keep(Bytes data);
  void end_writing_when_sent();
  std::size_t send_now(Bytes data);
  std::size_t seal(Bytes data);
  void break_down(int reason);
  Error error_of(int reason) const;
  void die(const Error& error);

  Loop& loop_;
  StreamReader& reader_;
  TlsSettings settings_;
  Fd fd_;
  Endpoint peer_;
  State state_ = State::kHandshake;
  Held held_ = Held::kNothing;
  bool paused_ = false, read_ended_ = false, finishing_ = false, write_ended_ = false;
  // OpenSSL may have to write before it can read and the other way round.
  bool handshake_writes_ = false, read_wants_write_ = false, write_wants_read_ = false;
  bool ending_ = false;  // close_notify did not leave at once
  bool* destroyed_ = nullptr;
  TlsSocket socket_;
  TlsNotes notes_;
  std::unique_ptr<Error> error_;  // for failed(), when its time comes
  std::shared_ptr<const ServerContext> server_;
  std::shared_ptr<const ClientContext> client_;
  TlsMemory tls_;
  Poll poll_;
  std::unique_ptr<Timer> connect_timer_;
  Deferred read_later_;
  std::vector<std::uint8_t> unsent_;
  std::size_t unsent_at_ = 0;
  std::uint64_t sent_total_ = 0;
};

}  // namespace postern::net
