#include "server/signals.h"

#include <utility>

#include <uv.h>

namespace postern::server {

Signal::Signal(net::Loop& loop, int number, std::function<void()> received)
    : handle_(new uv_signal_t), received_(std::move(received)) {
  uv_signal_init(loop.raw(), handle_);
  handle_->data = this;
  uv_signal_start(
      handle_, [](uv_signal_t* handle, int) { static_cast<Signal*>(handle->data)->received_(); },
      number);
}

Signal::~Signal() {
  uv_close(reinterpret_cast<uv_handle_t*>(handle_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_signal_t*>(handle); });
}

}  // namespace postern::server
