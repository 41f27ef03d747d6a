#include "net/udp_buffers.h"

#include <algorithm>
#include <cstring>

namespace postern::net {
namespace {

void replace_with_null(std::vector<UdpSocket*>& sockets, const UdpSocket* socket) {
  for (UdpSocket*& entry : sockets) {
    if (entry == socket) entry = nullptr;
  }
}

}  // namespace

ReceiveSlots::ReceiveSlots() : memory_(kUdpBatchMax * kStride) {
  for (std::size_t i = 0; i < kUdpBatchMax; ++i) {
    vectors_[i] = {&memory_[i * kStride], kUdpDatagramMax};
    headers_[i].msg_hdr.msg_iov = &vectors_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
  }
}

mmsghdr* ReceiveSlots::prepare(std::size_t count, bool with_peer, bool with_packet_info) {
  for (std::size_t i = 0; i < count; ++i) {
    msghdr& header = headers_[i].msg_hdr;
    header.msg_name = with_peer ? &peers_[i] : nullptr;
    header.msg_namelen = with_peer ? sizeof peers_[i] : 0;
    header.msg_control = with_packet_info ? controls_[i].data() : nullptr;
    header.msg_controllen = with_packet_info ? controls_[i].size() : 0;
  }
  return headers_.data();
}

void SendSlots::add(const msghdr& address, const std::uint8_t* data, std::size_t size) {
  vectors_[count_] = {const_cast<std::uint8_t*>(data), size};  // sendmmsg only reads
  msghdr& header = headers_[count_].msg_hdr;
  header = address;
  header.msg_iov = &vectors_[count_];
  header.msg_iovlen = 1;
  header.msg_flags = 0;
  ++count_;
}

UdpBuffers::UdpBuffers(Loop& loop)
    : end_of_turn_(loop, [this] { end_of_turn(); }),
      reply_memory_(kReplyBytes),
      queue_memory_(kQueueBytes) {}

void UdpBuffers::keep_reply(const msghdr& query, std::size_t size) {
  replies_.add(query, reply_room(), size);
  reply_at_ += size;
}

void UdpBuffers::clear_replies() {
  replies_.clear();
  reply_at_ = 0;
}

std::size_t UdpBuffers::store(UdpSocket& socket, Bytes data) {
  if (queue_memory_.size() - queue_at_ < data.size()) send_all();
  if (!socket.dirty_) {
    socket.dirty_ = true;
    dirty_.push_back(&socket);
    end_of_turn_.schedule();
  }
  const std::size_t at = queue_at_;
  std::memcpy(&queue_memory_[at], data.data(), data.size());
  queue_at_ += data.size();
  return at;
}

void UdpBuffers::add_failed(UdpSocket& socket) {
  failed_.push_back(&socket);
  end_of_turn_.schedule();
}

void UdpBuffers::forget(UdpSocket& socket) {
  if (socket.dirty_) replace_with_null(dirty_, &socket);
  if (socket.failed_) {
    replace_with_null(failed_, &socket);
    replace_with_null(reporting_, &socket);
  }
}

// Calls nobody outside of this folder, so nothing is destroyed meanwhile.
void UdpBuffers::send_all() {
  for (UdpSocket* socket : dirty_) {
    if (socket == nullptr) continue;
    socket->flush();
    socket->dirty_ = false;
  }
  dirty_.clear();
  queue_at_ = 0;
}

void UdpBuffers::end_of_turn() {
  send_all();
  reporting_.swap(failed_);
  for (std::size_t i = 0; i < reporting_.size(); ++i) {
    if (reporting_[i] != nullptr) reporting_[i]->report_error();
  }
  reporting_.clear();
}

}  // namespace postern::net
