// Watching a descriptor, for what reads and writes sockets. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace postern::net {

class Loop;

inline constexpr int kReadable = 1;
inline constexpr int kWritable = 2;
/// Nothing but errors, such as a reset.
inline constexpr int kErrorsOnly = 4;

class Poll {
 public:
  /// Some of what is watched, or `status` below zero: an error of the socket, and nothing is
  /// watched any more. Told as long as it is so. May destroy the Poll.
  using Callback = void (*)(void* owner, int status, int events);

  Poll() = default;
  /// Before the descriptor is closed.
  ~Poll() { close(); }
  Poll(const Poll&) = delete;
  Poll& operator=(const Poll&) = delete;

  /// REQUIRES: nothing is open. Watches nothing yet.
  void open(Loop& loop, int fd, void* owner, Callback callback);
  /// In place of what was watched; 0: nothing. Takes effect when the loop waits next, so what is
  /// taken back before costs nothing.
  void watch(int events);
  void close();
  bool is_open() const { return loop_ != nullptr; }

 private:
  friend class Loop;
  static constexpr std::size_t kNotListed = SIZE_MAX;

  Loop* loop_ = nullptr;
  void* owner_ = nullptr;
  Callback callback_ = nullptr;
  std::size_t listed_at_ = kNotListed;  // in Loop::changed_
  int fd_ = -1;
  std::uint8_t wanted_ = 0, known_ = 0;  // the latter by the kernel
};

}  // namespace postern::net
