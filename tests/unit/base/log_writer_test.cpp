#include "base/log_writer.h"

#include <array>
#include <chrono>
#include <string>
#include <thread>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

namespace postern {
namespace {

using namespace std::chrono_literals;

struct Pipe {
  explicit Pipe(int flags = 0) { REQUIRE(::pipe2(ends.data(), flags) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  std::string read_some() const {
    std::array<char, 65536> buffer;
    const ssize_t got = ::read(ends[0], buffer.data(), buffer.size());
    return {buffer.data(), static_cast<std::size_t>(got > 0 ? got : 0)};
  }
  std::array<int, 2> ends{};
};

std::string no_remarks(std::uint64_t) { return {}; }

std::string number(std::uint64_t dropped) {
  return dropped == 0 ? "" : "lost " + std::to_string(dropped) + "\n";
}

}  // namespace

TEST_CASE("lines are written in order, and the last ones before the end") {
  const Pipe pipe;
  LogWriter writer(pipe.ends[1], no_remarks);
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string line = std::to_string(i) + "\n";
    writer.write(line);
    expected += line;
  }
  CHECK(writer.stop(10s));
  CHECK(pipe.read_some() == expected);
  CHECK(writer.dropped() == 0);
}

TEST_CASE("under load, the lines of 20 ms leave together") {
  const Pipe pipe(O_DIRECT);  // one read for each write, of which there is room for 256
  REQUIRE(::fcntl(pipe.ends[1], F_SETPIPE_SZ, 1 << 20) >= 1 << 20);
  LogWriter writer(pipe.ends[1], no_remarks);
  const auto begun = std::chrono::steady_clock::now();
  constexpr std::size_t kLines = 100;
  for (std::size_t i = 0; i < kLines; ++i) {
    writer.write("line\n");
    std::this_thread::sleep_for(1ms);
  }
  CHECK(writer.stop(10s));
  const auto periods = (std::chrono::steady_clock::now() - begun) / 20ms;
  std::size_t writes = 0;
  std::string text;
  for (; text.size() < kLines * 5; ++writes) text += pipe.read_some();
  CHECK(text.size() == kLines * 5);
  CHECK(static_cast<long>(writes) <= periods + 2);  // the first, and the last
}

TEST_CASE("nobody waits for a reader that has stopped, and what was lost is told") {
  const Pipe pipe;
  LogWriter writer(pipe.ends[1], number);
  const std::string line(1023, 'x');
  const std::size_t lines = LogWriter::kBytesMax / 1024 + 1000;
  for (std::size_t i = 0; i < lines; ++i) writer.write(line + "\n");  // returns, or this test hangs
  CHECK(writer.dropped() > 0);
  const std::uint64_t dropped = writer.dropped();
  CHECK(dropped <= 1000);
  std::string text;
  while (text.find("lost") == std::string::npos) text += pipe.read_some();
  CHECK(text.find("lost " + std::to_string(dropped) + "\n") != std::string::npos);
  CHECK(text.size() >= (lines - dropped) * 1024);
  CHECK(writer.stop(10s));
}

TEST_CASE("a disk that is full is no reason to stop, and is counted") {
  const int full = ::open("/dev/full", O_WRONLY);  // NOLINT(cppcoreguidelines-pro-type-vararg)
  REQUIRE(full >= 0);
  LogWriter writer(full, no_remarks);
  writer.write("one\ntwo\n");
  CHECK(writer.stop(10s));
  CHECK(writer.dropped() == 2);
  ::close(full);
}

}  // namespace postern
