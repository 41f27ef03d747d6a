#include "net/tls_stream.h"

#include <cassert>
#include <cerrno>
#include <system_error>
#include <utility>

#include <openssl/err.h>
#include <sys/socket.h>

#include "net/tls_error.h"

namespace postern::net {
namespace {

constexpr int kReadsPerEventMax = 2;    // each up to 64 KiB: one fills the scratch memory, almost
constexpr int kEmptyRecordsMax = 4096;  // what 64 KiB can hold
constexpr std::size_t kUnsentKeptBytes = 16U << 10;  // memory that an idle stream may keep
// A full record (RFC 8446 section 5.2), and a KeyUpdate and an alert before it.
constexpr std::size_t kSealedRecordBytes = (16U << 10) + 256;

int take_socket_error(int fd) {
  int error_number = 0;
  socklen_t size = sizeof error_number;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &size) != 0) return errno;
  return error_number;
}

// What SSL_get_error() is to look at must be of this call alone. Clearing costs more than a look.
void forget_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

Error system_error(int error_number) {
  return {error_number == ETIMEDOUT ? Code::kLimit : Code::kIo,
          std::generic_category().message(error_number)};
}

}  // namespace

SocketTlsStream::SocketTlsStream(Loop& loop, Fd fd, const Endpoint& peer, StreamReader& reader,
                                 const TlsSettings& settings)
    : loop_(loop),
      reader_(reader),
      settings_(settings),
      fd_(std::move(fd)),
      peer_(peer),
      read_later_(loop, [this] { read_held(); }) {}

SocketTlsStream::~SocketTlsStream() { mark_destroyed(destroyed_); }

Result<void> SocketTlsStream::be_server(std::shared_ptr<const ServerContext> server) {
  server_ = std::move(server);
  if (!server_->begin(tls_)) return fail(Code::kIo, "out of memory for a TLS connection");
  SSL_set_accept_state(tls_.ssl());
  return start();
}

Result<void> SocketTlsStream::be_client(std::shared_ptr<const ClientContext> client,
                                        const std::string& name) {
  client_ = std::move(client);
  state_ = State::kConnecting;
  notes_.name = name.empty() ? peer_.ip.to_string() : name;
  Result<void> begun = client_->begin(tls_, notes_.name);
  if (!begun) return begun;
  connect_timer_ = std::make_unique<Timer>(loop_, [this] { die(system_error(ETIMEDOUT)); });
  connect_timer_->start_once(settings_.connect_timeout_ms);
  return start();
}

bool SocketTlsStream::write(Bytes data) {
  if (finishing_ || state_ == State::kBroken || state_ == State::kDead) return false;
  if (unsent() + data.size() > settings_.unsent_bytes_max) return false;
  if (state_ == State::kOpen && unsent() == 0) data = data.subspan(send_now(data));
  if (state_ == State::kBroken) return false;
  if (!data.empty()) keep(data);
  if (unsent() > 0) update_interest();
  return true;
}

void SocketTlsStream::finish() {
  finishing_ = true;
  end_writing_when_sent();
}

void SocketTlsStream::break_off() {
  if (state_ != State::kOpen) return;
  error_ = std::make_unique<Error>(system_error(ENOBUFS));
  state_ = State::kBroken;
  paused_ = true;  // nothing more is read
  shutdown(fd_.get(), SHUT_RDWR);
  update_interest();
}

void SocketTlsStream::pause() {
  paused_ = true;
  update_interest();
}

void SocketTlsStream::resume() {
  paused_ = false;
  if (state_ != State::kOpen) return;
  if (held_ != Held::kNothing || SSL_has_pending(tls_.ssl()) == 1) read_later_.schedule();
  update_interest();
}

void SocketTlsStream::rest() {
  if (state_ != State::kOpen || unsent() > 0 || held_ != Held::kNothing) return;
  unsent_.shrink_to_fit();
  tls_.pack();
}

Endpoint SocketTlsStream::local() const { return local_endpoint(fd_).value_or(Endpoint{}); }

