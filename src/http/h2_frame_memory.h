// nghttp2 keeps a buffer of 16 KiB in every session for the frame that leaves. What is in it
// matters only inside nghttp2_session_mem_send() and until its caller has copied what it returned;
// so the server sessions of a thread use one and the same. (A client's holds the preface from the
// start.) Made, used and destroyed on one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

struct nghttp2_option;
struct nghttp2_session;
struct nghttp2_session_callbacks;

namespace postern::http::h2 {

class FrameMemory {
 public:
  FrameMemory() = default;
  FrameMemory(const FrameMemory&) = delete;
  FrameMemory& operator=(const FrameMemory&) = delete;

  /// Outlives the thread when sessions do.
  static const std::shared_ptr<FrameMemory>& of_thread();

  /// A server's session that uses this memory, which has to outlive it. nullptr: out of memory.
  nghttp2_session* make_session(const nghttp2_session_callbacks* calls, void* user,
                                const nghttp2_option* options);
  /// Nobody reads what is in it any more. Debug builds make sure of that.
  void leave();

 private:
  // A frame of the smallest SETTINGS_MAX_FRAME_SIZE; nghttp2 adds its header and a byte of padding.
  static constexpr std::size_t kFrameBytes = 16U << 10;

  static void* allocate(std::size_t size, void* user);
  static void release(void* memory, void* user);
  static void* allocate_zeroed(std::size_t count, std::size_t size, void* user);
  static void* resize(void* memory, std::size_t size, void* user);

  bool lends_ = false;  // while a session is made
  alignas(std::max_align_t) std::array<std::uint8_t, kFrameBytes + 64> frame_{};
};

}  // namespace postern::http::h2
