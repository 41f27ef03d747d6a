// The PROXY protocol with HAProxy on both ends: client, HAProxy, relay, HAProxy.
#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include "relay_bench.h"

namespace postern::gateway {
namespace {

using test::endpoint;
using test::RelayBench;
using test::TestSocket;

// A listening socket that HAProxy inherits, so that no port has to be guessed.
struct Inherited {
  TestSocket socket{SOCK_STREAM, "127.0.0.1"};

  Inherited() {
    REQUIRE(listen(socket.fd(), 16) == 0);
    fcntl(socket.fd(), F_SETFD, 0);
  }
  int fd() const { return socket.fd(); }
};

class Haproxy {
 public:
  explicit Haproxy(const std::string& config) {
    std::ofstream(file()) << config;
    const std::string path = file();
    const std::array<const char*, 5> arguments{"haproxy", "-db", "-f", path.c_str(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const std::string log = folder_ + "/log";
    posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT, 0600);
    const int status = posix_spawnp(&pid_, "haproxy", &actions, nullptr,
                                    const_cast<char* const*>(arguments.data()), environ);
    posix_spawn_file_actions_destroy(&actions);
    REQUIRE_MESSAGE(status == 0, "haproxy cannot be started; is it installed?");
  }
  ~Haproxy() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    std::filesystem::remove_all(folder_);
  }
  Haproxy(const Haproxy&) = delete;
  Haproxy& operator=(const Haproxy&) = delete;

  std::string log() const {
    std::ifstream in(folder_ + "/log");
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  static std::string make_folder() {
    char path[] = "/tmp/postern-unit-XXXXXX";
    return mkdtemp(path);
  }
  std::string file() const { return folder_ + "/haproxy.cfg"; }

  std::string folder_ = make_folder();
  pid_t pid_ = -1;
};

}  // namespace

TEST_CASE("HAProxy and the relay understand each other's PROXY headers") {
  RelayBench bench;
  const Inherited front, back;
  bench.listener_settings().proxy_protocol = true;
  bench.listener_settings().forwarded.trusted_proxies = {Network::parse("127.0.0.0/8").value()};
  bench.add_backend("127.0.0.1", back.socket.local().port);
  bench.start();
  const Haproxy haproxy(
      fmt::format("defaults\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
                  "listen front\n  mode tcp\n  bind fd@{}\n  server relay {} send-proxy-v2\n"
                  "frontend back\n  mode http\n  bind fd@{} accept-proxy\n"
                  "  http-request return status 200 content-type text/plain lf-string "
                  "\"from %ci:%cp to %fi:%fp\"\n",
                  front.fd(), bench.listener->local().to_string(), back.fd()));
  TestSocket client(SOCK_STREAM, "127.0.2.9");
  client.connect_to(front.socket.local());
  client.send_all("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string text =
      fmt::format("from {} to {}", client.local().to_string(), front.socket.local().to_string());
  std::string got;
  CHECK(bench.wait_for(
      [&] {
        got += test::receive_now(client).bytes;
        return got.find(text) != std::string::npos;
      },
      10'000));
  INFO(got << haproxy.log());
  const Endpoint address = client.local();
  client.close_now();
  REQUIRE(bench.wait_for_log(1));
  CHECK(bench.clients.at(0) == address);
}

}  // namespace postern::gateway
