#include "http/h2_abuse.h"

#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "h2_peer.h"

namespace postern::test {
namespace {

using http::h2::Abuse;
using http::h2::AbuseMeter;
using http::h2::Settings;

constexpr std::uint32_t kEnhanceYourCalm = 0xb;
constexpr std::uint32_t kCancel = 8;

/// Gives one piece after the other until the connection ends; how many that took, 0 if it did not.
/// What the server says is read in between, if at all.
int pieces_until_the_end(TestServer* server, const std::function<std::string(int)>& piece,
                         bool reads = true, int most = 20000) {
  for (int i = 0; i < most; ++i) {
    if (!server->give(piece(i))) return i + 1;
    if (reads) server->take();
    if (server->connection->finished()) return i + 1;
  }
  return 0;
}

void check_ended(TestServer* server, Abuse kind) {
  CHECK(http::h2::abuse_name(server->connection->abuse()) == http::h2::abuse_name(kind));
  CHECK(!server->connection->fault().empty());
  CHECK(server->connection->finished());
  CHECK(server->connection->streams() == 0);
  CHECK(!server->give(ping()));
  for (const auto& [id, request] : server->requests) CHECK(request->closes == 1);
}

std::int32_t nth(int i) { return 2 * i + 1; }

TEST_CASE("the bucket of the meter leaks with time") {
  AbuseMeter meter;
  int most = 0;
  while (!meter.note(Abuse::kSettings, 0)) ++most;
  CHECK(most == 50);
  CHECK(meter.note(Abuse::kSettings, 0));
  CHECK(!meter.note(Abuse::kSettings, 61'000));  // two a minute, and it was two too many
  CHECK(!meter.note(Abuse::kSettings, std::uint64_t{1} << 60));
  CHECK(!meter.note(Abuse::kSettings, 5));  // a clock that goes back does no harm
  for (int i = 0; i < 100'000; ++i) CHECK_FALSE(meter.note(Abuse::kProtocol, 0));
}

TEST_CASE("what was allowed does not count, up to the size of the bucket") {
  AbuseMeter meter;
  meter.allow(Abuse::kEmptyFrames, 1'000'000);
  int most = 0;
  while (!meter.note(Abuse::kEmptyFrames, 0)) ++most;
  CHECK(most == 2000);
}

TEST_CASE("names of abuse are distinct") {
  std::string all;
  for (std::size_t i = 0; i < http::h2::kAbuseKinds; ++i) {
    const std::string name = " " + std::string(http::h2::abuse_name(static_cast<Abuse>(i))) + " ";
    CHECK(all.find(name) == std::string::npos);
    all += name;
  }
}

TEST_CASE("rapid reset ends the connection") {
  TestServer server;
  server.greet();
  const int count = pieces_until_the_end(&server, [](int i) {
    return headers(nth(i), get(), kEndStream) + rst_stream(nth(i), kCancel);
  });
  CHECK(count == 401);
  check_ended(&server, Abuse::kRapidReset);
}

TEST_CASE("the GOAWAY of an abuse says ENHANCE_YOUR_CALM") {
  TestServer server;
  server.greet();
  std::string flood;
  for (int i = 0; i < 500; ++i) {
    flood += headers(nth(i), get(), kEndStream) + rst_stream(nth(i), kCancel);
  }
  CHECK(!server.give(flood));
  const auto goaway = of_type(server.take(), kGoaway);
  REQUIRE(goaway.size() == 1);
  CHECK(goaway[0].word(4) == kEnhanceYourCalm);
  check_ended(&server, Abuse::kRapidReset);
}

TEST_CASE("streams that the client makes us reset end the connection") {
  const std::function<std::string(int)> ways[] = {
      // A window that overflows, a body longer than announced, then malformed heads.
      [](int i) { return headers(nth(i), get(), kEndStream) + window_update(nth(i), 0x7fffffff); },
      [](int i) {
        return headers(nth(i), post({{"content-length", "1"}})) + data(nth(i), "22");
      },
      [](int i) {
        return headers(nth(i), get("/", {{"connection", "x"}}), kEndStream);
      },
      [](int i) { return headers(nth(i), get("nowhere"), kEndStream); },
      [](int i) {
        return headers(nth(i), get("/", {{"host", "b.example"}}), kEndStream);
      },
  };
  for (const auto& way : ways) {
    TestServer server;
    server.greet();
    CHECK(pieces_until_the_end(&server, way) == 101);
    check_ended(&server, Abuse::kMadeYouReset);
  }
}

TEST_CASE("streams beyond the number that a client ignores end the connection, after many") {
  TestServer server;
  server.give(std::string(kPreface) + test::settings(""));  // it does not acknowledge ours
  const int count =
      pieces_until_the_end(&server, [](int i) { return headers(nth(i), get(), kEndStream); });
  const auto open = static_cast<int>(Settings{}.streams_max);
  CHECK(count == open + 1000 + 101);
  check_ended(&server, Abuse::kMadeYouReset);
}

TEST_CASE("CONTINUATION without end") {
  TestServer server;
  server.greet();
  CHECK(server.give(frame(kHeaders, kEndStream, 1, hpack(get()))));
  const int count = pieces_until_the_end(&server, [](int) {
    return frame(kContinuation, 0, 1, hpack({{"x", "y"}}));
  });
  CHECK(count > 0);
  CHECK(count < 30);
  check_ended(&server, Abuse::kContinuation);
}

TEST_CASE("a head in many CONTINUATION frames, of a size that is allowed") {
  Settings large;
  large.header_bytes_max = 1U << 20;
  for (const Settings& settings : {large, Settings{}}) {
    TestServer server(settings);
    server.greet();
    CHECK(server.give(frame(kHeaders, kEndStream, 1, hpack(get()))));
    const std::string value(16'000, 'x');
    for (int i = 1; i < 15; ++i) {
      const std::uint8_t flags = i == 14 ? kEndHeaders : 0;
      REQUIRE(server.give(frame(kContinuation, flags, 1, hpack({{"x", value}}))));
    }
    const bool fits = settings.header_bytes_max == large.header_bytes_max;
    CHECK(server.at(1).requests == (fits ? 1 : 0));
    CHECK(server.at(1).too_large == (fits ? 0 : 1));
  }
}

TEST_CASE("as many streams as the owner allows may be answered at once") {
  Settings many;
  many.streams_max = 3000;
  TestServer server(many);
  server.on_opened = [&](std::int32_t id, auto& request) {
    request.on_request = [&server, id] { server.answer(id, "x"); };
  };
  server.greet();
  std::string requests;
  for (int i = 0; i < 3000; ++i) requests += headers(nth(i), get(), kEndStream);
  CHECK(server.give(requests));
  server.take();
  CHECK(server.closes() == 3000);
  CHECK(server.connection->abuse() == Abuse::kNone);
}

TEST_CASE("floods of SETTINGS and PING") {
  TestServer one;
  one.greet();
  CHECK(pieces_until_the_end(&one, [](int) { return settings(); }) == 50);  // and the first one
  check_ended(&one, Abuse::kSettings);
  TestServer two;
  two.greet();
  CHECK(pieces_until_the_end(&two, [](int) { return ping(); }) == 801);
  check_ended(&two, Abuse::kPing);
}

TEST_CASE("a flood of PING in one piece") {
  TestServer server;
  server.greet();
  std::string flood;
  for (int i = 0; i < 4000; ++i) flood += ping();
  CHECK_FALSE(server.give(flood));
  check_ended(&server, Abuse::kPing);
}

TEST_CASE("floods of frames without content") {
  const std::string ways[] = {
      data(1, ""),
      frame(kData, kPadded, 1, std::string(1, '\0')),
      frame(kData, kPadded, 1, std::string("\2\0\0", 3)),
      frame(kPriority, 0, 1, std::string("\0\0\0\0\x10", 5)),
      window_update(1, 1),
      window_update(0, 1),
  };
  for (const std::string& way : ways) {
    CAPTURE(way);
    TestServer server;
    server.greet();
    server.give(headers(1, post()));
    const int count = pieces_until_the_end(&server, [&](int) { return way; });
    CHECK(count > 1000);
    CHECK(count < 1010);
    check_ended(&server, Abuse::kEmptyFrames);
  }
}

TEST_CASE("heads beyond the limits again and again") {
  Settings small;
  small.fields_max = 2;
  TestServer server(small);
  server.greet();
  const int count = pieces_until_the_end(&server, [&](int i) {
    return headers(nth(i), get("/", {{"a", "1"}, {"b", "1"}, {"c", "1"}}), kEndStream);
  });
  CHECK(count == 17);
  check_ended(&server, Abuse::kHeaderBomb);
}

TEST_CASE("a head that unpacks to far more than the limit") {
  Settings small;
  small.header_bytes_max = 4096;
  TestServer server(small);
  server.greet();
  // One field of 3 KB goes into the dynamic table, then a byte for each time it is named again.
  std::string block = hpack(get());
  block += '\x40';
  block += hpack_text("x") + hpack_text(std::string(3000, 'y'));
  block += std::string(1000, '\xbe');
  CHECK(!server.give(frame(kHeaders, kEndHeaders | kEndStream, 1, block)));
  check_ended(&server, Abuse::kHeaderBomb);
}

TEST_CASE("after a head that was too large HPACK goes on as it should") {
  Settings small;
  small.header_bytes_max = 1000;
  TestServer server(small);
  server.greet();
  std::string block = hpack(get()) + hpack({{"big", std::string(2000, 'y')}});
  block += '\x40';
  block += hpack_text("later") + hpack_text("value");
  server.give(frame(kHeaders, kEndHeaders | kEndStream, 1, block));
  CHECK(server.at(1).too_large == 1);
  server.give(frame(kHeaders, kEndHeaders | kEndStream, 3, hpack(get()) + '\xbe'));
  CHECK(lines_of(server.at(3).text.fields) == Lines{{"later", "value"}});
}

TEST_CASE("a client that makes us answer and does not read") {
  const std::function<std::string(int)> ways[] = {
      [](int) { return ping(); },
      [](int i) { return headers(nth(i), get("nowhere"), kEndStream); },
      // Requests on streams that are refused, one behind the other.
      [](int i) { return headers(nth(i), get(), kEndStream); },
  };
  for (int way = 0; way < 3; ++way) {
    CAPTURE(way);
    TestServer server;
    server.greet();
    server.refuses = way == 2;
    const auto piece = [&](int i) {
      server.now_ms += 1000;  // slowly enough for all rates
      return ways[way](i);
    };
    pieces_until_the_end(&server, piece, false, 2000);
    CHECK(server.connection->streams() <= 128);
    CHECK(server.take().size() < 1200);
    CHECK(server.connection->abuse() != Abuse::kNone);
    CHECK(server.connection->finished());
  }
}

TEST_CASE("pings that nobody reads the answers of are counted as output") {
  TestServer server;
  server.greet();
  CHECK(pieces_until_the_end(
            &server,
            [&](int) {
              server.now_ms += 1000;
              return ping();
            },
            false) == 1001);
  check_ended(&server, Abuse::kOutput);
}

TEST_CASE("what browsers do is no abuse") {
  TestServer server;
  server.greet(setting(1, 65536) + setting(2, 0) + setting(4, 6291456) + setting(6, 262144));
  server.give(window_update(0, 15663105));
  std::int32_t id = 1;
  // Ten pages of 100 files, every second one left while its files are still under way.
  for (int page = 0; page < 10; ++page) {
    const std::int32_t first = id;
    for (int i = 0; i < 100; ++i, id += 2) {
      REQUIRE(server.give(headers(id, get("/file"), kEndStream) +
                          frame(kPriority, 0, id, std::string("\0\0\0\0\x10", 5))));
    }
    for (std::int32_t stream = first; stream < id; stream += 2) {
      if (page % 2 == 0) {
        REQUIRE(server.give(rst_stream(stream, kCancel)));
      } else {
        server.answer(stream, std::string(1000, 'x'));
        for (const Frame& sent : of_type(server.take(), kData)) {
          const auto size = static_cast<std::uint32_t>(sent.payload.size());
          REQUIRE(server.give(window_update(0, size)));
        }
      }
    }
    REQUIRE(server.give(ping()));
    server.take();
    server.now_ms += 3000;
  }
  CHECK(server.connection->abuse() == Abuse::kNone);
  CHECK(server.closes() == 1000);
}

TEST_CASE("a download with two window updates for each frame is no abuse") {
  TestServer server;
  server.greet();
  server.give(headers(1, get(), kEndStream));
  ResponseHead head;
  head.status = 200;
  server.connection->respond(1, head, {BodyLength::Kind::kUnknown, 0});
  server.take();
  for (int i = 0; i < 5000; ++i) {  // within one millisecond
    server.connection->body(1, as_bytes("0123456789"));
    REQUIRE(server.take().size() == 1);
    REQUIRE(server.give(window_update(1, 10) + window_update(0, 10)));
  }
  CHECK(server.connection->abuse() == Abuse::kNone);
}

}  // namespace
}  // namespace postern::test
