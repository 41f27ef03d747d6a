// A client connection under test with owners that write down what they are told.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "h2_peer.h"
#include "http/h2_client.h"

namespace postern::test {

struct Exchange final : http::h2::ClientStream {
  ResponseHead text;
  int interims = 0;
  int responses = 0;
  int ends = 0;
  int drains = 0;
  int closes = 0;
  unsigned status = 0;
  std::uint32_t error = 0;
  bool unprocessed = false;
  int returns = 0;
  std::string returned_body;
  BodyLength length;
  Lines fields;
  std::string content;
  Lines trailers;
  std::function<void()> on_drained;
  std::function<void(Bytes)> on_body;

  ResponseHead& head() override { return text; }
  void interim() override {
    ++interims;
    take_head();
  }
  void response(BodyLength body) override {
    ++responses;
    length = body;
    take_head();
  }
  void body(Bytes chunk) override {
    content.append(as_text(chunk));
    if (on_body) on_body(chunk);
  }
  void body_end(const Fields& sent) override {
    ++ends;
    trailers = lines_of(sent);
  }
  void drained() override {
    ++drains;
    if (on_drained) on_drained();
  }
  void returned(Bytes all) override {
    ++returns;
    returned_body = as_text(all);
  }
  void closed(std::uint32_t code, bool never_seen) override {
    ++closes;
    error = code;
    unprocessed = never_seen;
  }

 private:
  void take_head() {
    status = text.status;
    fields = lines_of(text.fields);
  }
};

/// REQUIRES: the texts last as long as the head
inline RequestHead request_head(std::string_view method, std::string_view path) {
  RequestHead head;
  head.method = method;
  head.scheme = "https";
  head.authority = "a.example";
  head.path = path;
  return head;
}

class TestClient {
 public:
  explicit TestClient(const http::h2::Settings& settings = {})
      : connection(http::h2::ClientConnection::make(settings)) {}

  bool give(std::string_view bytes) { return connection->receive(as_bytes(bytes), now_ms); }
  std::string take_bytes(std::size_t room = 16393) {
    std::string bytes;
    std::vector<std::uint8_t> out(room);
    while (const std::size_t size = connection->collect(out)) {
      bytes.append(as_text(Bytes(out).first(size)));
    }
    return bytes;
  }
  std::vector<Frame> take() { return reader.read(as_bytes(take_bytes())); }
  /// SETTINGS of a server; what the client has to say first is taken.
  void greet(std::string_view server_settings = {}) {
    take_bytes();
    give(test::settings(server_settings) + frame(kSettings, kAck, 0));
    take();
  }
  /// A request without a body, on its way.
  void start(Exchange* exchange, std::string_view method = "GET") {
    connection->request(request_head(method, "/"), {}, *exchange);
    take();
  }

  std::uint64_t now_ms = 1000;
  FrameReader reader;
  std::unique_ptr<http::h2::ClientConnection> connection;
};

}  // namespace postern::test
