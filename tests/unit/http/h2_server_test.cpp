#include "http/h2_server.h"

#include <doctest/doctest.h>

#include <string>

#include "h2_peer.h"

namespace postern::test {
namespace {

using Kind = BodyLength::Kind;

TEST_CASE("a server begins with SETTINGS and a larger window") {
  TestServer server;
  server.give(std::string(kPreface) + settings());
  const auto frames = server.take();
  REQUIRE(frames.size() == 3);
  CHECK(frames[0].type == kSettings);
  CHECK(frames[0].payload ==
        setting(3, 128) + setting(4, 65536) + setting(6, 65536) + setting(9, 1) + setting(8, 1));
  CHECK(frames[1].type == kSettings);
  CHECK(frames[1].flags == kAck);
  CHECK(frames[2].type == kWindowUpdate);
  CHECK(frames[2].stream == 0);
  CHECK(frames[2].word() == (1U << 20) - 65535);
}

TEST_CASE("a request and its response") {
  TestServer server;
  server.greet();
  CHECK(
      server.give(headers(1, get("/a?b=c", {{"accept", "*/*"}, {"te", "trailers"}}), kEndStream)));
  Request& request = server.at(1);
  CHECK(request.requests == 1);
  CHECK(request.length.kind == Kind::kNone);
  CHECK(request.text.method == "GET");
  CHECK(request.text.scheme == "https");
  CHECK(request.text.path == "/a?b=c");
  CHECK(request.text.authority == "a.example");
  CHECK(request.text.protocol.empty());
  CHECK(lines_of(request.text.fields) == Lines{{"accept", "*/*"}, {"te", "trailers"}});
  CHECK(server.connection->streams() == 1);

  ResponseHead head;
  head.status = 200;
  head.fields.add("Content-Type", "text/plain");
  head.fields.add("connection", "close");
  server.connection->respond(1, head, {Kind::kKnown, 5});
  server.connection->body(1, as_bytes("hello"));
  server.connection->body_end(1, {});
  CHECK(server.connection->unsent(1) == 5);
  CHECK(server.connection->wants_write());
  const auto frames = server.take();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].lines ==
        Lines{{":status", "200"}, {"content-length", "5"}, {"content-type", "text/plain"}});
  CHECK(!frames[0].ends_stream());
  CHECK(frames[1].type == kData);
  CHECK(frames[1].ends_stream());
  CHECK(frames[1].payload == "hello");
  CHECK(request.closes == 1);
  CHECK(request.error == 0);
  CHECK(server.connection->streams() == 0);
  CHECK(!server.connection->wants_write());
  CHECK(!server.connection->finished());
}

TEST_CASE("RFC 7541 appendix C.4: requests in Huffman code and with the dynamic table") {
  TestServer server;
  server.greet();
  server.give(frame(kHeaders, kEndHeaders | kEndStream, 1,
                    "\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"));
  server.give(frame(kHeaders, kEndHeaders | kEndStream, 3,
                    "\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf"));
  server.give(frame(kHeaders, kEndHeaders | kEndStream, 5,
                    "\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9"
                    "\x5b\xb8\xe8\xb4\xbf"));
  for (const std::int32_t id : {1, 3, 5}) {
    REQUIRE(server.at(id).requests == 1);
    CHECK(server.at(id).text.authority == "www.example.com");
    CHECK(server.at(id).text.method == "GET");
  }
  CHECK(server.at(1).text.fields.size() == 0);
  CHECK(lines_of(server.at(3).text.fields) == Lines{{"cache-control", "no-cache"}});
  CHECK(server.at(5).text.scheme == "https");
  CHECK(server.at(5).text.path == "/index.html");
  CHECK(lines_of(server.at(5).text.fields) == Lines{{"custom-key", "custom-value"}});
}

TEST_CASE("input may come byte by byte, output leave in small buffers") {
  TestServer server;
  const std::string input =
      std::string(kPreface) + settings() + headers(1, post()) + data(1, "abc", kEndStream);
  for (const char c : input) CHECK(server.give(std::string_view(&c, 1)));
  CHECK(server.at(1).content == "abc");
  CHECK(server.at(1).ends == 1);
  server.answer(1, std::string(40000, 'x'));
  std::string body;
  for (const Frame& frame : server.take(16393)) {
    if (frame.type == kData) body += frame.payload;
  }
  CHECK(body == std::string(40000, 'x'));
}

