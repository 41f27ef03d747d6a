// The memory that all UDP sockets of one loop share: slots for one received batch, for its replies,
// and for what is queued until the end of the turn. Served sockets take turns, so one set is enough
// and stays in the processor's cache.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <sys/socket.h>
#include <sys/uio.h>

#include "net/loop.h"
#include "net/udp.h"

namespace postern::net {

/// Headers for one recvmmsg.
class ReceiveSlots {
 public:
  ReceiveSlots();

  /// The first `count` headers, ready for a socket of this kind. Peers are sockaddr_storage.
  mmsghdr* prepare(std::size_t count, bool with_peer, bool with_packet_info);

 private:
  // An odd number of cache lines: with a power of two, all slots would share few cache sets.
  static constexpr std::size_t kStride = kUdpDatagramMax + 64;

  std::vector<std::uint8_t> memory_;
  std::array<mmsghdr, kUdpBatchMax> headers_{};
  std::array<iovec, kUdpBatchMax> vectors_{};
  std::array<sockaddr_storage, kUdpBatchMax> peers_{};
  std::array<decltype(UdpReturn::control), kUdpBatchMax> controls_{};
};

/// Headers for one sendmmsg. What they point to must stay until it was called.
class SendSlots {
 public:
  bool full() const { return count_ == kUdpBatchMax; }
  std::size_t count() const { return count_; }
  mmsghdr* headers() { return headers_.data(); }
  void clear() { count_ = 0; }
  /// REQUIRES: !full().
  void add(const msghdr& address, const std::uint8_t* data, std::size_t size);

 private:
  std::size_t count_ = 0;
  std::array<mmsghdr, kUdpBatchMax> headers_{};
  std::array<iovec, kUdpBatchMax> vectors_{};
};

class UdpBuffers {
 public:
  explicit UdpBuffers(Loop& loop);

  ReceiveSlots& received() { return received_; }
  SendSlots& replies() { return replies_; }
  SendSlots& queued() { return queued_; }

  /// True when there is a slot and kUdpDatagramMax bytes for one more reply.
  bool can_reply() const {
    return !replies_.full() && reply_memory_.size() - reply_at_ >= kUdpDatagramMax;
  }
  /// REQUIRES: can_reply().
  std::uint8_t* reply_room() { return &reply_memory_[reply_at_]; }
  /// What was written to reply_room() goes back where `query` came from.
  void keep_reply(const msghdr& query, std::size_t size);
  void clear_replies();

  /// Copies a datagram that `socket` will send at the end of the turn; returns where it stands.
  std::size_t store(UdpSocket& socket, Bytes data);
  const std::uint8_t* stored(std::size_t at) const { return &queue_memory_[at]; }

  /// `socket` has an error to report at the end of the turn.
  void add_failed(UdpSocket& socket);
  void forget(UdpSocket& socket);

 private:
  static constexpr std::size_t kReplyBytes = 64U << 10;
  static constexpr std::size_t kQueueBytes = 256U << 10;

  void end_of_turn();
  void send_all();

  Deferred end_of_turn_;
  ReceiveSlots received_;
  SendSlots replies_, queued_;
  std::vector<std::uint8_t> reply_memory_, queue_memory_;
  std::size_t reply_at_ = 0, queue_at_ = 0;
  std::vector<UdpSocket*> dirty_, failed_, reporting_;
};

}  // namespace postern::net
