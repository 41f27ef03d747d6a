#include "server/watch.h"

#include <doctest/doctest.h>

#include "../sockets.h"
#include "certificate_files.h"

namespace postern::server {
namespace {

using test::Folder;
using test::shell;

bool comes(net::Loop& loop, const int& changes, int count, std::uint64_t within_ms = 5000) {
  return test::run_until(
      loop, [&] { return changes == count; }, within_ms);
}

// By events alone: looking again would take an hour.
constexpr WatchSettings kEvents{
    .look_again_ms = 3'600'000, .settle_ms = 150, .settle_max_ms = 60'000};

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

TEST_CASE("a file that grows beside what is watched delays nothing") {
  const Folder folder;
  folder.write("postern.toml", "0");
  net::Loop loop;
  int changes = 0;
  Watcher watcher(
      loop, [&] { ++changes; }, kEvents);
  watcher.watch({folder.path("postern.toml")});
  REQUIRE(comes(loop, changes, 1));
  folder.write("postern.toml", "1");
  for (int i = 0; i < 40 && changes == 1; ++i) {
    folder.write("queries.log", std::string(static_cast<std::size_t>(i), 'x'));
    comes(loop, changes, 2, 50);
  }
  CHECK(changes == 2);
}

TEST_CASE("what is written beside what is watched is waited for when it is part of the change") {
  const Folder folder;
  folder.write("postern.toml", "0");
  folder.write("zones/a.zone", "0");
  net::Loop loop;
  int changes = 0;
  WatchSettings settings = kEvents;
  settings.settle_ms = 600;  // longer than a busy machine stops this one
  Watcher watcher(
      loop, [&] { ++changes; }, settings);
  watcher.watch({folder.path("zones/a.zone")}, {folder.path("postern.toml")});
  REQUIRE(comes(loop, changes, 1));
  folder.write("zones/a.zone", "1");
  for (int i = 0; i < 20; ++i) {
    folder.write("postern.toml", std::string(static_cast<std::size_t>(i), 'x'));
    CHECK_FALSE(comes(loop, changes, 2, 40));
  }
  CHECK(comes(loop, changes, 2));
  folder.write("postern.toml", "by itself");
  CHECK_FALSE(comes(loop, changes, 3, 900));
}

TEST_CASE(
    "in a directory that is watched itself, what comes and goes counts, what grows does not") {
  const Folder folder;
  folder.write("conf.d/growing", "");
  net::Loop loop;
  int changes = 0;
  Watcher watcher(
      loop, [&] { ++changes; }, kEvents);
  watcher.watch({folder.path("conf.d")});
  REQUIRE(comes(loop, changes, 1));
  folder.write("conf.d/1.toml", "");
  for (int i = 0; i < 40 && changes == 1; ++i) {
    shell(folder, "echo >> conf.d/growing");
    comes(loop, changes, 2, 50);
  }
  CHECK(changes == 2);
  shell(folder, "rm conf.d/1.toml");
  CHECK(comes(loop, changes, 3));
  shell(folder, "mv conf.d gone");
  CHECK(comes(loop, changes, 4));
  shell(folder, "mv gone conf.d");
  CHECK(comes(loop, changes, 5));
}

TEST_CASE("a file in directories that are not there yet, behind a symlink, is seen when it comes") {
  const Folder folder;
  shell(folder, "mkdir etc; ln -s ../run/resolve/resolv.conf etc/resolv.conf");
  net::Loop loop;
  int changes = 0;
  Watcher watcher(
      loop, [&] { ++changes; }, kEvents);
  watcher.watch({folder.path("etc/resolv.conf")});
  REQUIRE(comes(loop, changes, 1));
  for (const char* command : {"mkdir run", "mkdir run/resolve"}) {
    shell(folder, command);
    CHECK_FALSE(comes(loop, changes, 2, 400));
  }
  shell(folder, "echo 1 > run/resolve/new; mv run/resolve/new run/resolve/resolv.conf");
  CHECK(comes(loop, changes, 2));
  shell(folder, "echo 2 > run/resolve/new; mv run/resolve/new run/resolve/resolv.conf");
  CHECK(comes(loop, changes, 3));
  shell(folder, "rm etc/resolv.conf; echo 3 > etc/resolv.conf");
  CHECK(comes(loop, changes, 4));
}

}  // namespace postern::server
