#include "base/log_writer.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include <poll.h>
#include <unistd.h>

namespace postern {
namespace {

constexpr std::chrono::seconds kRemarksEvery{1};
constexpr std::chrono::milliseconds kGather{20};  // lines for one write, once one was written

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

// Whoever shares the open file may have made it non-blocking.
bool wait_for_room(int fd) {
  pollfd room{fd, POLLOUT, 0};
  return ::poll(&room, 1, -1) >= 0 || errno == EINTR;
}

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

bool write_fully(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      if (!wait_for_room(fd)) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

LogWriter::LogWriter(int fd, Remarks remarks)
    : fd_(fd), remarks_(std::move(remarks)), thread_([this] { run(); }) {}

void LogWriter::write(std::string_view lines) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() + writing_ + lines.size() > kBytesMax) {
    dropped_ += count_lines(lines);
    return;
  }
  waiting_.append(lines);
  if (std::exchange(is_idle_, false)) work_.notify_one();
}

std::uint64_t LogWriter::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void LogWriter::run() {
  block_signals();
  std::string batch;
  std::unique_lock lock(mutex_);
  for (;;) {
    is_idle_ = waiting_.empty();
    work_.wait_for(lock, kRemarksEvery, [this] { return !waiting_.empty() || stopping_; });
    is_idle_ = false;
    const bool last = stopping_;
    batch.clear();
    std::swap(batch, waiting_);
    writing_ = batch.size();
    const std::uint64_t dropped = dropped_ - std::exchange(told_, dropped_);
    lock.unlock();
    batch += remarks_(dropped);
    const bool good = write_fully(fd_, batch);
    lock.lock();
    writing_ = 0;
    if (!good) told_ = dropped_ += count_lines(batch);
    if (last && waiting_.empty()) break;
    work_.wait_for(lock, kGather, [this] { return stopping_; });
  }
  has_ended_ = true;
  ended_.notify_one();
}

bool LogWriter::stop(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  work_.notify_one();
  const bool ended = ended_.wait_for(lock, limit, [this] { return has_ended_; });
  lock.unlock();
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
  return ended;
}

}  // namespace postern
