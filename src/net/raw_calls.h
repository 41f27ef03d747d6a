// recv(2) and send(2) as plain system calls: those of the C library are points where a thread can
// be cancelled, which costs each call two atomic operations, and no thread here ever is. Sanitizers
// know the library's.
#pragma once

#include <cstddef>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"

namespace postern::net {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
inline ssize_t receive_from(int fd, MutableBytes room) {
  return recv(fd, room.data(), room.size(), 0);
}
inline ssize_t send_to(int fd, Bytes data) {
  return send(fd, data.data(), data.size(), MSG_NOSIGNAL);
}
#else
inline ssize_t receive_from(int fd, MutableBytes room) {
  return syscall(SYS_recvfrom, fd, room.data(), room.size(), 0, nullptr, nullptr);
}
inline ssize_t send_to(int fd, Bytes data) {
  return syscall(SYS_sendto, fd, data.data(), data.size(), MSG_NOSIGNAL, nullptr, 0);
}
#endif

}  // namespace postern::net