TEST_CASE("a frame that has to wait is not touched by the output of another connection") {
  TestServer one;
  TestServer other;
  for (TestServer* const server : {&one, &other}) {
    server->greet();
    server->give(headers(1, get(), kEndStream));
    ResponseHead head;
    head.status = 200;
    const std::string value(9'000, server == &one ? '{' : '|');  // not shorter in Huffman code
    head.fields.add("value", value);
    server->connection->respond(1, head, {});
  }
  std::vector<std::uint8_t> bytes(16393);
  const MutableBytes room(bytes);
  CHECK(one.connection->collect(room.first(100)) == 100);
  CHECK(of_type(other.take(), kHeaders, 1).size() == 1);
  const std::size_t size = 100 + one.connection->collect(room.subspan(100));
  FrameReader reader;
  const auto frames = reader.read(Bytes(room.first(size)));
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].lines == Lines{{":status", "200"}, {"value", std::string(9'000, '{')}});
}

TEST_CASE("cookies of several lines are one") {
  TestServer server;
  server.greet();
  server.give(headers(1, get("/", {{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}}), kEndStream));
  CHECK(lines_of(server.at(1).text.fields) == Lines{{"x", "y"}, {"cookie", "a=1; b=2"}});
}

TEST_CASE("a body: length, content, trailers without those that are forbidden") {
  TestServer server;
  server.greet();
  server.give(headers(1, post({{"content-length", "6"}})) + data(1, "abc") + data(1, "def"));
  Request& request = server.at(1);
  CHECK(request.length.kind == Kind::kKnown);
  CHECK(request.length.bytes == 6);
  CHECK(request.text.fields.size() == 0);
  CHECK(request.content == "abcdef");
  CHECK(request.ends == 0);
  server.give(headers(1, {{"x-sum", "1"}, {"content-type", "a/b"}}, kEndStream));
  CHECK(request.ends == 1);
  CHECK(request.trailers == Lines{{"x-sum", "1"}});
}

TEST_CASE("windows are opened by what was consumed, not before") {
  http::h2::Settings small;
  small.stream_window_bytes = 1000;
  TestServer server(small);
  server.greet();
  server.give(headers(1, post()) + data(1, std::string(1000, 'x')));
  CHECK(server.take().empty());
  server.connection->consumed(1, 400);
  CHECK(server.take().empty());
  server.connection->consumed(1, 200);
  const auto frames = server.take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].type == kWindowUpdate);
  CHECK(frames[0].stream == 1);
  CHECK(frames[0].word() == 600);
  // One more byte than the window has.
  CHECK(server.give(data(1, std::string(601, 'x'))));
  const auto after = server.take();
  REQUIRE(of_type(after, kRstStream, 1).size() == 1);
  CHECK(of_type(after, kRstStream, 1)[0].word() == 3);  // FLOW_CONTROL_ERROR
}

TEST_CASE("the window of a large body that is passed on grows, to a quarter of the connection's") {
  http::h2::Settings settings;
  settings.stream_window_bytes = 16384;
  settings.connection_window_bytes = 8 * 16384;
  TestServer server(settings);
  server.greet();
  server.give(headers(1, post()) + headers(3, post()));
  std::size_t opened = 0;
  for (int i = 0; i < 20; ++i) {
    server.give(data(1, std::string(8192, 'x')));
    server.connection->consumed(1, 8192);
    for (const Frame& frame : of_type(server.take(), kWindowUpdate, 1)) opened += frame.word();
  }
  CHECK(opened == 20 * 8192 + 16384);
  // One that is not passed on does not.
  server.give(data(3, std::string(16384, 'x')));
  server.connection->consumed(3, 4096);
  CHECK(of_type(server.take(), kWindowUpdate, 3).empty());
}

TEST_CASE("a closed stream gives its part of the connection's window back") {
  http::h2::Settings small;
  small.connection_window_bytes = 65535;
  TestServer server(small);
  server.greet();
  server.give(headers(1, post()) + data(1, std::string(16384, 'x')) +
              data(1, std::string(16384, 'x')) + rst_stream(1, 8));
  CHECK(server.at(1).closes == 1);
  CHECK(server.at(1).error == 8);
  server.connection->consumed(1, 100);
  const auto frames = server.take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].type == kWindowUpdate);
  CHECK(frames[0].stream == 0);
  CHECK(frames[0].word() == 32768);
}

TEST_CASE("a body that comes later, drained, trailers") {
  TestServer server;
  server.greet();
  server.give(headers(1, get(), kEndStream));
  ResponseHead head;
  head.status = 200;
  server.connection->respond(1, head, {Kind::kUnknown, 0});
  auto frames = server.take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].lines == Lines{{":status", "200"}});
  CHECK(server.at(1).drains == 0);
  server.connection->body(1, as_bytes("one"));
  frames = server.take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].payload == "one");
  CHECK(!frames[0].ends_stream());
  CHECK(server.at(1).drains == 1);
  CHECK(server.connection->unsent(1) == 0);
  Fields trailers;
  trailers.add("X-Sum", "7");
  trailers.add("Content-Length", "3");
  server.connection->body(1, as_bytes("two"));
  server.connection->body_end(1, trailers);
  frames = server.take();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].payload == "two");
  CHECK(!frames[0].ends_stream());
  CHECK(frames[1].type == kHeaders);
  CHECK(frames[1].ends_stream());
  CHECK(frames[1].lines == Lines{{"x-sum", "7"}});
  CHECK(server.at(1).closes == 1);
}

