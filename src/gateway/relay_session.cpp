#include "gateway/relay_session.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace postern::gateway {
namespace {

constexpr int kKeepIdleS = 60;  // then the system's probes: about 11 minutes on Linux
constexpr std::uint32_t kAttemptMinMs = 500;
constexpr std::uint64_t kLookMs = 10;  // at what the peer has acknowledged

void set_option(int fd, int level, int name, int value) {
  static_cast<void>(setsockopt(fd, level, name, &value, sizeof value));
}

void keep_alive(int fd) {
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleS);
}

int take_socket_error(int fd) {
  int error_number = 0;
  socklen_t size = sizeof error_number;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &size);
  return error_number;
}

std::string error_text(int error_number) { return std::generic_category().message(error_number); }

}  // namespace

void RelaySession::Side::close(bool reset) {
  poll.close();
  if (reset && fd) {
    const linger at_once{1, 0};
    static_cast<void>(setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
  }
  fd.reset();
}

RelaySession::RelaySession(RelayShared& shared, net::Fd client, const Endpoint& peer,
                           std::shared_ptr<RelayTarget> target, bool proxied)
    : shared_(shared),
      target_(std::move(target)),
      client_(peer),
      idle_ms_(target_->settings().idle_ms),
      began_ms_(shared.loop.now_ms()),
      active_ms_(began_ms_),
      proxied_(proxied),
      write_header_(target_->settings().proxy_protocol),
      setup_(std::make_unique<Setup>(shared.loop, [this] { timed_out(); })) {
  for (Side& side : sides_) side.session = this;
  sides_[kClient].fd = std::move(client);
}

RelaySession::~RelaySession() {
  if (backend_ != nullptr && stage_ != Stage::kEnded) {
    backend_->forget(*this);
    backend_->end();
  }
}

void RelaySession::open_side(std::size_t which, net::Fd fd) {
  Side& side = sides_[which];
  side.fd = std::move(fd);
  side.poll.open(shared_.loop, side.fd.get(), &side, [](void* which_side, int status, int events) {
    const Side& ready = *static_cast<Side*>(which_side);
    ready.session->ready(ready, status, events);
  });
}

void RelaySession::start() {
  Side& client = sides_[kClient];
  if (write_header_) destination_ = net::local_endpoint(client.fd).value_or(Endpoint{});
  keep_alive(client.fd.get());
  open_side(kClient, std::move(client.fd));
  if (proxied_) {
    setup_->timer.start_once(shared_.settings.header_ms);
    client.poll.watch(net::kReadable);
  } else {
    try_backends();
  }
}

void RelaySession::finish(RelayEnd end) {
  if (stage_ == Stage::kEnded) return;
  const bool is_cut = end == RelayEnd::kIdle ? undelivered() != 0 : end != RelayEnd::kDone;
  if (backend_ != nullptr) {
    backend_->forget(*this);
    backend_->end();
  }
  stage_ = Stage::kEnded;
  setup_.reset();
  ending_.reset();
  for (Side& side : sides_) side.close(is_cut);
  shared_.ended(*this, end);
}

std::size_t RelaySession::undelivered() const {
  std::size_t bytes = 0;
  for (const RelayFlow& flow : flows_) bytes += flow.kept();
  for (const Side& side : sides_) bytes += net::unacknowledged_bytes(side.fd);
  return bytes;
}

bool RelaySession::is_idle(std::uint64_t now_ms) {
  const std::uint64_t passed = now_ms - active_ms_;
  if (stage_ != Stage::kRelaying || idle_ms_ == 0 || passed < idle_ms_ / 4) return false;
  const bool looked = std::exchange(looked_ms_, active_ms_) == active_ms_;
  if (looked && passed < idle_ms_) return false;
  const std::size_t before = std::exchange(undelivered_, undelivered());
  if (looked && undelivered_ < before) active_ms_ = now_ms;
  return passed >= idle_ms_ && active_ms_ != now_ms;
}

RelayRecord RelaySession::record(RelayEnd end) const {
  RelayRecord record;
  record.client = client_;
  record.listener = target_->settings().name;
  if (backend_ != nullptr) record.backend = backend_->text();
  record.bytes_in = flows_[kClient].bytes();
  record.bytes_out = flows_[kBackend].bytes();
  record.duration_ms = shared_.loop.now_ms() - began_ms_;
  record.end = end;
  record.unreached = unreached_;
  return record;
}

void RelaySession::ready(const Side& side, int status, int events) {
  const std::size_t which = &side == &sides_[kClient] ? kClient : kBackend;
  if (stage_ == Stage::kHeader) return read_header();
  if (stage_ == Stage::kConnecting) return finish_connecting();
  if (stage_ == Stage::kEnding) return pass_last();
  if (stage_ != Stage::kRelaying) return;
  active_ms_ = shared_.loop.now_ms();
  // After an error too: what arrived before it goes on first, then reading says what it was.
  if (status < 0 || (events & net::kReadable) != 0) relay(which);
  if (stage_ == Stage::kRelaying && (status < 0 || (events & net::kWritable) != 0)) {
    relay(1 - which);
  }
  if (stage_ == Stage::kRelaying) update_interest();
}

void RelaySession::timed_out() {
  if (stage_ == Stage::kHeader) return finish(RelayEnd::kNoProxyHeader);
  if (stage_ == Stage::kConnecting) attempt_failed(ETIMEDOUT);
}

// Never reads beyond the header: what follows stays in the socket.
void RelaySession::read_header() {
  ProxyHeaderReader& reader = setup_->header;
  while (reader.state() == ProxyHeaderReader::State::kMore) {
    const MutableBytes room =
        shared_.loop.scratch().first(std::min(reader.wanted(), shared_.loop.scratch().size()));
    const ssize_t got = recv(sides_[kClient].fd.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      sides_[kClient].poll.watch(net::kReadable);
      return;
    }
    if (got <= 0) return finish(RelayEnd::kNoProxyHeader);
    reader.take(room.first(static_cast<std::size_t>(got)));
  }
  if (reader.state() == ProxyHeaderReader::State::kFault) return finish(RelayEnd::kNoProxyHeader);
  client_ = reader.header().source.value_or(client_);
  destination_ = reader.header().destination.value_or(destination_);
  setup_->timer.stop();
  sides_[kClient].poll.watch(0);  // what it sends waits in the socket
  try_backends();
}

// Until an attempt is under way, or there is nothing left to try.
void RelaySession::try_backends() {
  while (backend_ == nullptr || !try_addresses()) {
    if (backend_ != nullptr) drop_backend();
    backend_ = target_->choose(setup_->tried);
    if (backend_ == nullptr) {
      if (!setup_->tried.empty()) {
        unreached_ = fmt::format("{}: {}", setup_->tried.back()->text(), setup_->why);
      }
      return finish(RelayEnd::kNoBackend);
    }
    setup_->tried.push_back(backend_);
    backend_->begin();
    if (backend_->addresses().empty()) {
      stage_ = Stage::kLookup;
      return backend_->wait(*this);
    }
    take_addresses();
  }
}

void RelaySession::addresses_ready() {
  take_addresses();
  try_backends();
}

void RelaySession::take_addresses() {
  setup_->addresses = backend_->addresses();
  setup_->why = backend_->lookup_error();
  const auto count = static_cast<std::uint32_t>(std::max<std::size_t>(1, setup_->addresses.size()));
  setup_->attempt_ms = std::max(shared_.settings.connect_ms / count,
                                std::min(kAttemptMinMs, shared_.settings.connect_ms));
}

// False when no address of this backend is left. The connection may have ended.
bool RelaySession::try_addresses() {
  stage_ = Stage::kConnecting;
  while (!setup_->addresses.empty()) {
    const Endpoint address = setup_->addresses.front();
    setup_->addresses.erase(setup_->addresses.begin());
    auto fd = net::start_connect_tcp(address, shared_.fd_end);
    if (!fd && fd.error().code == Code::kLimit) {
      no_file(fd.error().detail);
      return true;
    }
    if (!fd) {
      setup_->why = fd.error().detail;
      continue;
    }
    open_side(kBackend, std::move(*fd));
    sides_[kBackend].poll.watch(net::kWritable);
    setup_->timer.start_once(setup_->attempt_ms);
    return true;
  }
  return false;
}

// The backend has no part in it.
void RelaySession::no_file(const std::string& why) {
  if (shared_.no_file) shared_.no_file(backend_->text());
  unreached_ = fmt::format("{}: {}", backend_->text(), why);
  backend_->end();
  backend_.reset();
  finish(RelayEnd::kNoBackend);
}

void RelaySession::drop_backend() {
  backend_->failed(setup_->why);
  backend_->end();
  backend_.reset();
}

void RelaySession::finish_connecting() {
  const int error_number = take_socket_error(sides_[kBackend].fd.get());
  if (error_number != 0) return attempt_failed(error_number);
  connected();
}

void RelaySession::attempt_failed(int error_number) {
  setup_->why = fmt::format("cannot connect: {}", error_text(error_number));
  setup_->timer.stop();
  sides_[kBackend].close(false);
  try_backends();
}

bool RelaySession::send_header() {
  std::array<std::uint8_t, kProxyHeaderWrittenMax> header;
  const std::size_t size = write_proxy_header(client_, destination_, header);
  const ssize_t sent =
      send(sides_[kBackend].fd.get(), header.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent == static_cast<ssize_t>(size);  // a new socket has room for it
}

void RelaySession::connected() {
  backend_->connected();
  setup_.reset();
  stage_ = Stage::kRelaying;
  active_ms_ = shared_.loop.now_ms();
  if (write_header_ && !send_header()) return finish(RelayEnd::kBackendReset);
  relay(kClient);  // what it said meanwhile
  if (stage_ == Stage::kRelaying) update_interest();
}

// Moves what the source has, or the sink can take.
RelayFlow::State RelaySession::pump(std::size_t source) {
  RelayFlow& flow = flows_[source];
  const std::uint64_t before = flow.bytes();
  const auto state = flow.pump(sides_[source].fd.get(), sides_[1 - source].fd.get(),
                               {shared_.loop.scratch(), shared_.pipes});
  (source == kClient ? shared_.bytes_in : shared_.bytes_out) += flow.bytes() - before;
  return state;
}

void RelaySession::relay(std::size_t source) {
  const auto state = pump(source);
  if (state == RelayFlow::State::kSourceBroken) {
    broke(source);
  } else if (state == RelayFlow::State::kSinkBroken) {
    // EPIPE: it had ended before, in order.
    if (flows_[source].sink_error() == ECONNRESET) flows_[1 - source].source_was_reset();
    broke(1 - source);
  } else if (flows_[kClient].state() == RelayFlow::State::kEnded &&
             flows_[kBackend].state() == RelayFlow::State::kEnded) {
    finish(RelayEnd::kDone);
  }
}

// What it said before (an error message, often) still goes to the other side, whose reset waits
// for it.
void RelaySession::broke(std::size_t which) {
  stage_ = Stage::kEnding;
  sides_[which].poll.close();
  ending_ = std::make_unique<Ending>(shared_.loop, [this] { look_at_last(); });
  ending_->broken = which;
  ending_->moved_ms = shared_.loop.now_ms();
  ending_->timer.start_every(kLookMs);
  pass_last();
}

void RelaySession::pass_last() {
  const std::size_t broken = ending_->broken;
  Side& other = sides_[1 - broken];
  RelayFlow& flow = flows_[broken];
  const std::uint64_t before = flow.bytes();
  const auto state = pump(broken);
  const bool goes_on = state == RelayFlow::State::kBlocked ||
                       (state == RelayFlow::State::kOpen && flow.bytes() != before);
  other.poll.watch(goes_on ? net::kWritable : 0);
  const bool gone = state == RelayFlow::State::kSinkBroken;
  if (goes_on || (!gone && net::unacknowledged_bytes(other.fd) != 0)) return;
  finish(broken == kClient ? RelayEnd::kClientReset : RelayEnd::kBackendReset);
}

void RelaySession::look_at_last() {
  const RelayFlow& flow = flows_[ending_->broken];
  const net::Fd& other = sides_[1 - ending_->broken].fd;
  const std::size_t left = flow.kept() + net::unacknowledged_bytes(other);
  if (left != std::exchange(ending_->left, left)) ending_->moved_ms = shared_.loop.now_ms();
  const bool late = shared_.loop.now_ms() >= ending_->moved_ms + shared_.settings.last_bytes_ms;
  if (late || take_socket_error(other.get()) != 0) {
    finish(ending_->broken == kClient ? RelayEnd::kClientReset : RelayEnd::kBackendReset);
  } else {
    pass_last();
  }
}

void RelaySession::update_interest() {
  for (const std::size_t which : {kClient, kBackend}) {
    const bool readable = flows_[which].state() == RelayFlow::State::kOpen;
    const bool writable = flows_[1 - which].state() == RelayFlow::State::kBlocked;
    sides_[which].poll.watch((readable ? net::kReadable : 0) | (writable ? net::kWritable : 0));
  }
}

}  // namespace postern::gateway
