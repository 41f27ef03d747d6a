// Our client and our server, one against the other, with bytes cut anywhere between them.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "h2_exchange.h"

namespace postern::test {
namespace {

using Kind = BodyLength::Kind;

constexpr std::size_t kBodyBytes = 300'000;
constexpr int kStreams = 5;

std::string noise(std::mt19937* random, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>((*random)());
  return text;
}

/// What is still to be given of one body; a piece whenever there is nothing unsent.
struct Source {
  std::string all;
  std::size_t at = 0;
  bool ended = false;

  template <class Connection>
  void pump(Connection& connection, std::int32_t id, std::mt19937* random) {
    while (!ended && connection.unsent(id) < 20'000) {
      const std::size_t size = std::min<std::size_t>(all.size() - at, (*random)() % 9'000);
      connection.body(id, as_bytes(std::string_view(all).substr(at, size)));
      at += size;
      if (at < all.size()) continue;
      Fields trailers;
      trailers.add("Sum", "x");
      connection.body_end(id, id % 4 == 1 ? trailers : Fields());
      ended = true;
    }
  }
};

class Pair {
 public:
  explicit Pair(unsigned seed)
      : random(seed), client(windows(3'000, 70'000)), server(windows(2'000, 66'000)) {}

  static http::h2::Settings windows(std::uint32_t stream, std::uint32_t connection) {
    http::h2::Settings settings;
    settings.stream_window_bytes = stream;
    settings.connection_window_bytes = connection;
    return settings;
  }

  void start() {
    exchanges.resize(kStreams);
    for (int i = 0; i < kStreams; ++i) {
      const RequestHead head = request_head("POST", "/");
      const std::int32_t id = client.connection->request(head, {Kind::kUnknown, 0},
                                                         exchanges[static_cast<std::size_t>(i)]);
      REQUIRE(id == 2 * i + 1);
      uploads.push_back({noise(&random, kBodyBytes), 0, false});
      downloads.push_back({noise(&random, kBodyBytes), 0, false});
    }
    server.on_opened = [this](std::int32_t id, Request& request) {
      request.on_request = [this, id] {
        ResponseHead head;
        head.status = 200;
        server.connection->respond(id, head, {Kind::kKnown, kBodyBytes});
      };
    };
  }

  /// Bytes of one side to the other, in pieces; false when there were none.
  template <class From, class To>
  bool carry(From& from, To& to) {
    std::vector<std::uint8_t> out(16'393 + random() % 20'000);
    const std::size_t size = from.collect(out);
    for (std::size_t at = 0; at < size;) {
      const std::size_t piece = std::min<std::size_t>(size - at, 1 + random() % 5'000);
      REQUIRE(to.receive(Bytes(out).subspan(at, piece), 1));
      at += piece;
    }
    return size != 0;
  }

  void consume() {
    for (int i = 0; i < kStreams; ++i) {
      client.connection->consumed(2 * i + 1, random() % 3'000);
      server.connection->consumed(2 * i + 1, random() % 3'000);
    }
  }

  void pump() {
    for (std::size_t i = 0; i < kStreams; ++i) {
      const auto id = static_cast<std::int32_t>(2 * i + 1);
      uploads[i].pump(*client.connection, id, &random);
      if (server.requests.count(id) != 0) downloads[i].pump(*server.connection, id, &random);
    }
  }

  std::mt19937 random;
  TestClient client;
  TestServer server;
  std::vector<Exchange> exchanges;
  std::vector<Source> uploads, downloads;
};

TEST_CASE("large bodies both ways through small windows") {
  for (const unsigned seed : {1U, 2U, 3U}) {
    Pair pair(seed);
    pair.start();
    int idle = 0;
    for (int round = 0; round < 100'000 && idle < 50; ++round) {
      pair.pump();
      const bool up = pair.carry(*pair.client.connection, *pair.server.connection);
      const bool down = pair.carry(*pair.server.connection, *pair.client.connection);
      pair.consume();
      pair.server.connection->rest();
      idle = up || down ? 0 : idle + 1;
    }
    for (std::size_t i = 0; i < kStreams; ++i) {
      const auto id = static_cast<std::int32_t>(2 * i + 1);
      const Request& request = pair.server.at(id);
      const Exchange& exchange = pair.exchanges[i];
      CHECK((request.content == pair.uploads[i].all));
      CHECK((exchange.content == pair.downloads[i].all));
      CHECK(request.trailers.size() == (id % 4 == 1 ? 1 : 0));
      CHECK(exchange.trailers.size() == (id % 4 == 1 ? 1 : 0));
      CHECK(request.ends == 1);
      CHECK(exchange.ends == 1);
      CHECK(request.closes == 1);
      CHECK(exchange.closes == 1);
      CHECK(request.error + exchange.error == 0);
    }
    CHECK(pair.client.connection->streams() == 0);
    CHECK(pair.server.connection->streams() == 0);
  }
}

TEST_CASE("a full buffer is no reason to cut DATA small") {
  Pair pair(1);
  TestServer& server = pair.server;
  server.greet(setting(4, 1 << 20));
  server.give(window_update(0, 1 << 20) + headers(1, get(), kEndStream));
  server.answer(1, std::string(100'000, 'x'));
  const auto frames = of_type(server.take(16'393), kData);
  CHECK(frames.size() <= 8);
}

}  // namespace
}  // namespace postern::test
