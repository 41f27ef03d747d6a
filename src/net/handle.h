// Owner of a libuv handle. libuv goes on using a handle until its close callback has run, so the
// deleter cuts the way back to our object (data = nullptr), calls uv_close and frees the memory in
// the close callback. Loop thread only. This header does not need <uv.h>.
#pragma once

#include <memory>

struct uv_async_s;
struct uv_prepare_s;
struct uv_timer_s;

namespace postern::net {

/// For the handle types declared above.
template <class T>
struct HandleDeleter {
  void operator()(T* handle) const;
};

/// REQUIRES: the handle was initialised on a loop, or it never leaves this owner by its deleter.
template <class T>
using Handle = std::unique_ptr<T, HandleDeleter<T>>;

/// Tells a function that calls out whether its object was destroyed meanwhile. The object has a
/// member `bool* destroyed_ = nullptr` and its destructor calls mark_destroyed(destroyed_).
class LifeGuard {
 public:
  explicit LifeGuard(bool*& member);
  ~LifeGuard();
  LifeGuard(const LifeGuard&) = delete;
  LifeGuard& operator=(const LifeGuard&) = delete;

  bool gone() const { return gone_; }

 private:
  bool** member_;
  bool* outer_;
  bool gone_ = false;
};

inline void mark_destroyed(bool* destroyed) {
  if (destroyed != nullptr) *destroyed = true;
}

}  // namespace postern::net
