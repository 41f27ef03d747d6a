#include "server/config.h"

#include <algorithm>
#include <array>
#include <deque>
#include <filesystem>
#include <iterator>

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/socket.h"
#include "server/config_document.h"
#include "server/fingerprint.h"

namespace postern::server {
namespace {

std::string system_message(int number) {
  return std::error_code(number, std::generic_category()).message();
}

Result<std::string> read_open_file(int fd, std::size_t size) {
  std::string text(size, '\0');
  std::size_t at = 0;
  while (at < size) {
    const ssize_t got = ::read(fd, text.data() + at, size - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(Code::kIo, fmt::format("cannot be read: {}", system_message(errno)));
    if (got == 0) break;
    at += static_cast<std::size_t>(got);
  }
  text.resize(at);
  return text;
}

Result<std::string> read_file(const std::string& path) {
  const net::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno == ENOENT) return fail(Code::kNotFound, "no such file");
  if (!fd) return fail(Code::kIo, fmt::format("cannot be opened: {}", system_message(errno)));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail(Code::kIo, system_message(errno));
  if (S_ISDIR(status.st_mode)) {
    return fail(Code::kInvalid, "is a directory; name a file, for example postern.toml in it");
  }
  if (!S_ISREG(status.st_mode)) return fail(Code::kInvalid, "is not a regular file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > kConfigBytesMax) {
    return fail(Code::kLimit,
                fmt::format("has {} bytes; allowed: {} at most", size, kConfigBytesMax));
  }
  return read_open_file(fd.get(), size);
}

/// Reads the files one after the other; the trees live until the document is finished.
class Loader {
 public:
  explicit Loader(const std::string& name) : reader_(name), document_(default_document()) {}

  void read_first_file() {
    if (const auto text = text_of(0, nullptr)) read_text(*text, 0);
    read_includes();
  }

  void read_first_text(std::string_view text) {
    read_text(text, 0);
    read_includes();
  }

  ConfigResult finish(const ConfigSurroundings& surroundings) {
    // Without all that was meant, references would look broken that are not.
    if (!incomplete_) finish_document(reader_, document_, surroundings);
    ConfigResult result;
    result.error_count = reader_.error_count();
    result.problems = reader_.take_problems();
    result.config = std::move(document_.config);
    result.config.file = reader_.files().front();
    result.config.files = reader_.files();
    result.config.fingerprint = fingerprint_;
    result.config.include_directories = std::move(include_directories_);
    return result;
  }

 private:
  struct Included {
    std::string path;
    const Node* pattern;
  };

  // `pattern`: the include that names it, nullptr for the first file.
  std::optional<std::string> text_of(std::uint32_t file, const Node* pattern) {
    const std::string& path = reader_.files()[file];
    auto text = read_file(path);
    fingerprint_ = mixed_fingerprint(fingerprint_, path);
    fingerprint_ = mixed_fingerprint(fingerprint_, text ? *text : text.error().detail);
    if (text) return std::move(*text);
    incomplete_ = true;
    if (pattern == nullptr) {
      reader_.error({file, 0, 0}, text.error().detail);
    } else {
      reader_.error(pattern->place, fmt::format("include: '{}': {}; a path is relative to the file "
                                                "that has it",
                                                path, text.error().detail));
    }
    return std::nullopt;
  }

  void read_text(std::string_view text, std::uint32_t file) {
    if (text.find('\0') != std::string_view::npos) {
      incomplete_ = true;
      reader_.error({file, 0, 0}, "is not a text file (it has a zero byte); a TOML file is wanted");
      return;
    }
    ParsedText parsed = parse_toml(text, file);
    if (!parsed.ok) {
      incomplete_ = true;
      reader_.error(parsed.error_place, fmt::format("not valid TOML: {}", parsed.error));
      return;
    }
    roots_.push_back(std::move(parsed.root));
    document_.include = nullptr;
    read_document(reader_, roots_.back(), document_);
    add_includes();
  }

  // What a file includes comes before what the file that includes it names next.
  void add_includes() {
    if (document_.include == nullptr) return;
    std::vector<Included> found;
    for (const Node& pattern : document_.include->items) {
      if (pattern.kind != Node::Kind::kString) continue;
      for (std::string& path : files_for(pattern)) found.push_back({std::move(path), &pattern});
    }
    waiting_.insert(waiting_.begin(), std::make_move_iterator(found.begin()),
                    std::make_move_iterator(found.end()));
  }

  void read_includes() {
    while (!waiting_.empty()) {
      const Included next = std::move(waiting_.front());
      waiting_.pop_front();
      const auto& known = reader_.files();
      if (std::find(known.begin(), known.end(), next.path) != known.end()) {
        reader_.error(next.pattern->place,
                      fmt::format("include: '{}' is read already; name it once", next.path));
        continue;
      }
      if (known.size() > kIncludedFilesMax) {
        reader_.error(
            next.pattern->place,
            fmt::format("include: too many files; allowed: {} at most", kIncludedFilesMax));
        return;
      }
      const std::uint32_t file = reader_.add_file(next.path);
      if (const auto text = text_of(file, next.pattern)) read_text(*text, file);
    }
  }

  /// The files that a pattern stands for, sorted by name.
  std::vector<std::string> files_for(const Node& pattern) {
    namespace fs = std::filesystem;
    const fs::path whole =
        (fs::path(reader_.file_of(pattern.place)).parent_path() / pattern.text).lexically_normal();
    const std::string name = whole.filename();
    if (whole.parent_path().string().find_first_of("*?[") != std::string::npos) {
      reader_.error(
          pattern.place,
          fmt::format("include: '{}': '*' and '?' can stand in the file name only", pattern.text));
      return {};
    }
    if (name.find_first_of("*?[") == std::string::npos) return {whole.string()};
    std::vector<std::string> paths;
    std::error_code error;
    const fs::path directory = whole.parent_path().empty() ? "." : whole.parent_path();
    include_directories_.push_back(directory.string());
    for (const auto& entry : fs::directory_iterator(directory, error)) {
      const std::string file = entry.path().filename();
      if (fnmatch(name.c_str(), file.c_str(), FNM_PERIOD) == 0) {
        paths.push_back((whole.parent_path() / file).string());
      }
    }
    if (error) {
      reader_.error(pattern.place, fmt::format("include: cannot read the directory '{}': {}",
                                               whole.parent_path().string(), error.message()));
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  Reader reader_;
  Document document_;
  std::deque<Node> roots_;
  std::deque<Included> waiting_;  // to be read, in this order
  std::vector<std::string> include_directories_;
  bool incomplete_ = false;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace

std::string ConfigProblem::to_string() const {
  const std::string_view kind = warning ? "warning: " : "";
  if (line == 0) return one_line(fmt::format("{}: {}{}", file, kind, text));
  return one_line(fmt::format("{}:{}:{}: {}{}", file, line, column, kind, text));
}

ConfigResult load_config(const std::string& path, const ConfigSurroundings& surroundings) {
  Loader loader(path);
  loader.read_first_file();
  return loader.finish(surroundings);
}

ConfigResult load_config_text(std::string_view text, const std::string& name,
                              const ConfigSurroundings& surroundings) {
  Loader loader(name);
  loader.read_first_text(text);
  return loader.finish(surroundings);
}

}  // namespace postern::server
