// The other end is written here from the description of Frame Streams, byte by byte.
#include "server/frame_socket.h"

#include <cstring>
#include <optional>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "folder.h"
#include "net/socket.h"

namespace postern::server {
namespace {

using namespace std::string_literals;
using test::Folder;

const std::string kContent = "\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap"s;
const std::string kReadyFrame = "\0\0\0\0\0\0\0\x22\0\0\0\x04"s + kContent;
const std::string kAcceptFrame = "\0\0\0\0\0\0\0\x22\0\0\0\x01"s + kContent;
const std::string kStartFrame = "\0\0\0\0\0\0\0\x22\0\0\0\x02"s + kContent;
const std::string kStopFrame = "\0\0\0\0\0\0\0\x04\0\0\0\x03"s;
const std::string kFinishFrame = "\0\0\0\0\0\0\0\x04\0\0\0\x05"s;

std::string frame(std::string_view data) {
  return std::string{'\0', '\0', static_cast<char>(data.size() >> 8U),
                     static_cast<char>(data.size() & 0xFFU)} +
         std::string(data);
}

class Reader {
 public:
  explicit Reader(const std::string& path)
      : listening_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof(address.sun_path));
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(listening_.get(), 4) == 0);
  }

  void accept() {
    connection_ = net::Fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  /// What has come until now; nothing when the other end has closed.
  std::optional<std::string> read() const {
    char buffer[65536];
    const ssize_t size = ::recv(connection_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    if (size == 0) return std::nullopt;
    return std::string(buffer, size < 0 ? 0 : static_cast<std::size_t>(size));
  }
  void write(std::string_view text) const {
    REQUIRE(::send(connection_.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
  }
  void close() { connection_ = net::Fd(); }
  /// As a reader does: READY was read, START is.
  void begin(FrameSocket* socket, std::uint64_t now_ms) {
    socket->turn(now_ms);
    accept();
    socket->turn(now_ms);
    CHECK(read() == kReadyFrame);
    write(kAcceptFrame);
    socket->turn(now_ms);
    CHECK(read() == kStartFrame);
  }

 private:
  net::Fd listening_, connection_;
};

}  // namespace

TEST_CASE("READY, ACCEPT, START, frames with their length in front, STOP, FINISH") {
  const Folder folder;
  Reader reader(folder.path("tap.sock"));
  FrameSocket socket(folder.path("tap.sock"));
  CHECK_FALSE(socket.is_connected());
  reader.begin(&socket, 1000);
  CHECK(socket.is_connected());
  CHECK(socket.connects() == 1);
  socket.add(frame("abc"));
  socket.add(frame("de"));
  socket.turn(1001);
  CHECK(reader.read() == frame("abc") + frame("de"));
  reader.write(kFinishFrame);  // is there when it is waited for
  socket.end(1000);
  CHECK(reader.read() == kStopFrame);
  CHECK_FALSE(reader.read());
  CHECK(socket.lost() == 0);
}

TEST_CASE("while nobody reads, frames are lost and counted, and the connection is tried again") {
  const Folder folder;
  FrameSocket socket(folder.path("tap.sock"));
  socket.turn(1000);
  socket.add(frame("abc"));
  CHECK(socket.lost() == 1);
  Reader reader(folder.path("tap.sock"));
  socket.turn(1000 + FrameSocket::kRetryMs - 1);
  CHECK(socket.connects() == 0);
  reader.begin(&socket, 1000 + FrameSocket::kRetryMs);
  CHECK(socket.is_connected());
}

TEST_CASE("a reader that restarts is connected to again") {
  const Folder folder;
  Reader reader(folder.path("tap.sock"));
  FrameSocket socket(folder.path("tap.sock"));
  reader.begin(&socket, 1000);
  reader.close();
  socket.add(frame("abc"));
  socket.turn(1001);
  socket.turn(1002);
  CHECK_FALSE(socket.is_connected());
  reader.begin(&socket, 1002 + FrameSocket::kRetryMs);
  socket.add(frame("de"));
  socket.turn(1003 + FrameSocket::kRetryMs);
  CHECK(reader.read() == frame("de"));
  CHECK(socket.connects() == 2);
}

TEST_CASE("a reader that does not read bounds what waits") {
  const Folder folder;
  Reader reader(folder.path("tap.sock"));
  FrameSocket socket(folder.path("tap.sock"));
  reader.begin(&socket, 1000);
  const std::string large = frame(std::string(60'000, 'x'));
  constexpr std::size_t kFrames = 200;  // three times what may wait
  for (std::size_t i = 0; i < kFrames; ++i) {
    socket.add(large);
    socket.turn(1001);
  }
  CHECK(socket.lost() > kFrames / 2);
  CHECK(socket.is_connected());
  // What was not lost comes whole.
  std::size_t bytes = 0;
  for (int idle = 0; idle < 3;) {
    const std::size_t size = reader.read().value_or("").size();
    bytes += size;
    idle = size == 0 ? idle + 1 : 0;
    socket.turn(1002);
  }
  CHECK(bytes == (kFrames - socket.lost()) * large.size());
}

TEST_CASE("what is no reader of dnstap gets no frame") {
  for (const std::string& answer :
       {"HTTP/1.1 400 Bad Request\r\n\r\n"s, kFinishFrame, "\0\0\0\0\xff\xff\xff\xff\0\0\0\x01"s}) {
    CAPTURE(answer);
    const Folder folder;
    Reader reader(folder.path("tap.sock"));
    FrameSocket socket(folder.path("tap.sock"));
    socket.turn(1000);
    reader.accept();
    CHECK(reader.read() == kReadyFrame);
    reader.write(answer);
    socket.turn(1001);
    CHECK_FALSE(socket.is_connected());
    socket.add(frame("abc"));
    CHECK(socket.lost() == 1);
    CHECK_FALSE(reader.read());  // closed
  }
}

}  // namespace postern::server
