// A file that is appended to and rotated by size: queries.log becomes queries.log.1, that one
// queries.log.2, and so on; the oldest goes. No line stands in two files. What cannot be written
// (disk full) is lost and counted, and the next write is tried again. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace postern::server {

struct RotatingFileSettings {
  std::string path;
  std::uint64_t rotate_bytes = 100ULL << 20;  ///< 0: never
  unsigned keep = 5;                          ///< old files beside the one that is written
  /// Each file begins and ends with these; one that has something in it already is rotated first.
  std::string begin, end;
  bool is_framed() const { return !begin.empty(); }

  friend bool operator==(const RotatingFileSettings&, const RotatingFileSettings&) = default;
};

class RotatingFile {
 public:
  static Result<std::unique_ptr<RotatingFile>> open(const RotatingFileSettings& settings);
  ~RotatingFile();
  RotatingFile(const RotatingFile&) = delete;
  RotatingFile& operator=(const RotatingFile&) = delete;

  /// `text` is whole lines (or frames), which stay together. False: lost, errno says why.
  bool write(std::string_view text);
  /// When somebody else (logrotate) has moved the file away, a new one is begun. False: it could
  /// not be, and the old one goes on.
  bool reopen();

  const RotatingFileSettings& settings() const { return settings_; }
  std::uint64_t rotations() const { return rotations_; }

 private:
  explicit RotatingFile(RotatingFileSettings settings) : settings_(std::move(settings)) {}
  bool open_new();
  bool shift();
  void rotate();
  bool append(std::string_view text);
  std::string numbered(unsigned number) const;

  RotatingFileSettings settings_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t rotate_at_ = 0;  // later than rotate_bytes after a rotation that failed
  std::uint64_t rotations_ = 0;
};

}  // namespace postern::server
