#include "net/handle.h"

#include <uv.h>

namespace postern::net {

template <class T>
void HandleDeleter<T>::operator()(T* handle) const {
  handle->data = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(handle),
           [](uv_handle_t* closed) { delete reinterpret_cast<T*>(closed); });
}

template struct HandleDeleter<uv_async_s>;
template struct HandleDeleter<uv_prepare_s>;
template struct HandleDeleter<uv_timer_s>;

LifeGuard::LifeGuard(bool*& member) : member_(&member), outer_(member) { member = &gone_; }

LifeGuard::~LifeGuard() {
  if (!gone_) {
    *member_ = outer_;
  } else if (outer_ != nullptr) {
    *outer_ = true;
  }
}

}  // namespace postern::net
