// Writes the log on a thread of its own, so that nobody who logs waits for whoever reads standard
// error: a pipe whose reader has stopped would stop the event loops. What waits is bounded; beyond
// that lines are dropped, counted, and their number is told when there is room again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace postern {

/// Writes all of it, however long it takes. False when the reader is gone or the disk is full.
bool write_fully(int fd, std::string_view text);

class LogWriter {
 public:
  static constexpr std::size_t kBytesMax = 4U << 20;  ///< that wait or are being written

  /// Whole lines that the writer adds by itself, about once a second; `dropped` lines were lost
  /// since it was asked last. Called on the writer's thread.
  using Remarks = std::function<std::string(std::uint64_t dropped)>;

  LogWriter(int fd, Remarks remarks);
  /// REQUIRES: stop() returned true, or never started.
  ~LogWriter() = default;
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Any thread; waits for nobody but others in here, which only copy. Under load the lines of 20
  /// ms leave together, so that few calls wake the writer.
  void write(std::string_view lines);
  std::uint64_t dropped() const;  ///< in all

  /// Writes what waits. False when that took longer than `limit`: the thread is left behind in its
  /// write(2) and uses this object until the process ends.
  bool stop(std::chrono::milliseconds limit);

 private:
  void run();

  const int fd_;
  const Remarks remarks_;
  mutable std::mutex mutex_;
  std::condition_variable work_, ended_;
  std::string waiting_;        // guarded by mutex_, as all below
  std::size_t writing_ = 0;    // bytes that the thread has taken
  std::uint64_t dropped_ = 0;  // in all
  std::uint64_t told_ = 0;     // of these
  bool is_idle_ = false;       // waits for lines; what comes while it gathers need not wake it
  bool stopping_ = false;
  bool has_ended_ = false;
  std::thread thread_;
};

}  // namespace postern
