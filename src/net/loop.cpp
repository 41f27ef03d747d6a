#include "net/loop.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include <uv.h>

#include "base/log.h"
#include "net/poll.h"
#include "net/udp_buffers.h"

namespace postern::net {
namespace {

constexpr std::size_t kScratchBytes = 64U << 10;
constexpr std::size_t kRecordsBytes = 4 * ((std::size_t{16} << 10) + 256);
constexpr int kRetryMs = 100;                 // to watch what could not be watched
constexpr std::uint64_t kTurnNs = 2'000'000;  // then what is deferred has waited long enough
constexpr std::size_t kEventsBetweenLooks = 32;
constexpr int kDeferredPassesMax = 16;  // work that schedules work; the rest waits for a turn more

std::unique_ptr<uv_loop_t> make_loop() {
  auto loop = std::make_unique<uv_loop_t>();
  const int status = uv_loop_init(loop.get());
  if (status != 0) {
    log_error("event_loop", "cannot make an event loop: {}", uv_strerror(status));
    std::abort();
  }
  return loop;
}

constexpr std::uint8_t kBoth = kReadable | kWritable;

std::uint32_t epoll_mask(Trigger trigger, int events) {
  if (trigger == Trigger::kEdge) return EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;
  return ((events & kReadable) != 0 ? EPOLLIN : 0U) | ((events & kWritable) != 0 ? EPOLLOUT : 0U);
}

}  // namespace

Loop::Loop()
    : loop_(make_loop()),
      alive_(new uv_prepare_t),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      scratch_(kScratchBytes) {
  uv_prepare_init(loop_.get(), alive_.get());
  uv_prepare_start(alive_.get(), [](uv_prepare_t*) {});
  uv_unref(reinterpret_cast<uv_handle_t*>(alive_.get()));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = this;
  if (!epoll_ || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, uv_backend_fd(loop_.get()), &event) != 0) {
    log_error("event_loop", "cannot make an event loop: {}",
              std::generic_category().message(errno));
    std::abort();
  }
}

Loop::~Loop() {
  udp_buffers_.reset();
  alive_.reset();
  // Closing handles get their callbacks.
  uv_run(loop_.get(), UV_RUN_NOWAIT);
  const int status = uv_loop_close(loop_.get());
  assert(status == 0 && watched_ == 0);  // otherwise somebody kept a handle beyond its loop
  static_cast<void>(status);
}

void Loop::run() {
  uv_update_time(loop_.get());
  while (!stopped_ && is_alive()) turn(true);
  stopped_ = false;
}

void Loop::run_once(bool wait) {
  uv_update_time(loop_.get());
  turn(wait);
}

void Loop::stop() { stopped_ = true; }

bool Loop::is_alive() const {
  return watched_ > 0 || !deferred_.empty() || uv_loop_alive(loop_.get()) != 0;
}

std::uint64_t Loop::now_ms() const { return uv_now(loop_.get()); }

void Loop::turn(bool wait) {
  run_deferred();
  apply_changes();
  tell_sockets(longest_wait_ms(wait));
  tell_again();
  if (libuv_waits_ || libuv_timeout_ms() == 0) run_libuv();
  run_deferred();
}

// It looks at nothing, not even at a mailbox, unless something keeps it alive.
void Loop::run_libuv() {
  libuv_waits_ = false;
  now_us_ = 0;
  auto* const alive = reinterpret_cast<uv_handle_t*>(alive_.get());
  uv_ref(alive);
  uv_run(loop_.get(), UV_RUN_NOWAIT);
  uv_unref(alive);
}

// 0: a timer is due, or a handle is closing; -1: there is nothing to wait for.
int Loop::libuv_timeout_ms() const {
  return uv_loop_alive(loop_.get()) != 0 ? uv_backend_timeout(loop_.get()) : -1;
}

int Loop::longest_wait_ms(bool wait) const {
  if (!wait || stopped_ || libuv_waits_ || !deferred_.empty() || !again_.empty() || !is_alive())
    return 0;
  const int timeout = libuv_timeout_ms();
  if (changed_.empty()) return timeout;
  return timeout < 0 ? kRetryMs : std::min(timeout, kRetryMs);
}

