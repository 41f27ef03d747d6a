#include "http/h2_frame_memory.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>

#include "base/recycler.h"

namespace postern::http::h2 {

void* FrameMemory::allocate(std::size_t size, void* user) {
  FrameMemory& self = *static_cast<FrameMemory*>(user);
  if (self.lends_ && size >= kFrameBytes && size <= self.frame_.size()) {
    self.lends_ = false;  // there is one such buffer in a session
    return self.frame_.data();
  }
  return take_memory(size);
}

void FrameMemory::release(void* memory, void* user) {
  if (memory != static_cast<FrameMemory*>(user)->frame_.data()) give_memory(memory);
}

void* FrameMemory::allocate_zeroed(std::size_t count, std::size_t size, void* /*user*/) {
  return take_zeroed_memory(count, size);
}

void* FrameMemory::resize(void* memory, std::size_t size, void* user) {
  FrameMemory& self = *static_cast<FrameMemory*>(user);
  if (memory == nullptr) return allocate(size, user);
  if (memory != self.frame_.data()) return resize_memory(memory, size);
  void* const copy = take_memory(size);
  if (copy != nullptr) std::memcpy(copy, memory, std::min(size, self.frame_.size()));
  return copy;
}

const std::shared_ptr<FrameMemory>& FrameMemory::of_thread() {
  thread_local const auto memory = std::make_shared<FrameMemory>();
  return memory;
}

nghttp2_session* FrameMemory::make_session(const nghttp2_session_callbacks* calls, void* user,
                                           const nghttp2_option* options) {
  nghttp2_mem functions{this, allocate, release, allocate_zeroed, resize};  // is copied
  nghttp2_session* session = nullptr;
  lends_ = true;
  nghttp2_session_server_new3(&session, calls, user, options, &functions);
  lends_ = false;
  return session;
}

void FrameMemory::leave() {
#ifndef NDEBUG
  frame_.fill(0xEE);
#endif
}

}  // namespace postern::http::h2
