// The sending end of a Frame Streams connection over a Unix socket, as readers of dnstap listen on
// one: READY, ACCEPT, START, data frames, STOP, FINISH. Connects again by itself when the reader
// restarts. Nothing here waits; what waits is bounded. One thread. (The writers of libfstrm wait
// for ACCEPT and FINISH without a limit: a reader that hangs would keep this process from its end.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace postern::server {

class FrameSocket {
 public:
  static constexpr std::size_t kBytesMax = 4U << 20;  ///< that wait to be sent
  static constexpr std::uint64_t kRetryMs = 1000;

  explicit FrameSocket(std::string path) : path_(std::move(path)) {}
  ~FrameSocket() { close(); }
  FrameSocket(const FrameSocket&) = delete;
  FrameSocket& operator=(const FrameSocket&) = delete;

  /// One frame with its length in front. Lost, and counted, when nobody reads or too much waits.
  void add(std::string_view frame);
  /// Sends what can be sent now, and connects when it is time to.
  void turn(std::uint64_t now_ms);
  /// STOP, and FINISH is awaited: for as long as `limit_ms` at most.
  void end(std::uint64_t limit_ms);

  bool is_connected() const { return state_ == State::kOpen; }
  std::uint64_t lost() const { return lost_; }
  std::uint64_t connects() const { return connects_; }
  const std::string& path() const { return path_; }

 private:
  enum class State : std::uint8_t { kClosed, kReady, kOpen, kStopping };

  void connect(std::uint64_t now_ms);
  void close();
  void send();
  void receive();

  std::string path_;
  State state_ = State::kClosed;
  int fd_ = -1;
  std::uint64_t retry_at_ms_ = 0;
  std::string out_;                   // begins with START
  std::size_t sent_ = 0;              // of out_
  std::uint64_t waiting_frames_ = 0;  // in out_
  std::string in_;
  std::uint64_t lost_ = 0;
  std::uint64_t connects_ = 0;
};

}  // namespace postern::server
