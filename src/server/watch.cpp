#include "server/watch.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <sys/stat.h>
#include <uv.h>

namespace postern::server {
namespace {

namespace fs = std::filesystem;

constexpr int kSymlinksMax = 40;

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FileSignature look_at(const std::string& path) {
  struct stat status {};
  FileSignature signature;
  if (::stat(path.c_str(), &status) != 0) {
    signature.error_number = errno;
    return signature;
  }
  signature.device = status.st_dev;
  signature.inode = status.st_ino;
  signature.size = static_cast<std::uint64_t>(status.st_size);
  signature.modified_ns = nanoseconds(status.st_mtim);
  signature.changed_ns = nanoseconds(status.st_ctim);
  return signature;
}

void WatchedNames::add(const WatchedNames& more) {
  names.insert(more.names.begin(), more.names.end());
  entries = entries || more.entries;
}

std::map<std::string, WatchedNames> directories_to_watch(const std::string& path) {
  std::map<std::string, WatchedNames> directories;
  const auto add = [&](const fs::path& directory, const fs::path& name) {
    directories[directory.string()].add({{directory.filename(), name}, false});
  };
  std::error_code error;
  fs::path todo = fs::absolute(path, error).lexically_normal();
  if (!todo.has_filename()) todo = todo.parent_path();
  for (int links = 0; links < kSymlinksMax; ++links) {
    fs::path walked;
    bool is_link = false;
    for (auto part = todo.begin(); part != todo.end(); ++part) {
      const fs::path parent = walked;
      walked /= *part;
      const fs::file_type type = fs::symlink_status(walked, error).type();
      if (type == fs::file_type::not_found) add(parent, *part);
      if (type == fs::file_type::not_found) break;
      if (type != fs::file_type::symlink) continue;
      is_link = true;
      add(parent, *part);
      fs::path next = parent / fs::read_symlink(walked, error);
      while (++part != todo.end()) next /= *part;
      todo = next.lexically_normal();
      break;
    }
    if (!is_link) break;
  }
  if (todo.has_relative_path()) add(todo.parent_path(), todo.filename());
  if (fs::is_directory(todo, error)) directories[todo.string()].add({{todo.filename()}, true});
  return directories;
}

struct Watcher::Directory {
  Directory(Watcher& watcher, const std::string& path) : owner(watcher), event(new uv_fs_event_t) {
    event->data = this;
    uv_fs_event_init(watcher.loop_.raw(), event);
    const auto notify = [](uv_fs_event_t* handle, const char* name, int events, int) {
      const auto* self = static_cast<Directory*>(handle->data);
      if (self != nullptr && self->counts(name, events)) self->owner.note_event();
    };
    // Without events (no inotify watch left, no such directory) looking again has to do.
    is_watched = uv_fs_event_start(event, notify, path.c_str(), 0) == 0;
  }
  ~Directory() {
    event->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(event),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_fs_event_t*>(handle); });
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  bool counts(const char* name, int events) const {
    if (name == nullptr || watched.names.count(name) != 0) return true;
    return watched.entries && (static_cast<unsigned>(events) & UV_RENAME) != 0;
  }

  Watcher& owner;
  uv_fs_event_t* event;  // owned, freed in the close callback
  WatchedNames watched;
  bool is_watched = false;
};

Watcher::Watcher(net::Loop& loop, std::function<void()> changed, const Settings& settings)
    : loop_(loop),
      changed_(std::move(changed)),
      settings_(settings),
      settle_(loop, [this] { look(); }),
      look_again_(loop, [this] { look_again(); }) {
  look_again_.start_every(settings_.look_again_ms);
}

Watcher::~Watcher() = default;

void Watcher::watch(const std::vector<std::string>& files, const std::vector<std::string>& beside) {
  std::map<std::string, FileSignature> next;
  for (const std::string& file : files) {
    // Between the reading of a new file and this look at it there may have been an edit.
    if (files_.count(file) == 0) unsure_ = true;
    const auto known = files_.find(file);
    next.emplace(file, known == files_.end() ? look_at(file) : known->second);
  }
  files_ = std::move(next);
  beside_ = beside;
  watch_directories();
  if (unsure_) note_event();
}

void Watcher::watch_directories() {
  std::map<std::string, WatchedNames> wanted;
  const auto want = [&](const std::string& file) {
    for (const auto& [path, names] : directories_to_watch(file)) wanted[path].add(names);
  };
  for (const auto& [file, signature] : files_) want(file);
  std::for_each(beside_.begin(), beside_.end(), want);
  std::map<std::string, std::unique_ptr<Directory>> next;
  for (auto& [path, names] : wanted) {
    const auto known = directories_.find(path);
    const bool goes_on = known != directories_.end() && known->second->is_watched;
    auto& directory = next[path];
    directory = goes_on ? std::move(known->second) : std::make_unique<Directory>(*this, path);
    directory->watched = std::move(names);
  }
  directories_ = std::move(next);
}

// One that was missing may be there.
void Watcher::look_for_directories() {
  const auto is_missing = [](const auto& one) { return !one.second->is_watched; };
  if (std::any_of(directories_.begin(), directories_.end(), is_missing)) watch_directories();
}

// Symlinks may lead elsewhere now, a directory may be another.
void Watcher::renew_directories() {
  directories_.clear();
  watch_directories();
}

void Watcher::note_event() {
  const std::uint64_t now = loop_.now_ms();
  if (first_event_ms_ == 0) first_event_ms_ = now;
  const std::uint64_t latest = first_event_ms_ + settings_.settle_max_ms;
  settle_.start_once(now >= latest ? 1 : std::min(settings_.settle_ms, latest - now));
}

std::map<std::string, FileSignature> Watcher::look_at_all() const {
  std::map<std::string, FileSignature> now;
  for (const auto& [file, signature] : files_) now.emplace(file, look_at(file));
  return now;
}

// Without events (NFS, no inotify watch left). What is being written settles first, as with events.
void Watcher::look_again() {
  if (first_event_ms_ != 0) return;
  auto now = look_at_all();
  if (now == files_) return;
  polled_ = std::move(now);
  note_event();
}

void Watcher::look() {
  if (!polled_.empty()) {
    // Nobody says when there is more: it is done when nothing has changed for as long.
    auto before = std::exchange(polled_, look_at_all());
    if (before != polled_) return note_event();
    polled_.clear();
  }
  first_event_ms_ = 0;
  bool changed = std::exchange(unsure_, false);
  for (auto& [file, signature] : files_) {
    const FileSignature now = look_at(file);
    changed = changed || !(now == signature);
    signature = now;
  }
  if (!changed) return look_for_directories();
  renew_directories();
  changed_();
}

}  // namespace postern::server
