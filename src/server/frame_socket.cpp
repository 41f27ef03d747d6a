#include "server/frame_socket.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/frame_control.h"

namespace postern::server {
namespace {

bool would_wait() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

void FrameSocket::add(std::string_view frame) {
  if (state_ != State::kOpen || out_.size() + frame.size() > kBytesMax) {
    ++lost_;
    return;
  }
  out_.append(frame);
  ++waiting_frames_;
}

// A connection to a Unix socket is there at once or not at all.
void FrameSocket::connect(std::uint64_t now_ms) {
  retry_at_ms_ = now_ms + kRetryMs;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return;
  sockaddr_storage any{};
  std::memcpy(&any, &address, sizeof(address));
  const void* const where = &any;
  if (::connect(fd_, static_cast<const sockaddr*>(where), sizeof(address)) != 0) return close();
  out_ = control_frame(FrameControl::kReady);
  state_ = State::kReady;
}

void FrameSocket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  state_ = State::kClosed;
  lost_ += std::exchange(waiting_frames_, 0);
  out_.clear();
  in_.clear();
  sent_ = 0;
}

void FrameSocket::send() {
  while (sent_ < out_.size()) {
    const ssize_t sent = ::send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0 && would_wait()) {
      out_.erase(0, std::exchange(sent_, 0));
      return;
    }
    if (sent < 0) return close();
    sent_ += static_cast<std::size_t>(sent);
  }
  out_.clear();
  sent_ = 0;
  waiting_frames_ = 0;
}

// ACCEPT after READY, FINISH after STOP; anything else, or the end, is the end.
void FrameSocket::receive() {
  std::array<char, 1024> buffer;
  const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
  if (got < 0 && would_wait()) return;
  if (got <= 0) return close();
  in_.append(buffer.data(), static_cast<std::size_t>(got));
  FrameControl control{};
  std::size_t size = 0;
  if (!read_control_frame(in_, &control, &size)) return close();
  if (size == 0) return;
  in_.erase(0, size);
  if (state_ != State::kReady || control != FrameControl::kAccept) return close();
  state_ = State::kOpen;
  ++connects_;
  out_ += control_frame(FrameControl::kStart);
}

void FrameSocket::turn(std::uint64_t now_ms) {
  if (state_ == State::kClosed && now_ms >= retry_at_ms_) connect(now_ms);
  if (state_ != State::kClosed) receive();
  if (state_ != State::kClosed) send();
}

void FrameSocket::end(std::uint64_t limit_ms) {
  if (state_ == State::kOpen) {
    out_ += control_frame(FrameControl::kStop);
    state_ = State::kStopping;
  }
  const std::uint64_t until = monotonic_ms() + limit_ms;
  for (std::uint64_t now = monotonic_ms(); state_ == State::kStopping && now < until;
       now = monotonic_ms()) {
    const auto events = static_cast<short>(out_.empty() ? POLLIN : POLLIN | POLLOUT);
    pollfd wait{fd_, events, 0};
    ::poll(&wait, 1, static_cast<int>(until - now));
    send();
    if (state_ == State::kStopping && (wait.revents & (POLLIN | POLLHUP)) != 0) receive();
  }
  close();
}

}  // namespace postern::server
