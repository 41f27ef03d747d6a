#include "net/mailbox.h"

#include <utility>

#include <uv.h>

namespace postern::net {

Mailbox::Mailbox(Loop& loop) : handle_(new uv_async_t) {
  uv_async_init(loop.raw(), handle_.get(), [](uv_async_t* async) {
    if (async->data != nullptr) static_cast<Mailbox*>(async->data)->drain();
  });
  handle_->data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(handle_.get()));
}

Mailbox::~Mailbox() { drain(); }

void Mailbox::post(std::function<void()> message) {
  {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
  }
  uv_async_send(handle_.get());
}

void Mailbox::drain() {
  std::vector<std::function<void()>> messages;
  {
    const std::lock_guard lock(mutex_);
    messages.swap(messages_);
  }
  for (auto& message : messages) message();
}

}  // namespace postern::net
