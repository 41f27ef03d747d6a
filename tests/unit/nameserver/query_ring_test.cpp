#include "nameserver/query_ring.h"

#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace postern::nameserver {
namespace {

Bytes bytes(const std::string& text) { return as_bytes(text); }

QueryRecord numbered(std::uint32_t number) {
  QueryRecord record;
  record.took_us = number;
  return record;
}

}  // namespace

TEST_CASE("what is written is read, in order, byte for byte") {
  QueryRing ring;
  QueryRing::Entry entry;
  CHECK_FALSE(ring.wants(QueryRing::kLines));
  ring.want(QueryRing::kLines | QueryRing::kMessages);
  CHECK(ring.wants(QueryRing::kMessages));
  CHECK_FALSE(ring.wants(QueryRing::kForwarder));
  CHECK_FALSE(ring.front(&entry));
  ring.write(numbered(1), "lan", bytes("query"), bytes("reply"));
  ring.write(numbered(2), "", {}, {});
  REQUIRE(ring.front(&entry));
  CHECK(entry.record.took_us == 1);
  CHECK(entry.view == "lan");
  CHECK(as_text(entry.query) == "query");
  CHECK(as_text(entry.reply) == "reply");
  ring.pop();
  REQUIRE(ring.front(&entry));
  CHECK(entry.record.took_us == 2);
  CHECK(entry.view.empty());
  CHECK(entry.query.empty());
  ring.pop();
  CHECK_FALSE(ring.front(&entry));
}

TEST_CASE("a full ring drops what is new, counts it, and goes on when there is room") {
  QueryRing ring;
  ring.want(QueryRing::kMessages);
  const std::string reply(65535, 'r');
  std::uint32_t written = 0;
  for (; ring.dropped() == 0; ++written) ring.write(numbered(written), "", {}, bytes(reply));
  --written;  // the last one was dropped
  CHECK(written >= QueryRing::kBytes / 65700);
  QueryRing::Entry entry;
  for (std::uint32_t i = 0; i < written; ++i) {
    REQUIRE(ring.front(&entry));
    REQUIRE(entry.record.took_us == i);
    REQUIRE(as_text(entry.reply) == reply);
    ring.pop();
  }
  CHECK_FALSE(ring.front(&entry));
  ring.write(numbered(7), "", {}, bytes(reply));
  REQUIRE(ring.front(&entry));
  CHECK(entry.record.took_us == 7);
  CHECK(ring.dropped() == 1);
}

TEST_CASE("one writer and one reader, for many times the size of the ring") {
  QueryRing ring;
  ring.want(QueryRing::kLines);
  constexpr std::uint32_t kRecords = 200'000;
  std::thread writer([&ring] {
    for (std::uint32_t i = 0; i < kRecords; ++i) {
      const std::string query(i % 301, static_cast<char>('a' + i % 26));
      ring.write(numbered(i), "", bytes(query), {});
    }
  });
  std::uint64_t seen = 0;
  std::uint32_t next = 0;
  bool good = true;
  while (seen + ring.dropped() < kRecords) {
    QueryRing::Entry entry;
    if (!ring.front(&entry)) {
      std::this_thread::yield();
      continue;
    }
    const std::uint32_t i = entry.record.took_us;
    good = good && i >= next && entry.query.size() == i % 301 &&
           as_text(entry.query) == std::string(i % 301, static_cast<char>('a' + i % 26));
    next = i + 1;
    ring.pop();
    ++seen;
  }
  writer.join();
  CHECK(good);
  CHECK(seen > 0);
}

}  // namespace postern::nameserver