TEST_CASE("a lent chunk is collected from where it is, and the rest of it is kept") {
  for (const std::size_t window : {1U << 20, 20'000U}) {
    CAPTURE(window);
    TestServer server;
    server.greet(setting(4, static_cast<std::uint32_t>(window)));
    server.give(headers(1, get(), kEndStream));
    ResponseHead head;
    head.status = 200;
    server.connection->respond(1, head, {Kind::kUnknown, 0});
    server.connection->body(1, as_bytes("begins; "));
    std::string lent = std::string(49'152, 'x') + "the rest";
    const std::string whole = "begins; " + lent;
    server.connection->lend(1, as_bytes(lent));
    CHECK(server.connection->unsent(1) == whole.size());
    std::string body;
    const auto take = [&] {
      for (const Frame& frame : of_type(server.take(), kData)) body += frame.payload;
    };
    take();
    CHECK(body == whole.substr(0, window < whole.size() ? window : body.size()));
    // A frame of a few bytes waits for what follows it.
    CHECK(whole.size() - body.size() > 0);
    CHECK(server.at(1).drains == 0);
    CHECK(server.connection->unsent(1) == whole.size() - body.size());
    server.connection->keep(1);
    lent.assign(lent.size(), '!');
    CHECK(server.connection->unsent(1) == whole.size() - body.size());
    server.give(window_update(1, 1 << 20));
    take();
    CHECK(body == whole);
    CHECK(server.at(1).drains == 1);
    server.connection->keep(1);  // nothing any more
    CHECK(server.connection->unsent(1) == 0);
  }
}

TEST_CASE("a lent chunk that all leaves is drained; one of a stream that is reset is forgotten") {
  TestServer server;
  server.greet(setting(4, 1 << 20));
  server.give(headers(1, get(), kEndStream) + headers(3, get(), kEndStream));
  ResponseHead head;
  head.status = 200;
  const std::string lent(20'000, 'x');
  for (const std::int32_t id : {1, 3}) server.connection->respond(id, head, {Kind::kUnknown, 0});
  server.connection->lend(1, as_bytes(lent));
  CHECK(of_type(server.take(), kData, 1).size() == 2);
  CHECK(server.at(1).drains == 1);
  CHECK(server.connection->unsent(1) == 0);
  server.connection->keep(1);
  server.connection->lend(3, as_bytes(lent));
  server.give(frame(kRstStream, 0, 3, std::string("\0\0\0\x08", 4)));
  server.connection->keep(3);
  CHECK(server.connection->unsent(3) == 0);
  CHECK(of_type(server.take(), kData, 3).empty());
  server.connection->lend(1, as_bytes(lent));
  server.connection->reset(1, 2);
  CHECK(server.connection->unsent(1) == 0);
  server.connection->keep(1);
  server.connection->lend(1, as_bytes(lent));  // over
  CHECK(of_type(server.take(), kData, 1).empty());
}

TEST_CASE("a peer's window holds a body back") {
  TestServer server;
  server.greet(setting(4, 10));  // INITIAL_WINDOW_SIZE
  server.give(headers(1, get(), kEndStream));
  server.answer(1, "0123456789abcdef");
  auto frames = server.take();
  REQUIRE(frames.size() == 2);
  CHECK(frames[1].payload == "0123456789");
  CHECK(server.connection->unsent(1) == 6);
  server.give(window_update(1, 100));
  frames = server.take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].payload == "abcdef");
  CHECK(frames[0].ends_stream());
}

TEST_CASE("heads that say there is no body end their stream") {
  TestServer server;
  server.greet();
  Lines head_request = get();
  head_request[0].second = "HEAD";
  server.give(headers(1, head_request, kEndStream) + headers(3, get(), kEndStream) +
              headers(5, get(), kEndStream));
  ResponseHead head;
  head.status = 200;
  head.fields.add("Content-Length", "77");
  server.connection->respond(1, head, {});
  head.fields.clear();
  head.status = 204;
  server.connection->respond(3, head, {});
  const auto frames = server.take();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].lines == Lines{{":status", "200"}, {"content-length", "77"}});
  CHECK(frames[1].lines == Lines{{":status", "204"}});
  for (const Frame& frame : frames) CHECK(frame.ends_stream());
  CHECK(server.closes() == 2);
}

