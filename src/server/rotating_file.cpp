#include "server/rotating_file.h"

#include <cerrno>
#include <cstdio>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log_writer.h"

namespace postern::server {
namespace {

constexpr mode_t kMode = 0640;  // who asked for what is nobody else's business

int open_path(const std::string& path) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg)
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kMode);
}

std::uint64_t size_of(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

}  // namespace

Result<std::unique_ptr<RotatingFile>> RotatingFile::open(const RotatingFileSettings& settings) {
  std::unique_ptr<RotatingFile> file(new RotatingFile(settings));
  if (file->open_new()) return file;
  return fail(Code::kInvalid, fmt::format("cannot write '{}': {}", settings.path,
                                          std::generic_category().message(errno)));
}

RotatingFile::~RotatingFile() {
  append(settings_.end);
  ::close(fd_);
}

std::string RotatingFile::numbered(unsigned number) const {
  return number == 0 ? settings_.path : fmt::format("{}.{}", settings_.path, number);
}

// The files make room for a new one. What cannot be renamed (a directory that may not be written)
// goes on growing.
bool RotatingFile::shift() {
  for (unsigned number = settings_.keep; number > 1; --number) {
    std::rename(numbered(number - 1).c_str(), numbered(number).c_str());
  }
  const bool moved = settings_.keep == 0
                         ? ::unlink(settings_.path.c_str()) == 0
                         : std::rename(settings_.path.c_str(), numbered(1).c_str()) == 0;
  if (moved) ++rotations_;
  return moved;
}

// The old descriptor stays when the file cannot be opened.
bool RotatingFile::open_new() {
  int fd = open_path(settings_.path);
  if (fd < 0) return false;
  if (settings_.is_framed() && size_of(fd) != 0 && shift()) {
    ::close(fd);
    fd = open_path(settings_.path);
    if (fd < 0) return false;
  }
  if (fd_ >= 0) {
    append(settings_.end);
    ::close(fd_);
  }
  fd_ = fd;
  size_ = size_of(fd);
  rotate_at_ = settings_.rotate_bytes;
  append(settings_.begin);
  return true;
}

void RotatingFile::rotate() {
  rotate_at_ = size_ + settings_.rotate_bytes;
  if (shift()) open_new();
}

// Part of a line is worse than none: when the disk is full, what got through is taken back.
bool RotatingFile::append(std::string_view text) {
  if (text.empty()) return true;
  if (write_fully(fd_, text)) {
    size_ += text.size();
    return true;
  }
  const int error = errno;
  if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0) errno = error;
  errno = error;
  return false;
}

bool RotatingFile::write(std::string_view text) {
  const bool is_full = settings_.rotate_bytes != 0 && size_ > settings_.begin.size() &&
                       size_ + text.size() > rotate_at_;
  if (is_full) rotate();
  // Without its beginning, which the disk had no room for, nobody could read the file.
  if (settings_.is_framed() && size_ == 0 && !append(settings_.begin)) return false;
  return append(text);
}

bool RotatingFile::reopen() {
  struct stat at_path {};
  struct stat ours {};
  const bool same = ::stat(settings_.path.c_str(), &at_path) == 0 && ::fstat(fd_, &ours) == 0 &&
                    at_path.st_dev == ours.st_dev && at_path.st_ino == ours.st_ino;
  return same || open_new();
}

}  // namespace postern::server
