#include "net/loop.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>

#include <uv.h>

#include "base/log.h"
#include "net/udp_buffers.h"

namespace postern::net {
namespace {

constexpr std::size_t kScratchBytes = 64U << 10;
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

}  // namespace

Loop::Loop()
    : loop_(make_loop()),
      prepare_(new uv_prepare_t),
      check_(new uv_check_t),
      scratch_(kScratchBytes) {
  // Check runs after the sockets, prepare after the timers: nothing deferred waits for an event.
  uv_prepare_init(loop_.get(), prepare_.get());
  prepare_->data = this;
  uv_prepare_start(prepare_.get(),
                   [](uv_prepare_t* p) { static_cast<Loop*>(p->data)->run_deferred(); });
  uv_unref(reinterpret_cast<uv_handle_t*>(prepare_.get()));
  uv_check_init(loop_.get(), check_.get());
  check_->data = this;
  uv_check_start(check_.get(), [](uv_check_t* c) { static_cast<Loop*>(c->data)->run_deferred(); });
  uv_unref(reinterpret_cast<uv_handle_t*>(check_.get()));
}

Loop::~Loop() {
  udp_buffers_.reset();
  prepare_.reset();
  check_.reset();
  // Closing handles get their callbacks; twice, since a stop() before a run ends that run at once.
  uv_run(loop_.get(), UV_RUN_NOWAIT);
  uv_run(loop_.get(), UV_RUN_NOWAIT);
  const int status = uv_loop_close(loop_.get());
  assert(status == 0);  // otherwise somebody kept a handle beyond its loop
  static_cast<void>(status);
}

void Loop::run() { uv_run(loop_.get(), UV_RUN_DEFAULT); }

void Loop::run_once(bool wait) { uv_run(loop_.get(), wait ? UV_RUN_ONCE : UV_RUN_NOWAIT); }

void Loop::stop() { uv_stop(loop_.get()); }

std::uint64_t Loop::now_ms() const { return uv_now(loop_.get()); }

UdpBuffers& Loop::udp_buffers() {
  if (!udp_buffers_) udp_buffers_ = std::make_unique<UdpBuffers>(*this);
  return *udp_buffers_;
}

void Loop::run_deferred() {
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
