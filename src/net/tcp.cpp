#include "net/tcp.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <sys/socket.h>

#include "net/raw_calls.h"

namespace postern::net {
namespace {

constexpr int kAcceptsPerTurnMax = 64;
constexpr std::uint64_t kAcceptRestMs = 100;
constexpr std::size_t kUnsentKeptBytes = 16U << 10;  // memory that an idle stream may keep

bool is_would_block(int error_number) {
  return error_number == EAGAIN || error_number == ENOBUFS || error_number == ENOMEM;
}

bool is_exhausted(int error_number) {
  return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS ||
         error_number == ENOMEM;
}

int take_socket_error(int fd) {
  int error_number = 0;
  socklen_t size = sizeof error_number;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &size) != 0) return errno;
  return error_number;
}

}  // namespace

Result<std::unique_ptr<TcpStream>> TcpStream::accepted(Loop& loop, Fd fd, const Endpoint& peer,
                                                       StreamReader& reader,
                                                       const TcpSettings& settings) {
  return make(loop, std::move(fd), peer, reader, settings, State::kOpen);
}

Result<std::unique_ptr<TcpStream>> TcpStream::connect(Loop& loop, const Endpoint& peer,
                                                      StreamReader& reader,
                                                      const TcpSettings& settings) {
  Result<Fd> fd = start_connect_tcp(peer, settings.fd_end);
  if (!fd) return tl::unexpected(std::move(fd.error()));
  auto stream = make(loop, std::move(*fd), peer, reader, settings, State::kConnecting);
  if (stream) (*stream)->limit_connecting(loop);
  return stream;
}

TcpStream::TcpStream(Loop& loop, Fd fd, const Endpoint& peer, StreamReader& reader,
                     const TcpSettings& settings, State state)
    : loop_(loop),
      reader_(reader),
      settings_(settings),
      fd_(std::move(fd)),
      peer_(peer),
      state_(state) {}

TcpStream::~TcpStream() { mark_destroyed(destroyed_); }

bool TcpStream::write(Bytes data) {
  if (finishing_ || state_ == State::kBroken || state_ == State::kDead) return false;
  if (unsent() + data.size() > settings_.unsent_bytes_max) return false;
  if (state_ == State::kOpen && unsent() == 0) data = data.subspan(send_now(data));
  if (state_ == State::kBroken) return false;
  if (!data.empty()) {
    keep(data);
    update_interest();
  }
  return true;
}

void TcpStream::finish() {
  finishing_ = true;
  end_writing_when_sent();
}

void TcpStream::break_off() {
  if (state_ != State::kOpen) return;
  error_number_ = ENOBUFS;
  state_ = State::kBroken;
  paused_ = true;  // nothing more is read
  shutdown(fd_.get(), SHUT_RDWR);
  update_interest();
}

void TcpStream::pause() {
  paused_ = true;
  update_interest();
}

void TcpStream::resume() {
  paused_ = false;
  update_interest();
}

Endpoint TcpStream::local() const { return local_endpoint(fd_).value_or(Endpoint{}); }

Result<std::unique_ptr<TcpStream>> TcpStream::make(Loop& loop, Fd fd, const Endpoint& peer,
                                                   StreamReader& reader,
                                                   const TcpSettings& settings, State state) {
  std::unique_ptr<TcpStream> stream(
      new TcpStream(loop, std::move(fd), peer, reader, settings, state));
  stream->poll_.open(
      loop, stream->fd_.get(), stream.get(),
      [](void* self, int status, int events) {
        static_cast<TcpStream*>(self)->ready(status, events);
      },
      Trigger::kEdge);
  stream->update_interest();
  return stream;
}

void TcpStream::limit_connecting(Loop& loop) {
  connect_timer_ = std::make_unique<Timer>(loop, [this] { die(ETIMEDOUT); });
  connect_timer_->start_once(settings_.connect_timeout_ms);
}

void TcpStream::update_interest() {
  int wanted = 0;
  if (state_ == State::kConnecting) wanted = kWritable;
  if (state_ == State::kBroken) wanted = kReadable;  // ready at once, so that failed() follows
  if (state_ == State::kOpen) {
    if (!paused_ && !read_ended_) wanted |= kReadable;
    if (unsent() > 0) wanted |= kWritable;
    if (wanted == 0 && read_ended_ && !write_ended_) wanted = kErrorsOnly;
  }
  poll_.watch(wanted);
}

void TcpStream::ready(int status, int events) {
  LifeGuard guard(destroyed_);
  if (state_ == State::kBroken) {
    read_what_came();
    if (!guard.gone()) die(error_number_);
    return;
  }
  if (state_ == State::kConnecting) {
    finish_connecting();
    if (guard.gone() || state_ != State::kOpen) return;
  }
  if ((events & kWritable) != 0) write_unsent();
  if (guard.gone() || state_ != State::kOpen) return;
  if (status < 0 && (paused_ || read_ended_)) {
    const int error_number = take_socket_error(fd_.get());
    die(error_number == 0 ? ECONNRESET : error_number);
    return;
  }
  // After an error too: what arrived before it is read first, then recv says what it was.
  if (status < 0 || (events & kReadable) != 0) read_chunk();
  if (!guard.gone()) update_interest();
}