TEST_CASE("a response of no bytes needs no window") {
  TestServer server;
  server.greet(setting(4, 0));  // INITIAL_WINDOW_SIZE
  server.give(headers(1, get(), kEndStream));
  ResponseHead head;
  head.status = 200;
  server.connection->respond(1, head, {Kind::kKnown, 0});
  server.connection->body_end(1, {});
  const auto frames = server.take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].lines == Lines{{":status", "200"}, {"content-length", "0"}});
  CHECK(frames[0].ends_stream());
  CHECK(server.closes() == 1);
}

TEST_CASE("interim responses come before the final one") {
  TestServer server;
  server.greet();
  server.give(headers(1, post({{"expect", "100-continue"}})));
  CHECK(server.at(1).text.fields.value("expect") == "100-continue");
  ResponseHead interim;
  interim.status = 100;
  server.connection->interim(1, interim);
  const auto frames = server.take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].lines == Lines{{":status", "100"}});
  CHECK(!frames[0].ends_stream());
  for (int i = 0; i < 200; ++i) server.connection->interim(1, interim);
  CHECK(server.take().size() == 200);
  // For a client that does not read, no more are kept than 64 KiB of memory hold.
  for (int i = 0; i < 1000; ++i) server.connection->interim(1, interim);
  CHECK(server.take().size() < 256);
  const std::string link(5000, 'x');
  interim.fields.add("link", link);
  for (int i = 0; i < 1000; ++i) server.connection->interim(1, interim);
  CHECK(server.take().size() < 16);
}

TEST_CASE("malformed requests reset their stream only") {
  const auto error_of = [](const Lines& lines) -> std::uint32_t {
    TestServer server;
    server.greet();
    CHECK(server.give(headers(1, lines, kEndStream)));
    const auto resets = of_type(server.take(), kRstStream, 1);
    const Request* const request = server.requests.count(1) != 0 ? &server.at(1) : nullptr;
    if (request != nullptr && request->requests == 1) return 0;
    CHECK((request == nullptr || request->closes == 1));
    CHECK(server.give(headers(3, get(), kEndStream)));
    CHECK(server.at(3).requests == 1);
    return resets.size() == 1 ? resets[0].word() : 99;
  };
  const auto without = [](std::string_view name) {
    Lines lines = get();
    std::erase_if(lines, [&](const auto& line) { return line.first == name; });
    return lines;
  };
  const auto with = [](std::size_t at, std::string_view value) {
    Lines lines = get();
    lines[at].second = value;
    return lines;
  };
  CHECK(error_of(get()) == 0);
  CHECK(error_of(without(":method")) == 1);
  CHECK(error_of(without(":path")) == 1);
  CHECK(error_of(without(":scheme")) == 1);
  CHECK(error_of(without(":authority")) == 1);
  CHECK(error_of(with(2, "")) == 1);
  CHECK(error_of(with(2, "a")) == 1);
  CHECK(error_of(with(2, "*")) == 1);
  CHECK(error_of(with(2, "/a#b")) == 1);
  CHECK(error_of(with(2, "/\xc3\xa4")) == 1);
  CHECK(error_of(with(1, "ftp")) == 1);
  CHECK(error_of(with(0, "GE T")) == 1);
  CHECK(error_of(with(3, "user@a.example")) == 1);
  CHECK(error_of(with(3, "a.example:99999")) == 1);
  CHECK(error_of(get("/", {{"host", "b.example"}})) == 1);
  CHECK(error_of(get("/", {{"host", "A.example"}})) == 0);
  CHECK(error_of(get("/", {{"connection", "close"}})) == 1);
  CHECK(error_of(get("/", {{"transfer-encoding", "chunked"}})) == 1);
  CHECK(error_of(get("/", {{"upgrade", "h2c"}})) == 1);
  CHECK(error_of(get("/", {{"keep-alive", "1"}})) == 1);
  CHECK(error_of(get("/", {{"te", "gzip"}})) == 1);
  CHECK(error_of(get("/", {{"Accept", "x"}})) == 1);
  CHECK(error_of(get("/", {{"x", "a\r\nb"}})) == 1);
  CHECK(error_of(get("/", {{"x", " a"}})) == 1);
  CHECK(error_of(get("/", {{":path", "/"}})) == 1);
  CHECK(error_of(get("/", {{":status", "200"}})) == 1);
  CHECK(error_of(get("/", {{":protocol", "websocket"}})) == 1);  // of a GET
  CHECK(error_of(get("/", {{"content-length", "x"}})) == 1);
  CHECK(error_of(get("/", {{"content-length", "1"}})) == 1);
  CHECK(error_of(get("/", {{"content-length", "0"}, {"content-length", "0"}})) == 1);
  CHECK(error_of(get("/", {{"content-length", "0"}})) == 0);
}

