#include "server/notify.h"

#include <ctime>
#include <vector>

#include <doctest/doctest.h>
#include <sys/un.h>

#include "../sockets.h"
#include "folder.h"
#include "server/service_manager.h"

namespace postern::server {
namespace {

// The service manager's end.
class Manager {
 public:
  explicit Manager(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_DGRAM, 0), test::TestSocket::Adopt{}) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(socket_.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  std::string hear() { return socket_.receive_now(); }

 private:
  test::TestSocket socket_;
};

}  // namespace

TEST_CASE("what is said arrives as one datagram each") {
  const test::Folder folder;
  const std::string path = folder.path("notify");
  Manager manager(path);
  const Notifier notifier(path);
  CHECK(notifier.active());
  CHECK(notifier.send("READY=1\nSTATUS=serving"));
  CHECK(notifier.send("WATCHDOG=1"));
  CHECK(manager.hear() == "READY=1\nSTATUS=serving");
  CHECK(manager.hear() == "WATCHDOG=1");
  CHECK(manager.hear().empty());
}

TEST_CASE("without a manager nothing is said") {
  for (const std::string& target : {std::string(), std::string("/"), std::string("@"),
                                    std::string("relative"), std::string(300, '/')}) {
    const Notifier notifier(target);
    CHECK_FALSE(notifier.active());
    CHECK_FALSE(notifier.send("READY=1"));
  }
}

TEST_CASE("a manager that does not listen costs no time") {
  const test::Folder folder;
  const std::string path = folder.path("notify");
  const Manager manager(path);
  const Notifier notifier(path);
  bool lost = false;
  for (int i = 0; i < 10'000 && !lost; ++i) lost = !notifier.send("WATCHDOG=1");
  CHECK(lost);
}

TEST_CASE("a reload bears the time of the manager's clock") {
  timespec before{};
  ::clock_gettime(CLOCK_MONOTONIC, &before);
  const std::string lines = reloading_lines();
  const std::string head = "RELOADING=1\nMONOTONIC_USEC=";
  REQUIRE(lines.rfind(head, 0) == 0);
  const long long us = std::stoll(lines.substr(head.size()));
  const long long before_us = before.tv_sec * 1'000'000LL + before.tv_nsec / 1000;
  CHECK(us >= before_us);
  CHECK(us < before_us + 5'000'000);
}

TEST_CASE("a sign of life is given only when the workers have answered") {
  const test::Folder folder;
  const std::string path = folder.path("notify");
  Manager listener(path);
  net::Loop loop;
  std::vector<ServiceManager::Alive> asked;
  const auto ask = [&](ServiceManager::Alive alive) { asked.push_back(std::move(alive)); };
  ServiceManager manager(loop, ask, Notifier(path), 30'000);
  test::run_for(loop, 40);
  CHECK(asked.empty());  // not before it is ready
  manager.ready("serving a\nWATCHDOG=1");
  CHECK(listener.hear() == "READY=1\nSTATUS=serving a\\x0aWATCHDOG=1");
  REQUIRE(asked.size() == 1);
  test::run_for(loop, 100);
  CHECK(asked.size() == 1);  // no heap of questions to one that hangs
  CHECK(listener.hear().empty());
  asked[0]();
  CHECK(listener.hear() == "WATCHDOG=1");
  CHECK(test::run_until(loop, [&] { return asked.size() == 2; }));
  manager.stopping("ending");
  CHECK(listener.hear() == "STOPPING=1\nSTATUS=ending");
  asked[1]();
  CHECK(listener.hear() == "WATCHDOG=1");
  test::run_for(loop, 50);
  CHECK(asked.size() == 2);
}

TEST_CASE("a manager that wants no signs of life gets none") {
  const test::Folder folder;
  Manager listener(folder.path("notify"));
  net::Loop loop;
  int asked = 0;
  ServiceManager manager(
      loop, [&](const ServiceManager::Alive&) { ++asked; }, Notifier(folder.path("notify")), 0);
  manager.ready("serving");
  test::run_for(loop, 30);
  CHECK(asked == 0);
}

}  // namespace postern::server
