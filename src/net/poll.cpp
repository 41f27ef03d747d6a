#include "net/poll.h"

#include <cassert>

#include "net/loop.h"

namespace postern::net {

void Poll::open(Loop& loop, int fd, void* owner, Callback callback, Trigger trigger) {
  assert(!is_open());
  trigger_ = trigger;
  ready_ = lasting_ = 0;
  failed_ = hung_up_ = urgent_ = false;
  loop_ = &loop;
  fd_ = fd;
  owner_ = owner;
  callback_ = callback;
}

void Poll::watch(int events) {
  if (!is_open() || events == wanted_) return;
  loop_->count_watched((events != 0 ? 1 : 0) - (wanted_ != 0 ? 1 : 0));
  wanted_ = static_cast<std::uint8_t>(events);
  if (trigger_ == Trigger::kEdge && known_ != 0 && !is_pending()) return;
  if (listed_at_ == kNotListed) loop_->list_changed(*this);
}

void Poll::close() {
  if (!is_open()) return;
  watch(0);
  loop_->forget(*this);
  loop_ = nullptr;
}

}  // namespace postern::net
