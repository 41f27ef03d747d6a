#include "net/poll.h"

#include <cassert>

#include "net/loop.h"

namespace postern::net {

void Poll::open(Loop& loop, int fd, void* owner, Callback callback) {
  assert(!is_open());
  loop_ = &loop;
  fd_ = fd;
  owner_ = owner;
  callback_ = callback;
}

void Poll::watch(int events) {
  if (!is_open() || events == wanted_) return;
  loop_->count_watched((events != 0 ? 1 : 0) - (wanted_ != 0 ? 1 : 0));
  wanted_ = static_cast<std::uint8_t>(events);
  if (listed_at_ == kNotListed) loop_->list_changed(*this);
}

void Poll::close() {
  if (!is_open()) return;
  watch(0);
  loop_->forget(*this);
  loop_ = nullptr;
}

}  // namespace postern::net