TEST_CASE("Host does where there is no :authority") {
  TestServer server;
  server.greet();
  Lines lines = get("/", {{"host", "b.example:8443"}});
  lines.erase(lines.begin() + 3);
  server.give(headers(1, lines, kEndStream));
  CHECK(server.at(1).text.authority == "b.example:8443");
  CHECK(server.at(1).text.fields.size() == 0);
}

TEST_CASE("CONNECT, plain and extended") {
  TestServer server;
  server.greet();
  server.give(headers(1, {{":method", "CONNECT"}, {":authority", "a.example:443"}}));
  CHECK(server.at(1).requests == 1);
  CHECK(server.at(1).text.method == "CONNECT");
  CHECK(server.at(1).text.path.empty());
  Lines extended = get("/chat", {{":protocol", "websocket"}});
  std::rotate(extended.begin(), extended.end() - 1, extended.end());
  extended[1].second = "CONNECT";
  server.give(headers(3, extended) + data(3, "frame"));
  CHECK(server.at(3).requests == 1);
  CHECK(server.at(3).text.protocol == "websocket");
  CHECK(server.at(3).text.path == "/chat");
  CHECK(server.at(3).length.kind == Kind::kUnknown);
  CHECK(server.at(3).content == "frame");
}

TEST_CASE("a head beyond the limits is told once and its body dropped") {
  http::h2::Settings small;
  small.header_bytes_max = 400;
  small.fields_max = 3;
  TestServer server(small);
  server.greet();
  server.give(headers(1, post({{"a", std::string(200, 'x')}, {"b", "c"}})) + data(1, "body") +
              data(1, "", kEndStream));
  CHECK(server.at(1).too_large == 1);
  CHECK(server.at(1).requests == 0);
  CHECK(server.at(1).content.empty());
  CHECK(server.at(1).ends == 0);
  server.answer(1, "no", 431);
  CHECK(of_type(server.take(), kData, 1).size() == 1);
  CHECK(server.at(1).closes == 1);
  server.give(headers(3, get("/", {{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d", "1"}}), kEndStream));
  CHECK(server.at(3).too_many == 1);
  server.give(headers(5, get("/", {{"a", "1"}, {"b", "1"}, {"c", "1"}}), kEndStream));
  CHECK(server.at(5).requests == 1);
}

TEST_CASE("streams beyond the limit and those the owner refuses may be tried again") {
  TestServer server;
  server.greet();
  server.refuses = true;
  server.give(headers(1, get(), kEndStream));
  auto resets = of_type(server.take(), kRstStream, 1);
  REQUIRE(resets.size() == 1);
  CHECK(resets[0].word() == 7);  // REFUSED_STREAM
  CHECK(server.connection->streams() == 0);
  server.refuses = false;
  server.give(headers(3, get(), kEndStream));
  CHECK(server.at(3).requests == 1);
}

TEST_CASE("the owner resets; nothing more is told but the end") {
  TestServer server;
  server.greet();
  server.give(headers(1, post()));
  server.connection->body(1, as_bytes("never"));
  server.connection->reset(1, 2);
  server.give(data(1, "late", kEndStream));
  CHECK(server.at(1).content.empty());
  const auto frames = server.take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].type == kRstStream);
  CHECK(frames[0].word() == 2);
  CHECK(server.at(1).closes == 1);
  CHECK(server.at(1).error == 2);
  server.connection->reset(1, 2);
  server.connection->body(1, as_bytes("x"));
  server.connection->body_end(1, {});
  server.connection->consumed(1, 5);
  server.connection->stop_request(1);
  CHECK(server.take().empty());
}

TEST_CASE("a request is stopped behind its response") {
  for (const bool before : {true, false}) {
    CAPTURE(before);
    TestServer server;
    server.greet();
    server.give(headers(1, post()) + data(1, "some"));
    if (before) server.connection->stop_request(1);
    server.answer(1, "enough", 403);
    auto frames = server.take();
    if (!before) {
      server.connection->stop_request(1);
      for (const Frame& frame : server.take()) frames.push_back(frame);
    }
    REQUIRE(frames.size() == 3);
    CHECK(frames[1].ends_stream());
    CHECK(frames[2].type == kRstStream);
    CHECK(frames[2].word() == 0);
    CHECK(server.at(1).closes == 1);
    CHECK(server.at(1).error == 0);
  }
}

TEST_CASE("shutting down goes in two steps") {
  TestServer server;
  server.greet();
  server.give(headers(1, get(), kEndStream));
  server.connection->shut_down();
  CHECK(server.connection->shutting_down());
  auto frames = server.take();
  REQUIRE(of_type(frames, kGoaway).size() == 1);
  CHECK(of_type(frames, kGoaway)[0].word() == 0x7fffffff);
  REQUIRE(of_type(frames, kPing).size() == 1);
  // A request that was under way.
  server.give(headers(3, get(), kEndStream));
  CHECK(server.at(3).requests == 1);
  server.give(ping(of_type(frames, kPing)[0].payload, kAck));
  frames = server.take();
  REQUIRE(of_type(frames, kGoaway).size() == 1);
  CHECK(of_type(frames, kGoaway)[0].word() == 3);
  CHECK(of_type(frames, kGoaway)[0].word(4) == 0);
  server.give(headers(5, get(), kEndStream));
  CHECK(server.requests.count(5) == 0);
  CHECK(!server.connection->finished());
  server.answer(1, "a");
  server.answer(3, "b");
  CHECK(of_type(server.take(), kData).size() == 2);
  CHECK(server.connection->finished());
  CHECK(server.closes() == 2);
}

TEST_CASE("a connection that dies tells all its streams") {
  TestServer server;
  server.greet();
  server.give(headers(1, get(), kEndStream) + headers(3, post()));
  CHECK(!server.give(data(0, "x")) == server.connection->finished());
  const auto goaway = of_type(server.take(), kGoaway);
  REQUIRE(goaway.size() == 1);
  CHECK(goaway[0].word(4) == 1);
  CHECK(server.connection->finished());
  CHECK(server.connection->abuse() == http::h2::Abuse::kProtocol);
  CHECK(server.closes() == 2);
  CHECK(!server.give(ping()));
  CHECK(server.take().empty());
}

TEST_CASE("what is not HTTP/2 is refused at once") {
  TestServer server;
  CHECK(!server.give("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  CHECK(server.connection->abuse() == http::h2::Abuse::kProtocol);
  CHECK(!server.connection->fault().empty());
  CHECK(of_type(server.take(), kGoaway).size() == 1);
}

TEST_CASE("owners may answer while they are told") {
  TestServer server;
  server.greet();
  int left = 3;
  server.on_opened = [&](std::int32_t id, Request& request) {
    request.on_request = [&server, id] {
      ResponseHead head;
      head.status = 200;
      server.connection->respond(id, head, {Kind::kUnknown, 0});
      server.connection->body(id, as_bytes("part"));
    };
    request.on_drained = [&server, &left, id] {
      if (--left > 0) return server.connection->body(id, as_bytes("part"));
      server.connection->body_end(id, {});
    };
  };
  server.give(headers(1, get(), kEndStream));
  std::string body;
  for (const Frame& frame : server.take()) {
    if (frame.type == kData) body += frame.payload;
  }
  CHECK(body == "partpartpart");
  CHECK(server.at(1).closes == 1);
}

TEST_CASE("two bodies share the connection") {
  TestServer server;
  server.greet(setting(4, 1 << 20));
  server.give(headers(1, get(), kEndStream) + headers(3, get(), kEndStream));
  server.answer(1, std::string(32000, 'a'));
  server.answer(3, std::string(32000, 'b'));
  const auto frames = of_type(server.take(), kData);
  REQUIRE(frames.size() >= 3);
  CHECK(frames[0].stream != frames[1].stream);
}

}  // namespace
}  // namespace postern::test
