// A server connection under test with owners that write down what they are told.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "h2_frames.h"
#include "http/h2_server.h"

namespace postern::test {

using http::BodyLength;
using http::Fields;
using http::RequestHead;
using http::ResponseHead;

inline Lines lines_of(const Fields& fields) {
  Lines lines;
  for (const http::Field& field : fields) lines.emplace_back(field.name, field.value);
  return lines;
}

struct Request final : http::h2::ServerStream {
  RequestHead text;
  int requests = 0;
  int too_large = 0, too_many = 0;
  int ends = 0;
  int drains = 0;
  int closes = 0;
  std::uint32_t error = 0;
  BodyLength length;
  std::string content;
  Lines trailers;
  std::function<void()> on_request, on_drained, on_body;

  RequestHead& head() override { return text; }
  void request(BodyLength body) override {
    ++requests;
    length = body;
    if (on_request) on_request();
  }
  void head_too_large(bool fields) override { ++(fields ? too_many : too_large); }
  void body(Bytes chunk) override {
    content.append(as_text(chunk));
    if (on_body) on_body();
  }
  void body_end(const Fields& fields) override {
    ++ends;
    trailers = lines_of(fields);
  }
  void drained() override {
    ++drains;
    if (on_drained) on_drained();
  }
  void closed(std::uint32_t code) override {
    ++closes;
    error = code;
  }
};

class TestServer final : public http::h2::ServerEvents {
 public:
  explicit TestServer(const http::h2::Settings& settings = {})
      : connection(http::h2::ServerConnection::make(settings, *this)) {}

  http::h2::ServerStream* opened(std::int32_t stream) override {
    if (refuses) return nullptr;
    auto& made = requests[stream];
    made = std::make_unique<Request>();
    if (on_opened) on_opened(stream, *made);
    return made.get();
  }

  bool give(std::string_view bytes) { return connection->receive(as_bytes(bytes), now_ms); }
  /// The preface and empty SETTINGS; what comes back is taken.
  void greet(std::string_view client_settings = {}) {
    give(std::string(kPreface) + test::settings(client_settings));
    give(frame(kSettings, kAck, 0));
    take();
  }
  std::vector<Frame> take(std::size_t room = 16393) {
    std::vector<Frame> frames;
    std::vector<std::uint8_t> out(room);
    while (const std::size_t size = connection->collect(out)) {
      for (Frame& frame : reader.read(Bytes(out).first(size))) frames.push_back(std::move(frame));
    }
    return frames;
  }
  Request& at(std::int32_t stream) { return *requests.at(stream); }
  int closes() const {
    int sum = 0;
    for (const auto& [id, request] : requests) sum += request->closes;
    return sum;
  }
  /// A response with a body that is complete.
  void answer(std::int32_t stream, std::string_view content, std::uint16_t status = 200) {
    ResponseHead head;
    head.status = status;
    connection->respond(stream, head, {BodyLength::Kind::kKnown, content.size()});
    connection->body(stream, as_bytes(content));
    connection->body_end(stream, {});
  }

  std::uint64_t now_ms = 1000;
  bool refuses = false;
  std::map<std::int32_t, std::unique_ptr<Request>> requests;
  std::function<void(std::int32_t, Request&)> on_opened;
  FrameReader reader;
  std::unique_ptr<http::h2::ServerConnection> connection;
};

/// The frames of one type, of one stream if given.
inline std::vector<Frame> of_type(const std::vector<Frame>& frames, std::uint8_t type,
                                  std::int32_t stream = -1) {
  std::vector<Frame> found;
  for (const Frame& frame : frames) {
    if (frame.type == type && (stream < 0 || frame.stream == stream)) found.push_back(frame);
  }
  return found;
}

}  // namespace postern::test
