#include "gateway/relay_flow.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "../sockets.h"

namespace postern::gateway {
namespace {

using State = RelayFlow::State;

// Two connected sockets that never block.
struct Pair {
  net::Fd near, far;

  Pair() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    near = net::Fd(ends[0]);
    far = net::Fd(ends[1]);
  }
};

// Bytes go from `from.far` to `to.far`.
struct Bench {
  Pair from, to;
  std::vector<std::uint8_t> scratch = std::vector<std::uint8_t>(64U << 10);
  PipePool pipes;
  RelayFlow flow;

  Bench() { std::signal(SIGPIPE, SIG_IGN); }
  State pump() { return flow.pump(from.near.get(), to.near.get(), {scratch, pipes}); }
  std::size_t send(std::string_view bytes) const {
    const ssize_t n = ::send(from.far.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return n < 0 ? 0 : static_cast<std::size_t>(n);
  }
  std::string receive() const {
    std::string all;
    std::array<char, 65536> buffer;
    for (;;) {
      const ssize_t n = recv(to.far.get(), buffer.data(), buffer.size(), 0);
      if (n <= 0) return all;
      all.append(buffer.data(), static_cast<std::size_t>(n));
    }
  }
};

std::string pattern(std::size_t size, std::size_t phase) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i + phase) * 31 % 251);
  return bytes;
}

// Sends as much as goes in, pumps and receives, until `size` bytes have come out.
std::string move_all(Bench& bench, const std::string& bytes) {
  std::size_t sent = 0;
  std::string got;
  for (int round = 0; round < 10'000 && got.size() < bytes.size(); ++round) {
    sent += bench.send(std::string_view(bytes).substr(sent));
    bench.pump();
    got += bench.receive();
  }
  return got;
}

}  // namespace

TEST_CASE("a small message goes through without a pipe") {
  Bench bench;
  CHECK(bench.pump() == State::kOpen);
  bench.send("hello");
  CHECK(bench.pump() == State::kOpen);
  CHECK(bench.receive() == "hello");
  CHECK(bench.flow.bytes() == 5);
}

TEST_CASE("bulk data and small messages keep their order") {
  Bench bench;
  for (const std::size_t size : {3'000'000U, 5U, 70'000U, 1U, 65'536U, 900'000U, 16'000U}) {
    const std::string bytes = pattern(size, size);
    CHECK(move_all(bench, bytes) == bytes);
    CHECK(bench.flow.kept() == 0);
  }
}

TEST_CASE("a sink that takes nothing stops the flow; no more than a pipe is kept") {
  Bench bench;
  std::string sent;
  int blocked = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string piece = pattern(100'000, sent.size());
    sent += piece.substr(0, bench.send(piece));
    blocked += bench.pump() == State::kBlocked ? 1 : 0;
    CHECK(bench.flow.kept() <= PipePool::kPipeBytes);
  }
  CHECK(blocked > 100);
  CHECK(bench.flow.kept() > 0);
  std::string got;
  for (int i = 0; i < 200 && got.size() < sent.size(); ++i) {
    got += bench.receive();
    bench.pump();
  }
  CHECK(got == sent);
  CHECK(bench.flow.state() == State::kOpen);
}

TEST_CASE("the end of the source comes after its last byte") {
  Bench bench;
  std::string sent;
  while (bench.flow.kept() == 0) {
    const std::string piece = pattern(50'000, sent.size());
    sent += piece.substr(0, bench.send(piece));
    bench.pump();
  }
  shutdown(bench.from.far.get(), SHUT_WR);
  CHECK(bench.pump() == State::kBlocked);
  std::string got;
  for (int i = 0; i < 200 && bench.flow.state() != State::kEnded; ++i) {
    got += bench.receive();
    bench.pump();
  }
  got += bench.receive();
  CHECK(got == sent);
  char byte = 0;
  CHECK(recv(bench.to.far.get(), &byte, 1, 0) == 0);
  CHECK(bench.pump() == State::kEnded);
}

TEST_CASE("a sink that is gone breaks the flow, copied or spliced") {
  Bench small;
  small.to.far.reset();
  small.send("x");
  CHECK(small.pump() == State::kSinkBroken);
  Bench bulk;
  const std::string bytes = pattern(1'000'000, 0);
  CHECK(move_all(bulk, bytes) == bytes);
  bulk.send(bytes);
  bulk.to.far.reset();
  CHECK(bulk.pump() == State::kSinkBroken);
}

TEST_CASE("without descriptors for a pipe everything is copied") {
  Bench bench;
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  none.rlim_cur = 0;
  setrlimit(RLIMIT_NOFILE, &none);
  const std::string bytes = pattern(2'000'000, 7);
  const std::string got = move_all(bench, bytes);
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(got == bytes);
}

TEST_CASE("descriptors that are for others are not made pipes of") {
  PipePool pipes;
  const Pipe pipe = pipes.take();
  REQUIRE(pipe);
  pipes.stay_below(std::max(pipe.read.get(), pipe.write.get()) + 1);
  CHECK_FALSE(pipes.take());
  pipes.stay_below(1000);
  CHECK(pipes.take());
}

}  // namespace postern::gateway