void Loop::tell_sockets(int timeout_ms) {
  const int count = epoll_wait(epoll_.get(), events_.data(), kEventsMax, timeout_ms);
  uv_update_time(loop_.get());
  event_count_ = count > 0 ? static_cast<std::size_t>(count) : 0;
  std::uint64_t begin_ns = event_count_ > kEventsBetweenLooks ? uv_hrtime() : 0;
  for (next_event_ = 0; next_event_ < event_count_;) {
    if (next_event_ != 0 && next_event_ % kEventsBetweenLooks == 0 &&
        uv_hrtime() - begin_ns >= kTurnNs) {
      run_deferred();
      uv_update_time(loop_.get());
      begin_ns = uv_hrtime();
    }
    if (next_event_ % kEventsPerClock == 0) now_us_ = 0;
    const epoll_event event = events_[next_event_++];
    if (event.data.ptr == this) {
      run_libuv();  // in its turn: a message is heard before what came to a socket after it
    } else if (event.data.ptr != nullptr) {
      tell(*static_cast<Poll*>(event.data.ptr), event.events);
    }
  }
  event_count_ = 0;
}

void Loop::tell_again() {
  for (std::size_t i = 0; i < again_.size(); ++i) {
    if (i % kEventsPerClock == 0) now_us_ = 0;
    Poll* const poll = again_[i];
    if (poll == nullptr) continue;
    poll->again_at_ = Poll::kNotListed;
    tell_edge(*poll);
  }
  again_.clear();
}

void Loop::tell(Poll& poll, std::uint32_t events) {
  if (poll.trigger_ == Trigger::kLevel) return tell_level(poll, events);
  const bool over = (events & (EPOLLHUP | EPOLLERR)) != 0;
  if ((events & EPOLLOUT) != 0) poll.ready_ |= kWritable;
  if ((events & EPOLLIN) != 0) poll.ready_ |= kReadable;
  if ((events & EPOLLRDHUP) != 0) poll.lasting_ |= kReadable;
  if (over) poll.lasting_ = kBoth;
  poll.ready_ |= poll.lasting_;
  poll.failed_ = poll.failed_ || (events & EPOLLERR) != 0;
  poll.urgent_ = poll.urgent_ || (events & EPOLLPRI) != 0;
  poll.hung_up_ = poll.hung_up_ || (events & EPOLLHUP) != 0;
  tell_edge(poll);
}

// What is ready after that too, and not said to be drained, is told again in the next turn.
void Loop::tell_edge(Poll& poll) {
  if (!poll.is_pending()) return;
  if (poll.listed_at_ == Poll::kNotListed) list_changed(poll);
  if (poll.failed_ || (poll.ready_ & poll.wanted_) == 0) {
    poll.failed_ = false;
    poll.watch(0);
    poll.callback_(poll.owner_, -1, 0);
  } else {
    poll.callback_(poll.owner_, 0, poll.ready_ & poll.wanted_);
  }
}

void Loop::tell_level(Poll& poll, std::uint32_t events) {
  if (poll.wanted_ == 0) return;  // since the wait
  const bool hung_up = (events & EPOLLHUP) != 0;
  if ((events & EPOLLERR) != 0 || (hung_up && poll.wanted_ == kErrorsOnly)) {
    poll.watch(0);
    poll.callback_(poll.owner_, -1, 0);
    return;
  }
  int happened =
      ((events & EPOLLIN) != 0 ? kReadable : 0) | ((events & EPOLLOUT) != 0 ? kWritable : 0);
  if (hung_up && happened == 0) happened = poll.wanted_;
  happened &= poll.wanted_;
  if (happened != 0) poll.callback_(poll.owner_, 0, happened);
}

void Loop::list_changed(Poll& poll) {
  poll.listed_at_ = static_cast<std::uint32_t>(changed_.size());
  changed_.push_back(&poll);
}

