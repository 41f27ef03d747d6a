// What the gateway writes in one turn of the loop, with streams that note what they get.
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "gateway/context.h"
#include "net/loop.h"

namespace postern::gateway {
namespace {

class NotingStream final : public net::Stream {
 public:
  explicit NotingStream(char name, std::string* order) : name_(name), order_(order) {}

  bool write(Bytes data) override {
    writes.emplace_back(data.begin(), data.end());
    order_->push_back(name_);
    return !full;
  }
  std::size_t unsent() const override { return 0; }
  std::uint64_t sent_total() const override { return 0; }
  void finish() override {}
  void pause() override {}
  void resume() override {}
  bool has_input() const override { return false; }
  std::uint64_t acknowledged_total() const override { return 0; }
  std::uint64_t unacknowledged_ms() const override { return 0; }
  void break_off() override { broken = true; }
  void reset_on_close() override {}
  const Endpoint& peer() const override { return peer_; }
  Endpoint local() const override { return {}; }

  std::string all() const {
    std::string text;
    for (const std::string& piece : writes) text += piece;
    return text;
  }

  std::vector<std::string> writes;
  bool full = false, broken = false;

 private:
  char name_;
  std::string* order_;
  Endpoint peer_;
};

void put(Output& output, net::Stream& stream, std::string_view text) {
  const MutableBytes room = output.room(stream, text.size());
  REQUIRE(room.size() >= text.size());
  std::copy(text.begin(), text.end(), room.begin());
  output.commit(text.size());
}

struct Fixture {
  void turn() { loop.run_once(false); }

  net::Loop loop;
  Output output{loop};
  std::string order;
  NotingStream a{'a', &order}, b{'b', &order};
};

TEST_CASE_FIXTURE(Fixture, "what a turn has for a stream leaves in one write at its end") {
  put(output, a, "head ");
  output.add(a, "body");
  put(output, b, "other");
  CHECK(order.empty());
  turn();
  CHECK(a.writes == std::vector<std::string>{"head body"});
  CHECK(b.writes == std::vector<std::string>{"other"});
  turn();
  CHECK(order == "ab");
}

TEST_CASE_FIXTURE(Fixture, "the order of each stream is kept, whoever writes in between") {
  output.add(a, "1");
  output.add(b, "x");
  output.add(a, "2");
  const std::string large(20'000, 'y');
  output.add(b, large);  // would be worth a write of its own, but for what waits
  output.add(b, "z");
  turn();
  CHECK(a.all() == "12");
  CHECK(b.all() == "x" + large + "z");
}

TEST_CASE_FIXTURE(Fixture, "large pieces leave at once, without a copy") {
  const std::string large(20'000, 'l');
  output.add(a, "small");
  output.add(b, large);
  CHECK(b.all() == large);
  CHECK(a.writes.empty());
  const std::string huge(300'000, 'h');
  output.add(a, huge);
  CHECK(a.all() == "small" + huge);
}

TEST_CASE_FIXTURE(Fixture, "what does not fit makes room, in order") {
  std::string expected;
  for (int i = 0; i < 40; ++i) {
    const std::string piece(7'000, static_cast<char>('a' + i % 26));
    put(output, i % 3 == 0 ? b : a, piece);
    if (i % 3 != 0) expected += piece;
  }
  const std::string head(200'000, 'H');  // larger than all the memory was
  put(output, a, head);
  turn();
  CHECK(a.all() == expected + head);
}

TEST_CASE_FIXTURE(Fixture, "many streams in one turn do not wait for the last of them") {
  std::vector<NotingStream> streams;
  for (int i = 0; i < 100; ++i) streams.emplace_back('s', &order);
  for (NotingStream& stream : streams) output.add(stream, "x");
  CHECK(order.size() >= 64);
  CHECK(streams.front().all() == "x");
  turn();
  CHECK(order.size() == 100);
}

TEST_CASE_FIXTURE(Fixture, "a stream that is about to go gets what waits, and nothing after") {
  output.add(a, "1");
  output.add(b, "x");
  output.add(a, "2");
  output.forget(a);
  CHECK(a.all() == "12");
  CHECK(b.writes.empty());
  turn();
  CHECK(order == "aab");
}

TEST_CASE_FIXTURE(Fixture, "what waits for a stream whose peer is gone never leaves") {
  output.add(a, "1");
  output.add(b, "x");
  output.add(a, "2");
  output.drop(a);
  output.add(a, "3");
  turn();
  CHECK(a.all() == "3");
  CHECK(b.all() == "x");
}

TEST_CASE_FIXTURE(Fixture, "room that was not used is no write, and a full stream is broken off") {
  static_cast<void>(output.room(a, 100));
  b.full = true;
  output.add(b, "x");
  turn();
  CHECK(a.writes.empty());
  CHECK_FALSE(a.broken);
  CHECK(b.broken);
}

}  // namespace
}  // namespace postern::gateway
