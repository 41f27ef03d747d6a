// The other end of the TLS tests: certificates made by the openssl command, and peers that run as
// processes of their own (Python's ssl module, openssl s_server).
#pragma once

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "../sockets.h"
#include "net/stream.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace postern::test {

/// A process whose output is read by the loop's turns; killed when it goes out of scope.
class Child {
 public:
  explicit Child(std::vector<std::string> arguments) {
    std::array<int, 2> pipe_ends{};
    REQUIRE(pipe2(pipe_ends.data(), O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 1);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 2);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    REQUIRE(posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_ends[1]);
    output_ = pipe_ends[0];
    fcntl(output_, F_SETFL, O_NONBLOCK);
  }
  ~Child() {
    close(output_);
    if (status_) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// All that it has said so far.
  const std::string& said() {
    std::array<char, 4096> buffer{};
    ssize_t size = 0;
    while ((size = read(output_, buffer.data(), buffer.size())) > 0) {
      said_.append(buffer.data(), static_cast<std::size_t>(size));
    }
    return said_;
  }
  bool has_said(std::string_view text) { return said().find(text) != std::string::npos; }
  bool has_exited() {
    int status = 0;
    if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
    if (status_) said();
    return status_.has_value();
  }
  /// As wait() has it; REQUIRES: has_exited().
  int exit_status() const { return status_.value(); }

 private:
  pid_t pid_ = 0;
  int output_ = -1;
  std::optional<int> status_;
  std::string said_;
};

/// A folder with certificates of an authority of its own, made once for the whole process.
class Certificates {
 public:
  static const Certificates& get() {
    static const Certificates certificates;
    return certificates;
  }
  ~Certificates() { std::filesystem::remove_all(folder_); }
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string ca() const { return path("ca.pem"); }
  /// one, wild, address: names in make().
  Result<std::shared_ptr<const net::TlsIdentity>> load(const std::string& name) const {
    return net::TlsIdentity::load(path(name + ".pem"), path(name + ".key"));
  }
  std::shared_ptr<const net::TlsIdentity> identity(const std::string& name) const {
    auto identity = load(name);
    if (!identity) FAIL(identity.error().detail);
    return *identity;
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void run(const std::string& commands) const {
    const std::string all = "set -e; cd " + folder_ + "; exec >log 2>&1; " + commands;
    Child child({"/bin/sh", "-c", all});
    while (!child.has_exited()) usleep(1000);
    if (child.exit_status() != 0) FAIL(read("log"));
  }

 private:
  Certificates() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tls-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    run("ec='ec -pkeyopt ec_paramgen_curve:P-256';"
        "openssl req -x509 -newkey $ec -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 30 "
        "-addext basicConstraints=critical,CA:TRUE;"
        "leaf() { openssl req -x509 -newkey $ec -nodes -keyout $1.key -out $1.pem -subj /CN=$1 "
        "-days 30 -addext subjectAltName=$2 -addext basicConstraints=critical,CA:FALSE "
        "-CA ca.pem -CAkey ca.key; };"
        "leaf one DNS:One.test,DNS:uno.test;"
        "leaf wild DNS:*.wild.test,DNS:*.one.test;"
        "leaf exact DNS:a.wild.test;"
        "leaf address IP:127.0.0.1,IP:2001:db8::1,DNS:address.test");
  }

  std::string folder_;
};

/// What a stream told.
struct TlsReader : net::StreamReader {
  std::string heard;
  int connections = 0, chunks = 0, ends = 0, drains = 0;
  std::size_t chunk_bytes_max = 0;
  std::optional<Error> error;
  std::function<void()> after_each = [] {};

  void connected() override {
    ++connections;
    after_each();
  }
  void received(Bytes chunk) override {
    ++chunks;
    chunk_bytes_max = std::max(chunk_bytes_max, chunk.size());
    heard += text_of(chunk);
    after_each();
  }
  void ended() override {
    ++ends;
    after_each();
  }
  void drained() override {
    ++drains;
    after_each();
  }
  void failed(const Error& e) override {
    error = e;
    after_each();
  }
};

/// What every Python peer begins with: arguments are the port and the authority's file.
inline constexpr std::string_view kPythonStart = R"(
import hashlib, os, select, socket, ssl, sys, time
port, ca = int(sys.argv[1]), sys.argv[2]
def context(version=None):
    c = ssl.create_default_context(cafile=ca)
    if version: c.minimum_version = c.maximum_version = version
    return c
def tcp():
    return socket.create_connection(('127.0.0.1', port))
def connect(name='one.test', c=None, session=None):
    return (c or context()).wrap_socket(tcp(), server_hostname=name, session=session)
)";

/// Accepts connections on loopback, one after the other; `stream` is the newest.
struct TlsLab {
  explicit TlsLab(const std::vector<std::string>& names = {"one"},
                  const std::vector<std::string>& alpn = {}, net::TlsSettings with = {})
      : settings(with), tickets(net::TlsTickets::make()) {
    serve(names, alpn);
    listener = net::TcpListener::open(
                   loop, net::listen_tcp(endpoint("127.0.0.1")).value(),
                   [this](net::Fd fd, const Endpoint& peer) { accept(std::move(fd), peer); })
                   .value();
  }

  void serve(const std::vector<std::string>& names, const std::vector<std::string>& alpn = {}) {
    net::TlsServerSettings wanted{.identities = {}, .alpn = alpn};
    for (const std::string& name : names) {
      wanted.identities.push_back(Certificates::get().identity(name));
    }
    server = net::TlsServer::make(wanted, tickets).value();
  }
  void accept(net::Fd fd, const Endpoint& peer) {
    ++accepted;
    stream = net::TlsStream::accepted(loop, std::move(fd), peer, reader, server, settings).value();
    after_accept();
  }
  std::unique_ptr<Child> python(std::string_view program) {
    const std::string port = std::to_string(listener->local().port);
    return std::make_unique<Child>(std::vector<std::string>{
        "/usr/bin/python3", "-c", std::string(kPythonStart) + std::string(program), port,
        Certificates::get().ca()});
  }
  std::unique_ptr<Child> s_client(const std::string& options) {
    return std::make_unique<Child>(std::vector<std::string>{
        "/bin/sh", "-c",
        "openssl s_client -brief -connect 127.0.0.1:" + std::to_string(listener->local().port) +
            " " + options});
  }
  std::string run_s_client(const std::string& options) {
    const auto child = s_client(options);
    CHECK(until([&] { return child->has_exited(); }));
    return child->said();
  }
  /// Until the peer is done; returns what it printed.
  std::string run_python(std::string_view program) {
    const auto child = python(program);
    CHECK(run_until(
        loop, [&] { return child->has_exited(); }, 10'000));
    return child->said();
  }
  bool until(const std::function<bool()>& done, std::uint64_t limit_ms = 10'000) {
    return run_until(loop, done, limit_ms);
  }

  net::TlsSettings settings;
  std::shared_ptr<net::TlsTickets> tickets;
  std::shared_ptr<const net::TlsServer> server;
  net::Loop loop;
  TlsReader reader;
  int accepted = 0;
  std::function<void()> after_accept = [] {};
  std::unique_ptr<net::TlsStream> stream;
  std::unique_ptr<net::TcpListener> listener;
};

}  // namespace postern::test