std::string_view SocketTlsStream::sni() const {
  if (server_) return notes_.name;
  const char* const name = SSL_get_servername(tls_.ssl(), TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string_view{} : name;
}

std::string_view SocketTlsStream::alpn() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(tls_.ssl(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

std::string_view SocketTlsStream::version() const { return SSL_get_version(tls_.ssl()); }

bool SocketTlsStream::resumed() const { return SSL_session_reused(tls_.ssl()) == 1; }

Result<void> SocketTlsStream::start() {
  socket_.fd = fd_.get();
  socket_.poll = &poll_;
  socket_.notes = &notes_;
  BIO* const bio = make_bio(socket_);
  if (bio == nullptr) return fail(Code::kIo, "out of memory for a TLS connection");
  SSL_set_bio(tls_.ssl(), bio, bio);
  poll_.open(
      loop_, fd_.get(), this,
      [](void* self, int status, int events) {
        static_cast<SocketTlsStream*>(self)->ready(status, events);
      },
      Trigger::kEdge);
  update_interest();
  return {};
}

int SocketTlsStream::wanted_events() const {
  if (state_ == State::kConnecting) return kWritable;
  if (state_ == State::kHandshake) return handshake_writes_ ? kWritable : kReadable;
  if (state_ == State::kBroken) return kReadable;  // ready at once, so that failed() follows
  if (state_ == State::kDead) return 0;
  int wanted = 0;
  const bool told = held_ == Held::kEnd || held_ == Held::kError;
  if (!paused_ && !read_ended_ && !told) wanted |= read_wants_write_ ? kWritable : kReadable;
  if (unsent() > 0 || ending_) wanted |= write_wants_read_ ? kReadable : kWritable;
  if (wanted == 0 && read_ended_ && !write_ended_) wanted = kErrorsOnly;
  return wanted;
}

void SocketTlsStream::update_interest() { poll_.watch(wanted_events()); }

void SocketTlsStream::ready(int status, int events) {
  LifeGuard guard(destroyed_);
  if (state_ == State::kBroken) {
    const Error why = *error_;
    read_what_came();
    if (!guard.gone()) die(why);
    return;
  }
  socket_.reads_left = kReadsPerEventMax;
  if (state_ == State::kConnecting) finish_connecting();
  if (!guard.gone() && state_ == State::kHandshake) shake_hands();
  if (guard.gone() || state_ != State::kOpen) return;
  if ((events & kWritable) != 0 || write_wants_read_) write_unsent();
  if (guard.gone() || state_ != State::kOpen) return;
  if (status < 0 && (paused_ || read_ended_)) {
    const int error_number = take_socket_error(fd_.get());
    die(system_error(error_number == 0 ? ECONNRESET : error_number));
    return;
  }
  // After an error too: what arrived before it is read first, then recv says what it was.
  const bool readable = status < 0 || (events & kReadable) != 0;
  if (readable || read_wants_write_ || held_ != Held::kNothing) read_chunk();
  if (!guard.gone()) update_interest();
}

void SocketTlsStream::finish_connecting() {
  const int error_number = take_socket_error(fd_.get());
  if (error_number != 0) {
    die(system_error(error_number));
    return;
  }
  state_ = State::kHandshake;
}

void SocketTlsStream::shake_hands() {
  forget_errors();
  const int result = do_handshake();
  if (result != 1) {
    const int reason = SSL_get_error(tls_.ssl(), result);
    handshake_writes_ = reason == SSL_ERROR_WANT_WRITE;
    if (handshake_writes_ || reason == SSL_ERROR_WANT_READ) {
      update_interest();
    } else {
      if (is_plain_http()) answer_plain_http();
      die(error_of(reason));
    }
    return;
  }
  connect_timer_.reset();
  state_ = State::kOpen;
  // Bytes that came with the last message of the handshake.
  if (SSL_has_pending(tls_.ssl()) == 1) held_ = Held::kBytes;
  LifeGuard guard(destroyed_);
  reader_.connected();
  if (guard.gone() || state_ != State::kOpen) return;
  write_unsent();
}

int SocketTlsStream::do_handshake() {
  if (server_ == nullptr) return SSL_do_handshake(tls_.ssl());
  HandshakeLimit limit;
  const int result = SSL_do_handshake(tls_.ssl());
  notes_.too_large = limit.was_hit();
  return result;
}

// What came with the request is read first: a close with unread bytes would reset the connection,
// and the client would never see the answer.
void SocketTlsStream::answer_plain_http() {
  if (settings_.plain_http_answer.empty()) return;
  const MutableBytes room = loop_.scratch();
  for (int reads = 0; reads < kReadsPerEventMax; ++reads) {
    if (recv(fd_.get(), room.data(), room.size(), 0) <= 0) break;
  }
  const Bytes answer = as_bytes(settings_.plain_http_answer);
  send(fd_.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
  shutdown(fd_.get(), SHUT_WR);
}

// From the loop without an event of the socket: works off what OpenSSL has, reads no more.
void SocketTlsStream::read_held() {
  if (state_ != State::kOpen) return;
  LifeGuard guard(destroyed_);
  socket_.reads_left = 0;
  read_chunk();
  if (!guard.gone()) update_interest();
}

void SocketTlsStream::read_chunk() {
  if (paused_ || read_ended_) return;
  const MutableBytes room = loop_.scratch();
  std::size_t size = 0;
  if (held_ == Held::kNothing || held_ == Held::kBytes) size = fill(room);
  LifeGuard guard(destroyed_);
  if (size > 0) reader_.received(room.first(size));
  if (!guard.gone() && state_ == State::kOpen && !paused_) tell_held();
}

// A peer that refuses what we send may have said why before it closed.
void SocketTlsStream::read_what_came() {
  LifeGuard guard(destroyed_);
  const MutableBytes room = loop_.scratch();
  while (!paused_ && !read_ended_) {
    socket_.reads_left = kReadsPerEventMax;
    const std::size_t size = fill(room);
    if (size == 0) return;
    reader_.received(room.first(size));
    if (guard.gone()) return;
  }
}

// Several records into one chunk. What follows the chunk goes to held_.
std::size_t SocketTlsStream::fill(MutableBytes room) {
  std::size_t size = 0;
  held_ = Held::kNothing;
  read_wants_write_ = false;
  for (int empty = 0; size < room.size() && empty < kEmptyRecordsMax;) {
    if (owes_key_update()) {
      read_wants_write_ = true;
      return size;
    }
    forget_errors();
    socket_.starved = false;
    std::size_t got = 0;
    const int result = SSL_read_ex(tls_.ssl(), room.data() + size, room.size() - size, &got);
    if (result == 1) {
      size += got;
      // Nothing is left in the socket and in OpenSSL: to be told so costs a buffer.
      if (socket_.reads_left == 0 && SSL_has_pending(tls_.ssl()) == 0) return size;
      continue;
    }
    if (stops_reading(SSL_get_error(tls_.ssl(), result))) return size;
    ++empty;
  }
  if (SSL_has_pending(tls_.ssl()) == 1) held_ = Held::kBytes;
  return size;
}

// A second KeyUpdate has OpenSSL 3.0 answer the first from inside SSL_read. What waits for the
// socket leaves before more is read, so that no peer makes us pile up answers.
bool SocketTlsStream::owes_key_update() const {
  return (unsent() > 0 || ending_) && SSL_get_key_update_type(tls_.ssl()) != SSL_KEY_UPDATE_NONE;
}

bool SocketTlsStream::stops_reading(int reason) {
  switch (reason) {
    case SSL_ERROR_WANT_READ:
      return socket_.starved;  // otherwise it was a record without data, such as a ticket
    case SSL_ERROR_WANT_WRITE:
      read_wants_write_ = true;
      return true;
    case SSL_ERROR_ZERO_RETURN:
      held_ = Held::kEnd;
      return true;
    default:
      held_ = Held::kError;
      error_ = std::make_unique<Error>(error_of(reason));
      return true;
  }
}

void SocketTlsStream::tell_held() {
  switch (held_) {
    case Held::kNothing:
      return;
    case Held::kBytes:
      read_later_.schedule();
      return;
    case Held::kEnd:
      held_ = Held::kNothing;
      read_ended_ = true;
      update_interest();
      reader_.ended();
      return;
    case Held::kError:
      die(Error(*error_));
      return;
  }
}

void SocketTlsStream::write_unsent() {
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

void SocketTlsStream::keep(Bytes data) {
  if (unsent_at_ > unsent_.size() / 2) {
    unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(unsent_at_));
    unsent_at_ = 0;
  }
  unsent_.insert(unsent_.end(), data.begin(), data.end());
}

void SocketTlsStream::end_writing_when_sent() {
  if (!finishing_ || write_ended_ || unsent() > 0 || state_ != State::kOpen) return;
  forget_errors();
  const int result = SSL_shutdown(tls_.ssl());
  ending_ = result < 0 && SSL_get_error(tls_.ssl(), result) == SSL_ERROR_WANT_WRITE;
  update_interest();
  if (ending_) return;
  write_ended_ = true;
  shutdown(fd_.get(), SHUT_WR);
}

// Returns how much has been sealed; what the socket did not take of that is in socket_.sealed, so
// that nothing waits in OpenSSL, which would fail whatever else it has to say. An error is kept for
// failed(), which the loop calls.
std::size_t SocketTlsStream::send_now(Bytes data) {
  const std::size_t left_before = socket_.sealed.size();
  write_wants_read_ = false;
  std::size_t taken = 0;
  if (socket_.send_sealed()) {
    socket_.batch = loop_.records();
    taken = seal(data);
    socket_.send_batch();
    socket_.batch = {};
  }
  if (socket_.error_number != 0 && state_ == State::kOpen) break_down(SSL_ERROR_SYSCALL);
  const std::size_t left = socket_.sealed.size();
  sent_total_ += left_before + taken > left ? left_before + taken - left : 0;
  return taken;
}

std::size_t SocketTlsStream::seal(Bytes data) {
  std::size_t taken = 0;
  while (taken < data.size()) {
    const std::size_t room = socket_.batch.size() - socket_.batched;
    if (room < kSealedRecordBytes && !socket_.send_batch()) break;
    forget_errors();
    std::size_t size = 0;
    const int result = SSL_write_ex(tls_.ssl(), data.data() + taken, data.size() - taken, &size);
    if (result == 1) {
      taken += size;
      continue;
    }
    const int reason = SSL_get_error(tls_.ssl(), result);
    write_wants_read_ = reason == SSL_ERROR_WANT_READ;
    if (!write_wants_read_ && reason != SSL_ERROR_WANT_WRITE) break_down(reason);
    break;
  }
  return taken;
}

void SocketTlsStream::break_down(int reason) {
  error_ = std::make_unique<Error>(error_of(reason));
  state_ = State::kBroken;
  shutdown(fd_.get(), SHUT_RDWR);
  update_interest();
}

Error SocketTlsStream::error_of(int reason) const {
  return tls_error({.reason = reason,
                    .error_number = socket_.error_number,
                    .by_server = server_ != nullptr,
                    .in_handshake = state_ == State::kHandshake},
                   notes_);
}

// REQUIRES: `error` is not the stream's own, which may be gone before the reader has read it.
void SocketTlsStream::die(const Error& error) {
  state_ = State::kDead;
  update_interest();
  connect_timer_.reset();
  reader_.failed(error);
}

Result<std::unique_ptr<TlsStream>> TlsStream::accepted(Loop& loop, Fd fd, const Endpoint& peer,
                                                       StreamReader& reader,
                                                       std::shared_ptr<const TlsServer> server,
                                                       const TlsSettings& settings) {
  auto stream = std::make_unique<SocketTlsStream>(loop, std::move(fd), peer, reader, settings);
  Result<void> made =
      stream->be_server(std::static_pointer_cast<const ServerContext>(std::move(server)));
  if (!made) return tl::unexpected(std::move(made.error()));
  return stream;
}

Result<std::unique_ptr<TlsStream>> TlsStream::connect(Loop& loop, const Endpoint& peer,
                                                      const std::string& server_name,
                                                      StreamReader& reader,
                                                      std::shared_ptr<const TlsClient> client,
                                                      const TlsSettings& settings) {
  Result<Fd> fd = start_connect_tcp(peer, settings.fd_end);
  if (!fd) return tl::unexpected(std::move(fd.error()));
  auto stream = std::make_unique<SocketTlsStream>(loop, std::move(*fd), peer, reader, settings);
  Result<void> made = stream->be_client(
      std::static_pointer_cast<const ClientContext>(std::move(client)), server_name);
  if (!made) return tl::unexpected(std::move(made.error()));
  return stream;
}

}  // namespace postern::net
