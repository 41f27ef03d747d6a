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

/// Whether the kernel is asked about a descriptor again at each wait (level), or says once what has
/// changed (edge), which is cheaper where whoever reads and writes notices an empty or full socket
/// anyway, and calls Poll::drained().
enum class Trigger : std::uint8_t { kLevel, kEdge };

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
  void open(Loop& loop, int fd, void* owner, Callback callback, Trigger trigger = Trigger::kLevel);
  /// In place of what was watched; 0: nothing. Takes effect when the loop waits next, so what is
  /// taken back before costs nothing.
  void watch(int events);
  /// Edge: that there is nothing to read (kReadable) or no room to write (kWritable) just now. Not
  /// to be said of what was not tried: what is ready would not be told.
  void drained(int events) { ready_ &= static_cast<std::uint8_t>(~events | lasting_); }
  /// A read that got less than there was room for has emptied the socket, unless it stopped in
  /// front of urgent data (RFC 9293 section 3.8.5), of which nobody makes use.
  void short_read() {
    if (!urgent_) drained(kReadable);
  }
  void close();
  bool is_open() const { return loop_ != nullptr; }

 private:
  friend class Loop;
  static constexpr std::uint32_t kNotListed = UINT32_MAX;

  bool is_pending() const {
    return (ready_ & wanted_) != 0 || (failed_ && wanted_ != 0) ||
           (hung_up_ && wanted_ == kErrorsOnly);
  }

  Loop* loop_ = nullptr;
  void* owner_ = nullptr;
  Callback callback_ = nullptr;
  std::uint32_t listed_at_ = kNotListed, again_at_ = kNotListed;  // in Loop::changed_ and again_
  int fd_ = -1;
  Trigger trigger_ = Trigger::kLevel;
  std::uint8_t wanted_ = 0, known_ = 0;  // the latter by the kernel
  // Edge: what the kernel has told, and of that what stays so.
  std::uint8_t ready_ = 0, lasting_ = 0;
  bool failed_ = false, hung_up_ = false, urgent_ = false;
};

}  // namespace postern::net
