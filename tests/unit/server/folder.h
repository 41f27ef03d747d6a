// Files that go away with their folder.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <stdlib.h>

namespace postern::test {

class Folder {
 public:
  Folder() {
    char path[] = "/tmp/postern-unit-XXXXXX";
    root_ = mkdtemp(path);
  }
  ~Folder() { std::filesystem::remove_all(root_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string write(const std::string& name, std::string_view text) const {
    const std::filesystem::path path = root_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  std::string path(const std::string& name) const { return (root_ / name).string(); }
  /// `text` without the folder's own name.
  std::string shorten(std::string text) const {
    const std::string prefix = root_.string() + "/";
    for (std::size_t at; (at = text.find(prefix)) != std::string::npos;)
      text.erase(at, prefix.size());
    return text;
  }

 private:
  std::filesystem::path root_;
};

}  // namespace postern::test
