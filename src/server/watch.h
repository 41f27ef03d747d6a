// Watches files for edits of any kind: written in place, replaced by rename, swapped by symlink
// (also of a directory above, as Kubernetes mounts do). Events of the directories make it quick,
// looking again every few seconds makes it sure. What else goes on in these directories, a log that
// grows there, is no event. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
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

/// Of a directory, what counts when it changes.
struct WatchedNames {
  std::set<std::string> names;  ///< the directory's own among them: it may be moved away
  bool entries = false;         ///< any entry that comes or goes: the directory itself is watched

  void add(const WatchedNames& more);
};

/// By directory, where an edit of `path` can show: its own, and those of every symlink on the way
/// and what it leads to, or of what is not there yet.
std::map<std::string, WatchedNames> directories_to_watch(const std::string& path);

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
  /// is missed in between. What is written to `beside` is part of the same change: it is waited for
  /// as well.
  void watch(const std::vector<std::string>& files, const std::vector<std::string>& beside = {});
  /// Something was written, and is waited for until it rests.
  bool is_settling() const { return first_event_ms_ != 0; }

 private:
  struct Directory;
  void note_event();
  void look_for_directories();
  void renew_directories();
  std::map<std::string, FileSignature> look_at_all() const;
  void look_again();
  void look();
  void watch_directories();

  net::Loop& loop_;
  std::function<void()> changed_;
  Settings settings_;
  std::map<std::string, FileSignature> files_;
  std::vector<std::string> beside_;
  std::map<std::string, FileSignature> polled_;  // as they were when looking again saw a change
  std::map<std::string, std::unique_ptr<Directory>> directories_;
  net::Timer settle_, look_again_;
  std::uint64_t first_event_ms_ = 0;  // of a run of events; 0: none
  bool unsure_ = false;               // say "changed" at the next look, whatever is seen
};

}  // namespace postern::server