void TcpStream::finish_connecting() {
  const int error_number = take_socket_error(fd_.get());
  if (error_number != 0) {
    die(error_number);
    return;
  }
  connect_timer_.reset();
  state_ = State::kOpen;
  LifeGuard guard(destroyed_);
  reader_.connected();
  if (guard.gone() || state_ != State::kOpen) return;
  write_unsent();
}

void TcpStream::read_chunk() {
  if (paused_ || read_ended_) return;
  const MutableBytes room = loop_.scratch().first(Loop::kChunkBytes);
  const ssize_t size = receive_from(fd_.get(), room);
  if (size > 0) {
    const auto got = static_cast<std::size_t>(size);
    if (got < room.size()) poll_.short_read();  // no system call to be told EAGAIN
    reader_.received(room.first(got));
  } else if (size == 0) {
    read_ended_ = true;
    update_interest();
    reader_.ended();
  } else if (errno == EAGAIN) {
    poll_.drained(kReadable);
  } else if (errno != EINTR) {
    die(errno);
  }
}

// A peer that refuses what we send may have said why before it closed.
void TcpStream::read_what_came() {
  LifeGuard guard(destroyed_);
  const MutableBytes room = loop_.scratch();
  while (!paused_ && !read_ended_) {
    const ssize_t size = receive_from(fd_.get(), room);
    if (size <= 0) return;
    reader_.received(room.first(static_cast<std::size_t>(size)));
    if (guard.gone()) return;
  }
}

void TcpStream::write_unsent() {
  const bool had_unsent = unsent() > 0;
  if (had_unsent) unsent_at_ += send_now(Bytes(unsent_).subspan(unsent_at_));
  if (unsent() == 0) {
    unsent_at_ = 0;
    unsent_.clear();
    if (unsent_.capacity() > kUnsentKeptBytes) unsent_.shrink_to_fit();
    end_writing_when_sent();
  }
  update_interest();
  if (had_unsent && unsent() == 0) reader_.drained();
}

void TcpStream::keep(Bytes data) {
  if (unsent_at_ > unsent_.size() / 2) {
    unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(unsent_at_));
    unsent_at_ = 0;
  }
  unsent_.insert(unsent_.end(), data.begin(), data.end());
}

void TcpStream::end_writing_when_sent() {
  if (!finishing_ || write_ended_ || unsent() > 0 || state_ != State::kOpen) return;
  write_ended_ = true;
  shutdown(fd_.get(), SHUT_WR);
}

// Returns how much the socket took. An error is kept for failed(), which the loop calls.
std::size_t TcpStream::send_now(Bytes data) {
  if (data.empty()) return 0;
  const ssize_t sent = send_to(fd_.get(), data);
  if (sent >= 0) {
    sent_total_ += static_cast<std::uint64_t>(sent);
    if (static_cast<std::size_t>(sent) < data.size()) poll_.drained(kWritable);
    return static_cast<std::size_t>(sent);
  }
  if (errno == EAGAIN) poll_.drained(kWritable);
  if (is_would_block(errno) || errno == EINTR) return 0;
  error_number_ = errno;
  state_ = State::kBroken;
  shutdown(fd_.get(), SHUT_RDWR);
  update_interest();
  return 0;
}

void TcpStream::die(int error_number) {
  state_ = State::kDead;
  update_interest();
  connect_timer_.reset();
  const Code code = error_number == ETIMEDOUT ? Code::kLimit : Code::kIo;
  reader_.failed(Error{code, std::generic_category().message(error_number)});
}

Result<std::unique_ptr<TcpListener>> TcpListener::open(Loop& loop, Fd fd, Accepted accepted) {
  std::unique_ptr<TcpListener> listener(new TcpListener(loop, std::move(fd), std::move(accepted)));
  listener->poll_.open(loop, listener->fd_.get(), listener.get(), [](void* self, int, int) {
    auto* const awake = static_cast<TcpListener*>(self);
    awake->watch();  // an error has ended that
    awake->ready();
  });
  listener->watch();
  return listener;
}

TcpListener::TcpListener(Loop& loop, Fd fd, Accepted accepted)
    : fd_(std::move(fd)), accepted_(std::move(accepted)), rest_(loop, [this] { watch(); }) {}

Endpoint TcpListener::local() const { return local_endpoint(fd_).value_or(Endpoint{}); }

void TcpListener::accept_waiting() {
  if (!fd_.is_shared()) ready();
}

void TcpListener::watch() { poll_.watch(kReadable); }

void TcpListener::ready() {
  for (int i = 0; i < kAcceptsPerTurnMax; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    Fd fd(accept4(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size,
                  SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      accepted_(std::move(fd), Endpoint::from_sockaddr(address));
      continue;
    }
    if (errno == EAGAIN) return;
    // EINVAL: whoever else holds this socket has shut it down; it may listen again.
    if (is_exhausted(errno) || errno == EINVAL) {
      if (errno != EINVAL) ++exhausted_;
      poll_.watch(0);
      rest_.start_once(kAcceptRestMs);
      return;
    }
    // Anything else concerns only the connection that was to be accepted (accept(2)).
  }
}

}  // namespace postern::net
