// Watches files for edits of any kind: written in place, replaced by rename, swapped by symlink
// (also of a directory above, as Kubernetes mounts do). Events of the directories make it quick,
// looking again every few seconds makes it sure. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/loop.h"
#include "net/timer.h"

namespace postern::server {

/// What stat(2) says of a file, through all symlinks; equal for equal files that nobody touched.
struct FileSignature {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_ns = 0, changed_ns = 0;
  int error_number = 0;  ///< when it cannot be looked at

  friend bool operator==(const FileSignature&, const FileSignature&) = default;
};

FileSignature look_at(const std::string& path);

/// The directories in which an edit of `path` can show: its own, and those of every symlink on the
/// way and what it leads to.
std::vector<std::string> directories_to_watch(const std::string& path);

struct WatchSettings {
  std::uint64_t look_again_ms = 3000;
  std::uint64_t settle_ms = 200;       ///< after an event, until the writer is done
  std::uint64_t settle_max_ms = 2000;  ///< even when events go on
};

class Watcher {
 public:
  using Settings = WatchSettings;

  /// `changed`: some file's signature is not what it was.
  Watcher(net::Loop& loop, std::function<void()> changed, const Settings& settings = {});
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  /// From now on these files. A file that was watched before keeps its signature, so that no edit
  /// is missed in between.
  void watch(const std::vector<std::string>& files);

 private:
  struct Directory;
  void note_event();
  std::map<std::string, FileSignature> look_at_all() const;
  void look_again();
  void look();
  void watch_directories();

  net::Loop& loop_;
  std::function<void()> changed_;
  Settings settings_;
  std::map<std::string, FileSignature> files_;
  std::map<std::string, FileSignature> polled_;  // as they were when looking again saw a change
  std::map<std::string, std::unique_ptr<Directory>> directories_;
  net::Timer settle_, look_again_;
  std::uint64_t first_event_ms_ = 0;  // of a run of events; 0: none
  bool unsure_ = false;               // say "changed" at the next look, whatever is seen
};

}  // namespace postern::server
