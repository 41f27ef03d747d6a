#include "server/rotating_file.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "folder.h"

namespace postern::server {
namespace {

namespace fs = std::filesystem;
using test::Folder;

std::optional<std::string> content(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::unique_ptr<RotatingFile> opened(const RotatingFileSettings& settings) {
  auto file = RotatingFile::open(settings);
  REQUIRE(file);
  return std::move(*file);
}

// No file of this process gets a byte longer.
class FullDisk {
 public:
  FullDisk() {
    std::signal(SIGXFSZ, SIG_IGN);
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit none{0, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &none) == 0);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("a file is rotated before the line that would make it too long, the oldest goes") {
  const Folder folder;
  const std::string path = folder.path("queries.log");
  auto file = opened({path, 10, 2, "", ""});
  for (const std::string_view line : {"one\n", "two\n", "three\n", "four\n", "five\n", "six\n"}) {
    CHECK(file->write(line));
  }
  CHECK(content(path) == "six\n");
  CHECK(content(path + ".1") == "four\nfive\n");
  CHECK(content(path + ".2") == "three\n");
  CHECK_FALSE(fs::exists(path + ".3"));
  CHECK(file->rotations() == 3);
}

TEST_CASE("a line longer than a whole file has one of its own") {
  const Folder folder;
  const std::string path = folder.path("queries.log");
  auto file = opened({path, 10, 5, "", ""});
  CHECK(file->write("a long, long line\n"));
  CHECK(file->write("short\n"));
  CHECK(content(path) == "short\n");
  CHECK(content(path + ".1") == "a long, long line\n");
}

TEST_CASE("without old files to keep, what was written goes") {
  const Folder folder;
  const std::string path = folder.path("queries.log");
  auto file = opened({path, 8, 0, "", ""});
  CHECK(file->write("first\n"));
  CHECK(file->write("second\n"));
  CHECK(content(path) == "second\n");
  CHECK_FALSE(fs::exists(path + ".1"));
}

TEST_CASE("rotate 0 never rotates, and what was there is appended to") {
  const Folder folder;
  const std::string path = folder.write("queries.log", "before\n");
  {
    auto file = opened({path, 0, 5, "", ""});
    for (int i = 0; i < 100; ++i) CHECK(file->write("line\n"));
    CHECK(file->rotations() == 0);
  }
  CHECK(content(path)->size() == 7 + 500);
  CHECK(content(path)->substr(0, 12) == "before\nline\n");
}

TEST_CASE("what was there counts for the size") {
  const Folder folder;
  const std::string path = folder.write("queries.log", "12345678\n");
  auto file = opened({path, 10, 1, "", ""});
  CHECK(file->write("new\n"));
  CHECK(content(path) == "new\n");
  CHECK(content(path + ".1") == "12345678\n");
}

TEST_CASE("framed files begin and end with their frames, and none is continued") {
  const Folder folder;
  const std::string path = folder.write("dns.tap", "cut off");
  {
    auto file = opened({path, 12, 3, "<<", ">>"});
    CHECK(content(path + ".1") == "cut off");
    CHECK(file->write("frame1"));
    CHECK(file->write("frame2"));
    CHECK(content(path + ".1") == "<<frame1>>");
    CHECK(content(path + ".2") == "cut off");
  }
  CHECK(content(path) == "<<frame2>>");
}

TEST_CASE("a file that was moved away is begun anew when asked to, and only then") {
  const Folder folder;
  const std::string path = folder.path("queries.log");
  auto file = opened({path, 100, 5, "", ""});
  CHECK(file->write("one\n"));
  CHECK(file->reopen());
  CHECK(file->write("two\n"));
  fs::rename(path, path + ".moved");
  CHECK(file->write("three\n"));
  CHECK(file->reopen());
  CHECK(file->write("four\n"));
  CHECK(content(path + ".moved") == "one\ntwo\nthree\n");
  CHECK(content(path) == "four\n");
}

TEST_CASE("where no file can be opened again the old one goes on") {
  const Folder folder;
  const std::string path = folder.path("queries.log");
  auto file = opened({path, 100, 5, "", ""});
  fs::rename(path, path + ".moved");
  fs::create_directory(path);
  CHECK_FALSE(file->reopen());
  CHECK(file->write("still\n"));
  CHECK(content(path + ".moved") == "still\n");
}

TEST_CASE("a rotation that fails leaves a file that grows, and is tried again") {
  const Folder folder;
  const std::string path = folder.path("queries.log");
  auto file = opened({path, 4, 1, "", ""});
  CHECK(file->write("one\n"));
  folder.write("queries.log.1/in the way", "");
  CHECK(file->write("two\n"));
  CHECK(file->rotations() == 0);
  CHECK(content(path) == "one\ntwo\n");
  fs::remove_all(path + ".1");
  CHECK(file->write("three\n"));
  CHECK(content(path + ".1") == "one\ntwo\n");
  CHECK(content(path) == "three\n");
}

TEST_CASE("nobody but the owner and the group reads it") {
  const Folder folder;
  const std::string path = folder.path("queries.log");
  auto file = opened({path, 100, 5, "", ""});
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0007U) == 0);
}

TEST_CASE("a directory that is not there is named") {
  const Folder folder;
  const auto file = RotatingFile::open({folder.path("none/queries.log"), 100, 5, "", ""});
  REQUIRE_FALSE(file);
  CHECK(folder.shorten(file.error().detail) ==
        "cannot write 'none/queries.log': No such file or directory");
}

TEST_CASE("a full disk loses the line, not part of it, and says so") {
  // /dev/full: every write fails with ENOSPC, as null(4) and full(4) say.
  auto file = opened({"/dev/full", 0, 5, "", ""});
  errno = 0;
  CHECK_FALSE(file->write("lost\n"));
  CHECK(errno == ENOSPC);
}

TEST_CASE("a framed file that was begun on a full disk gets its beginning when there is room") {
  const Folder folder;
  const std::string path = folder.path("queries.fstrm");
  {
    std::optional<FullDisk> full(std::in_place);
    auto file = opened({path, 1000, 2, "[", "]"});
    CHECK_FALSE(file->write("one"));
    CHECK(errno == EFBIG);
    full.reset();
    CHECK(file->write("two"));
    CHECK(file->write("three"));
  }
  CHECK(content(path) == "[twothree]");
  CHECK_FALSE(fs::exists(path + ".1"));
}

}  // namespace postern::server
