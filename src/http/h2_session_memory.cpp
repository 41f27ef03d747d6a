#include "http/h2_session_memory.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "base/recycler.h"

namespace postern::http::h2 {
namespace {

// A frame of the smallest SETTINGS_MAX_FRAME_SIZE; nghttp2 adds its header and a byte of padding.
constexpr std::size_t kFrameBytes = 16U << 10;
// What nghttp2 allocates with a session comes to 9 KiB; what does not fit is allocated elsewhere.
constexpr std::size_t kTablesBytes = 12U << 10;

}  // namespace

struct SessionMemory::Frame {
  alignas(std::max_align_t) std::array<std::uint8_t, kFrameBytes + 64> bytes{};

  static const std::shared_ptr<Frame>& of_thread() {
    thread_local const auto frame = std::make_shared<Frame>();
    return frame;
  }
};

void* SessionMemory::allocate(std::size_t size, void* user) {
  SessionMemory& self = *static_cast<SessionMemory*>(user);
  if (!self.is_making_) return take_memory(size);
  if (!self.frame_lent_ && size >= kFrameBytes && size <= self.frame_->bytes.size()) {
    self.frame_lent_ = true;  // there is one such buffer in a session
    return self.frame_->bytes.data();
  }
  void* const memory = self.take_of_tables(size);
  return memory != nullptr ? memory : take_memory(size);
}

void SessionMemory::release(void* memory, void* user) {
  if (!static_cast<SessionMemory*>(user)->is_lent(memory)) give_memory(memory);
}

void* SessionMemory::allocate_zeroed(std::size_t count, std::size_t size, void* user) {
  SessionMemory& self = *static_cast<SessionMemory*>(user);
  void* const memory = self.is_making_ ? self.take_of_tables(count * size) : nullptr;
  if (memory == nullptr) return take_zeroed_memory(count, size);
  return std::memset(memory, 0, count * size);
}

void* SessionMemory::resize(void* memory, std::size_t size, void* user) {
  SessionMemory& self = *static_cast<SessionMemory*>(user);
  if (memory == nullptr) return allocate(size, user);
  if (!self.is_lent(memory)) return resize_memory(memory, size);
  void* const copy = take_memory(size);
  if (copy != nullptr) std::memcpy(copy, memory, std::min(size, self.bytes_behind(memory)));
  return copy;
}

void* SessionMemory::take_of_tables(std::size_t size) {
  constexpr std::size_t kAlign = alignof(std::max_align_t);
  const std::size_t rounded = (size + kAlign - 1) / kAlign * kAlign;
  if (tables_.data() == nullptr || rounded > tables_.size() - used_) return nullptr;
  used_ += rounded;
  return tables_.data() + (used_ - rounded);
}

bool SessionMemory::is_lent(const void* memory) const {
  return memory == frame_->bytes.data() || tables_.contains(memory);
}

// REQUIRES: is_lent(memory). How long the block is nobody noted; what is read too much is ours.
std::size_t SessionMemory::bytes_behind(const void* memory) const {
  if (memory == frame_->bytes.data()) return frame_->bytes.size();
  return tables_.bytes_behind(memory);
}

SessionMemory::SessionMemory() : frame_(Frame::of_thread()), tables_(kTablesBytes) {}

SessionMemory::~SessionMemory() = default;

nghttp2_session* SessionMemory::make_session(const nghttp2_session_callbacks* calls, void* user,
                                             const nghttp2_option* options) {
  nghttp2_mem functions{this, allocate, release, allocate_zeroed, resize};  // is copied
  nghttp2_session* session = nullptr;
  is_making_ = true;
  nghttp2_session_server_new3(&session, calls, user, options, &functions);
  is_making_ = false;
  return session;
}

void SessionMemory::frame_was_copied() {
#ifndef NDEBUG
  frame_->bytes.fill(0xEE);
#endif
}

}  // namespace postern::http::h2
