#include "net/tls_socket.h"

#include <cerrno>
#include <cstring>

#include "net/poll.h"
#include "net/raw_calls.h"

namespace postern::net {
namespace {

// Of a peer that makes us talk and does not read.
constexpr std::size_t kSealedBytesMax = 128U << 10;

TlsSocket& socket_of(BIO* bio) { return *static_cast<TlsSocket*>(BIO_get_data(bio)); }

bool is_would_block(int error_number) {
  return error_number == EAGAIN || error_number == EINTR || error_number == ENOBUFS ||
         error_number == ENOMEM;
}

int starve(BIO* bio, TlsSocket& socket) {
  socket.starved = true;
  socket.reads_left = 0;
  BIO_set_retry_read(bio);
  return -1;
}

int read_socket(BIO* bio, char* to, int size) {
  BIO_clear_retry_flags(bio);
  TlsSocket& socket = socket_of(bio);
  if (socket.reads_left == 0) return starve(bio, socket);
  const ssize_t got = receive_from(
      socket.fd, {reinterpret_cast<std::uint8_t*>(to), static_cast<std::size_t>(size)});
  if (got > 0) {
    // A short read has emptied the socket: no system call to be told EAGAIN.
    if (got < size) socket.poll->short_read();
    socket.reads_left = got < size ? 0 : socket.reads_left - 1;
    return static_cast<int>(got);
  }
  if (got == 0) {
    if (socket.error_number != 0) return -1;  // a write was told of the reset instead
    socket.ended = true;
    return 0;
  }
  if (errno == EAGAIN) socket.poll->drained(kReadable);
  if (is_would_block(errno)) return starve(bio, socket);
  socket.error_number = errno;
  return -1;
}

// How much of it the socket took; nothing and error_number when it is broken.
std::size_t send_some(TlsSocket& socket, Bytes data) {
  const ssize_t sent = send_to(socket.fd, data);
  const bool all = sent >= 0 && static_cast<std::size_t>(sent) == data.size();
  if (!all && (sent >= 0 || errno == EAGAIN)) socket.poll->drained(kWritable);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (!is_would_block(errno)) socket.error_number = errno;
  return 0;
}

// What OpenSSL says of its own accord while it reads, an alert or KeyUpdate: that the socket has
// become writable is for the owner to find, whose bytes are before it. Nor may it be refused, for
// OpenSSL then forgets alerts, and their number in the sequence is used.
std::size_t queue(TlsSocket& socket, Bytes record) {
  if (socket.sealed.size() > kSealedBytesMax) {
    socket.error_number = ENOBUFS;
    return 0;
  }
  socket.sealed.insert(socket.sealed.end(), record.begin(), record.end());
  return record.size();
}

int write_socket(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  TlsSocket& socket = socket_of(bio);
  const Bytes record(reinterpret_cast<const std::uint8_t*>(from), static_cast<std::size_t>(size));
  std::size_t taken = 0;
  if (socket.batch.empty() && !socket.sealed.empty()) {
    taken = queue(socket, record);
  } else if (socket.batch.empty()) {
    taken = send_some(socket, record);
  } else if (record.size() <= socket.batch.size() - socket.batched) {
    std::memcpy(socket.batch.data() + socket.batched, record.data(), record.size());
    socket.batched += record.size();
    taken = record.size();
  }
  if (taken != 0) return static_cast<int>(taken);
  if (socket.error_number == 0) BIO_set_retry_write(bio);
  return -1;
}

long control_socket(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return socket_of(bio).ended ? 1 : 0;
  return 0;
}

BIO_METHOD* make_method() {
  BIO_METHOD* const method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
  BIO_meth_set_read(method, read_socket);
  BIO_meth_set_write(method, write_socket);
  BIO_meth_set_ctrl(method, control_socket);
  return method;
}

}  // namespace

bool TlsSocket::send_batch() {
  const Bytes records = batch.first(batched);
  if (records.empty()) return true;
  batched = 0;
  const std::size_t sent = send_some(*this, records);
  sealed.assign(records.begin() + static_cast<std::ptrdiff_t>(sent), records.end());
  return sent == records.size();
}

bool TlsSocket::send_sealed() {
  if (sealed.empty()) return true;
  const std::size_t sent = send_some(*this, sealed);
  if (sent == sealed.size()) {
    sealed = {};
    return true;
  }
  sealed.erase(sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(sent));
  return false;
}

BIO* make_bio(TlsSocket& socket) {
  static const BIO_METHOD* const method = make_method();
  BIO* const bio = BIO_new(method);
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &socket);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace postern::net
