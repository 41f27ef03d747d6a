#include "server/watch.h"

#include <doctest/doctest.h>

#include "../sockets.h"
#include "certificate_files.h"

namespace postern::server {
namespace {

using test::Folder;
using test::shell;

}  // namespace

TEST_CASE("a swap of the directory that two files are linked into is one change") {
  const Folder folder;
  folder.write("..first/tls.crt", "1");
  folder.write("..first/tls.key", "1");
  folder.write("..second/tls.crt", "2");
  folder.write("..second/tls.key", "2");
  shell(folder, "ln -s ..first ..data; ln -s ..data/tls.crt tls.crt; ln -s ..data/tls.key tls.key");
  net::Loop loop;
  int changes = 0;
  // It has to be seen by events: looking again would take an hour.
  Watcher watcher(loop, [&] { ++changes; }, {.look_again_ms = 3'600'000, .settle_ms = 50});
  watcher.watch({folder.path("tls.crt"), folder.path("tls.key")});
  CHECK(test::run_until(
      loop, [&] { return changes == 1; }, 5000));  // files that are new
  shell(folder, "ln -s ..second ..tmp; mv -T ..tmp ..data");
  CHECK(test::run_until(
      loop, [&] { return changes == 2; }, 5000));
  shell(folder, "echo 3 > ..second/tls.crt; echo 3 > ..second/tls.key");
  CHECK(test::run_until(
      loop, [&] { return changes == 3; }, 5000));
  shell(folder, "touch ..first/tls.crt");
  CHECK_FALSE(test::run_until(
      loop, [&] { return changes > 3; }, 300));
}

TEST_CASE("what is being written is left alone until it rests, however often files are looked at") {
  const Folder folder;
  folder.write("postern.toml", "0");
  net::Loop loop;
  int changes = 0;
  Watcher watcher(loop, [&] { ++changes; },
                  {.look_again_ms = 40, .settle_ms = 400, .settle_max_ms = 60'000});
  watcher.watch({folder.path("postern.toml")});
  CHECK(test::run_until(
      loop, [&] { return changes == 1; }, 5000));
  for (int i = 0; i < 20; ++i) {
    folder.write("postern.toml", std::string(static_cast<std::size_t>(i) + 2, 'x'));
    CHECK_FALSE(test::run_until(
        loop, [&] { return changes > 1; }, 60));
  }
  CHECK(test::run_until(
      loop, [&] { return changes == 2; }, 5000));
}

}  // namespace postern::server
