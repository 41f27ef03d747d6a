#include "net/tls_socket.h"

#include <cerrno>

#include "net/poll.h"
#include "net/raw_calls.h"

namespace postern::net {
namespace {

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

int write_socket(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  TlsSocket& socket = socket_of(bio);
  const ssize_t sent = send_to(
      socket.fd, {reinterpret_cast<const std::uint8_t*>(from), static_cast<std::size_t>(size)});
  if (sent < size && (sent >= 0 || errno == EAGAIN)) socket.poll->drained(kWritable);
  if (sent >= 0) return static_cast<int>(sent);
  if (is_would_block(errno)) {
    BIO_set_retry_write(bio);
  } else {
    socket.error_number = errno;
  }
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

BIO* make_bio(TlsSocket& socket) {
  static const BIO_METHOD* const method = make_method();
  BIO* const bio = BIO_new(method);
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &socket);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace postern::net