void Loop::forget(Poll& poll) {
  if (poll.listed_at_ != Poll::kNotListed) changed_[poll.listed_at_] = nullptr;
  poll.listed_at_ = Poll::kNotListed;
  if (poll.again_at_ != Poll::kNotListed) again_[poll.again_at_] = nullptr;
  poll.again_at_ = Poll::kNotListed;
  if (poll.known_ != 0) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, poll.fd_, nullptr);
    poll.known_ = 0;
  }
  for (std::size_t i = next_event_; i < event_count_; ++i) {
    if (events_[i].data.ptr == &poll) events_[i].data.ptr = nullptr;
  }
}

// What changes meanwhile is for the next turn.
void Loop::apply_changes() {
  const std::size_t count = changed_.size();
  for (std::size_t i = 0; i < count; ++i) {
    Poll* const poll = changed_[i];
    if (poll == nullptr) continue;
    poll->listed_at_ = Poll::kNotListed;
    apply(*poll);
  }
  std::size_t kept = 0;
  for (std::size_t i = count; i < changed_.size(); ++i) {
    Poll* const poll = changed_[i];
    if (poll == nullptr) continue;
    poll->listed_at_ = static_cast<std::uint32_t>(kept);
    changed_[kept++] = poll;
  }
  changed_.resize(kept);
}

// A descriptor that cannot be watched (no memory, too many of this user) is told as an error. Who
// watches it again is tried again, and told again, each kRetryMs: slow, but it goes on.
void Loop::apply(Poll& poll) {
  if (poll.trigger_ == Trigger::kEdge && poll.known_ != 0) {
    if (poll.is_pending() && poll.again_at_ == Poll::kNotListed) {
      poll.again_at_ = static_cast<std::uint32_t>(again_.size());
      again_.push_back(&poll);
    }
    return;
  }
  if (poll.wanted_ == poll.known_) return;
  const int what = poll.known_ == 0    ? EPOLL_CTL_ADD
                   : poll.wanted_ == 0 ? EPOLL_CTL_DEL
                                       : EPOLL_CTL_MOD;
  epoll_event event{};
  event.events = epoll_mask(poll.trigger_, poll.wanted_);
  event.data.ptr = &poll;
  const bool done = epoll_ctl(epoll_.get(), what, poll.fd_, &event) == 0;
  poll.known_ = done ? poll.wanted_ : 0;
  if (done || what == EPOLL_CTL_DEL) return;
  log_warning("event_loop", "cannot watch a socket: {}", std::generic_category().message(errno));
  poll.watch(0);
  poll.callback_(poll.owner_, -1, 0);
}

MutableBytes Loop::records() {
  if (records_.empty()) records_.resize(kRecordsBytes);
  return records_;
}

UdpBuffers& Loop::udp_buffers() {
  if (!udp_buffers_) udp_buffers_ = std::make_unique<UdpBuffers>(*this);
  return *udp_buffers_;
}

void Loop::run_deferred() {
  now_us_ = 0;
  for (int pass = 0; pass < kDeferredPassesMax && !deferred_.empty(); ++pass) {
    running_.swap(deferred_);
    for (std::size_t i = 0; i < running_.size(); ++i) {
      Deferred* const deferred = running_[i];
      if (deferred == nullptr) continue;  // destroyed by an earlier one
      running_[i] = nullptr;
      deferred->scheduled_ = false;
      deferred->run();
    }
    running_.clear();
  }
}

Deferred::Deferred(Loop& loop, std::function<void()> work) : loop_(loop), work_(std::move(work)) {}

Deferred::~Deferred() {
  mark_destroyed(destroyed_);
  if (!scheduled_) return;
  std::replace(loop_.deferred_.begin(), loop_.deferred_.end(), this,
               static_cast<Deferred*>(nullptr));
  std::replace(loop_.running_.begin(), loop_.running_.end(), this, static_cast<Deferred*>(nullptr));
}

// The function is moved aside, since it may destroy its Deferred.
void Deferred::run() {
  LifeGuard guard(destroyed_);
  std::function<void()> work = std::move(work_);
  work();
  if (!guard.gone()) work_ = std::move(work);
}

void Deferred::schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  loop_.deferred_.push_back(this);
}

}  // namespace postern::net
