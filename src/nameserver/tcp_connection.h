// One client of DNS over TCP (RFC 7766): frames of two bytes of length and a message come in, are
// handed to the QueryHandler as they stand in the read buffer, and the answers of one read leave in
// one write. Answers that come later leave in any order. Works on any net::Stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "base/result.h"
#include "nameserver/kept_reply.h"
#include "nameserver/transport.h"
#include "net/loop.h"
#include "net/stream.h"

namespace postern::nameserver {

struct TcpServiceSettings {
  std::size_t clients_max = 1000;             ///< connections of this worker
  std::size_t clients_per_address_max = 250;  ///< connections from one address
  std::uint32_t idle_timeout_ms = 10'000;     ///< without a query, a reply or one under way
  std::uint32_t stall_timeout_ms = 10'000;    ///< the client takes nothing of what waits for it
  std::size_t unsent_bytes_max = 256U << 10;  ///< beyond it no more queries are read from a client
  std::size_t outstanding_max = 128;          ///< queries of a connection that wait for a reply
};

struct TcpServiceCounts {
  std::uint64_t accepted = 0;          ///< connections served
  std::uint64_t refused_total = 0;     ///< connections refused: clients_max
  std::uint64_t refused_address = 0;   ///< connections refused: clients_per_address_max
  std::uint64_t closed_for_room = 0;   ///< idle connections closed for a new one
  std::uint64_t closed_idle = 0;       ///< by idle_timeout_ms
  std::uint64_t closed_stalled = 0;    ///< by stall_timeout_ms, or far too much unsent
  std::uint64_t closed_malformed = 0;  ///< a frame without a message
  std::uint64_t held_back = 0;         ///< times a client had to wait: outstanding or unsent
  std::uint64_t received = 0;          ///< queries
  std::uint64_t replied = 0;           ///< replies
  std::uint64_t dropped = 0;           ///< queries that get no reply
  std::uint64_t exhausted = 0;         ///< rests from accepting: no descriptors or memory left
};

class TcpConnection;

/// What the connections of a service share. The list's order is that of the last activity.
struct TcpShared {
  TcpShared(net::Loop& event_loop, QueryHandler& query_handler, const TcpServiceSettings& limits);

  net::Loop& loop;
  QueryHandler& handler;
  TcpServiceSettings settings;
  TcpServiceCounts counts;
  std::list<TcpConnection> connections;
  std::vector<std::uint8_t> answers;  ///< frames of one read, until they are written
  std::vector<TcpConnection*> late;   ///< to be served at the end of the loop's turn
  net::Deferred serve_late;
  std::function<void(TcpConnection&)> close;  ///< destroys it
};

class TcpConnection final : public net::StreamReader, private ReplyLater {
 public:
  using Place = std::list<TcpConnection>::iterator;

  /// `listener`: the listen address that it came by, which may be a wildcard.
  TcpConnection(TcpShared& shared, const Endpoint& peer, const Endpoint& listener);
  ~TcpConnection() override;
  TcpConnection(const TcpConnection&) = delete;
  TcpConnection& operator=(const TcpConnection&) = delete;

  /// REQUIRES: called once, before anything else.
  void start(Place place, std::unique_ptr<net::Stream> stream);

  const Endpoint& peer() const { return client_.peer; }
  const Endpoint& listener() const { return listener_; }
  Place place() const { return place_; }
  /// A query waits for its reply, or a reply for the client.
  bool busy() const { return kept_.size() > 0 || !late_answers_.empty() || stream_->unsent() > 0; }
  /// Just accepted: its first query is on the way, and is taken while draining, too.
  bool awaits_first_query(std::uint64_t now_ms) const;
  std::uint64_t last_active_ms() const { return last_active_ms_; }
  /// True when the client has taken nothing for stall_timeout_ms. To be asked now and then.
  bool stalled(std::uint64_t now_ms);

  /// At the end of the loop's turn: late answers leave, queries held back go on. May destroy this.
  void serve_late();
  /// Takes no more queries but the first; ends when what is under way has left. May destroy this.
  void drain();

 private:
  struct NoAddress {};
  using Kept = KeptReplies<TcpConnection, NoAddress>;
  friend Kept;

  void received(Bytes chunk) override;
  void ended() override;
  void drained() override;
  void failed(const Error& error) override;
  std::unique_ptr<ReplyPath> keep() override;
  void late_reply(const NoAddress& address, Bytes reply);
  void late_nothing();

  bool may_take_query() const;
  std::size_t take_queries(Bytes data);
  void take_query(Bytes query);
  void write_answers();
  void write(Bytes frames);
  void take_held_back();
  void settle();
  void touch();
  void mark_late();

  TcpShared& shared_;
  Client client_;
  Endpoint listener_;
  Place place_;
  std::unique_ptr<net::Stream> stream_;
  Kept kept_{*this};
  std::vector<std::uint8_t> input_;         // a partial frame, or queries held back
  std::vector<std::uint8_t> late_answers_;  // frames
  std::size_t answers_size_ = 0;            // in shared_.answers
  std::uint64_t last_active_ms_ = 0;
  std::uint64_t sent_mark_ = 0, sent_mark_ms_ = 0;  // for stalled()
  bool current_kept_ = false, paused_ = false, ended_ = false, malformed_ = false, broken_ = false,
       draining_ = false, lingering_ = false, marked_late_ = false, asked_ = false;
};

}  // namespace postern::nameserver
