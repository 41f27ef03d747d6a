#include "dns/cache.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace postern::dns {
namespace {

using State = CacheHit::State;
using Random = std::linear_congruential_engine<std::uint32_t, 48271, 0,
                                               2147483647>;  // std::minstd_rand, 32 bits

LookupName lookup(const std::string& text) { return LookupName(Name::parse(text).value().view()); }

/// An A record owned by the question: pointer, type, class, TTL at 6, length, address.
std::vector<std::uint8_t> a_record(std::uint32_t ttl, std::uint8_t last) {
  std::vector<std::uint8_t> r{0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, last};
  store_u32(r.data() + 6, ttl);
  return r;
}

/// An image with one A record and as many bytes of filling as wanted.
struct Answer {
  std::vector<std::uint8_t> body;
  std::vector<std::uint16_t> offsets{6};
  ImageHead head;
  std::string ede_text;

  explicit Answer(std::uint32_t ttl, std::uint8_t last = 1, std::size_t filling = 0)
      : body(a_record(ttl, last)) {
    body.resize(body.size() + filling, last);
    head.ttl_s = ttl;
    head.answers = 1;
  }
  ImageView view() {
    head.body_size = static_cast<std::uint16_t>(body.size());
    head.ttl_count = static_cast<std::uint16_t>(offsets.size());
    head.ede_text_size = static_cast<std::uint8_t>(ede_text.size());
    return {head, offsets, body, ede_text};
  }
};

Answer failure(std::uint32_t ttl = 5) {
  Answer answer(ttl);
  answer.body.clear();
  answer.offsets.clear();
  answer.head.answers = 0;
  answer.head.failure = true;
  answer.head.flags = static_cast<std::uint16_t>(Rcode::kServFail);
  answer.head.ede = static_cast<std::uint16_t>(Ede::kNoReachableAuthority);
  answer.ede_text = "udp://192.0.2.53";
  return answer;
}

struct Found {
  CacheHit hit;
  std::array<std::uint8_t, 4096> body{};

  std::uint32_t ttl(std::size_t at = 6) const { return load_u32(body.data() + at); }
  std::uint8_t last() const { return body[15]; }
};

/// A cache and a key for a.example A, with the time as an argument.
struct Fixture {
  explicit Fixture(CacheSettings s = {}) : cache(s) {}
  Cache cache;
  LookupName name = lookup("a.example.");
  CacheKey key{&name, RrType::kA, RrClass::kIn, 1, false, false, false};

  Found find(std::uint32_t now) { return find(key, now); }
  Found find(const CacheKey& other, std::uint32_t now) {
    Found found;
    cache.find(other, now, found.body, &found.hit);
    return found;
  }
  void put(std::uint32_t now, Answer answer) { cache.put(key, now, answer.view()); }
};

CacheSettings with_size(std::size_t bytes) {
  CacheSettings settings;
  settings.size_bytes = bytes;
  return settings;
}

/// "host000042.name.example": 25 bytes of text, 27 on the wire.
LookupName numbered(unsigned i) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "host%07u.name.example.", i);
  return lookup(text.data());
}

}  // namespace

TEST_CASE("what was stored is found, byte for byte, with its EDE") {
  Fixture f;
  CHECK(f.find(100).hit.state == State::kMiss);
  Answer answer(300, 7, 50);
  answer.head.ede = static_cast<std::uint16_t>(Ede::kFiltered);
  answer.head.flags = kFlagAd;
  answer.ede_text = "h3 withheld";
  f.put(100, answer);
  const Found found = f.find(100);
  CHECK(found.hit.state == State::kFresh);
  CHECK(found.hit.head.body_size == answer.body.size());
  CHECK(std::equal(answer.body.begin(), answer.body.end(), found.body.begin()));
  CHECK(found.hit.head.flags == kFlagAd);
  CHECK(found.hit.head.answers == 1);
  CHECK(found.hit.head.ede == static_cast<std::uint16_t>(Ede::kFiltered));
  CHECK(std::string(found.hit.ede_text.data(), found.hit.head.ede_text_size) == "h3 withheld");
}

TEST_CASE("a name is found whatever its case") {
  Fixture f;
  f.put(0, Answer(60));
  const LookupName shouted = lookup("A.eXaMpLe.");
  CacheKey key = f.key;
  key.name = &shouted;
  CHECK(f.find(key, 0).hit.state == State::kFresh);
}

TEST_CASE("TTLs age at the remembered places and nothing else changes") {
  Fixture f;
  Answer answer(300, 1);
  const auto second = a_record(100, 2);
  answer.body.insert(answer.body.end(), second.begin(), second.end());
  answer.offsets.push_back(22);
  answer.head.ttl_s = 100;
  f.put(1000, answer);
  const Found found = f.find(1040);
  CHECK(found.ttl(6) == 260);
  CHECK(found.ttl(22) == 60);
  CHECK(found.hit.head.ttl_s == 60);
  std::vector<std::uint8_t> expected = answer.body;
  store_u32(expected.data() + 6, 260);
  store_u32(expected.data() + 22, 60);
  CHECK(std::equal(expected.begin(), expected.end(), found.body.begin()));
}

TEST_CASE("a record's TTL never goes below 0") {
  Fixture f;
  Answer answer(5);
  answer.head.ttl_s = 60;  // [dns.cache] min_ttl
  f.put(0, answer);
  CHECK(f.find(30).ttl() == 0);
}

TEST_CASE("an entry is fresh until its TTL is over, not a second longer") {
  Fixture f;
  f.put(0, Answer(60));
  CHECK(f.find(59).hit.state == State::kFresh);
  CHECK(f.find(60).hit.state == State::kStale);
}

TEST_CASE("TTL 0 lasts for the second it came in and shows 0") {
  CacheSettings settings;
  settings.serve_stale_s = 0;
  Fixture f(settings);
  f.put(10, Answer(0));
  const Found found = f.find(10);
  CHECK(found.hit.state == State::kFresh);
  CHECK(found.ttl() == 0);
  CHECK(found.hit.head.ttl_s == 0);
  CHECK(f.find(11).hit.state == State::kMiss);
}

TEST_CASE("a clock that is a moment behind sees a new entry as new") {
  Fixture f;
  f.put(10, Answer(60));
  const Found found = f.find(9);
  CHECK(found.hit.state == State::kFresh);
  CHECK(found.ttl() == 60);
}

TEST_CASE("stale data has TTL 30 and ends with serve_stale (RFC 8767)") {
  CacheSettings settings;
  settings.serve_stale_s = 1000;
  Fixture f(settings);
  f.put(0, Answer(60));
  const Found found = f.find(61);
  CHECK(found.hit.state == State::kStale);
  CHECK(found.hit.retry_now);
  CHECK(found.ttl() == 30);
  CHECK(found.hit.head.ttl_s == 30);
  CHECK(f.find(1059).hit.state == State::kStale);
  CHECK(f.find(1060).hit.state == State::kMiss);
}

TEST_CASE("serve_stale 0 serves nothing stale") {
  CacheSettings settings;
  settings.serve_stale_s = 0;
  Fixture f(settings);
  f.put(0, Answer(60));
  CHECK(f.find(60).hit.state == State::kMiss);
}

TEST_CASE("a failure is noted on what can be served stale, and replaces nothing of it") {
  Fixture f;
  f.put(0, Answer(60, 9));
  f.put(100, failure());
  Found found = f.find(101);
  CHECK(found.hit.state == State::kStale);
  CHECK_FALSE(found.hit.retry_now);
  CHECK(found.last() == 9);
  CHECK_FALSE(f.find(129).hit.retry_now);
  CHECK(f.find(130).hit.retry_now);
}

TEST_CASE("a failed refresh leaves a fresh entry as it is") {
  Fixture f;
  f.put(0, Answer(60, 9));
  f.put(55, failure());
  CHECK(f.find(56).hit.state == State::kFresh);
  CHECK(f.find(56).last() == 9);
  const Found later = f.find(61);
  CHECK(later.hit.state == State::kStale);
  CHECK_FALSE(later.hit.retry_now);
}

TEST_CASE("a new answer takes the note of the failure away") {
  Fixture f;
  f.put(0, Answer(60));
  f.put(100, failure());
  f.put(101, Answer(5));
  CHECK(f.find(106).hit.retry_now);
}

TEST_CASE("a failure is kept for its time where there is nothing else, and is never stale") {
  Fixture f;
  f.put(0, failure(5));
  const Found found = f.find(4);
  CHECK(found.hit.state == State::kFresh);
  CHECK(found.hit.head.failure);
  CHECK(found.hit.head.rcode() == Rcode::kServFail);
  CHECK(std::string(found.hit.ede_text.data(), found.hit.head.ede_text_size) == "udp://192.0.2.53");
  CHECK(f.find(5).hit.state == State::kMiss);
}

TEST_CASE("an answer replaces a failure, and a failure a failure") {
  Fixture f;
  f.put(0, failure(5));
  f.put(3, failure(5));
  CHECK(f.find(7).hit.state == State::kFresh);
  f.put(7, Answer(60, 3));
  CHECK(f.find(7).last() == 3);
  CHECK(f.cache.stats().entries == 1);
}

TEST_CASE("the newest answer counts, whether shorter, as long or longer") {
  Fixture f;
  std::uint8_t round = 0;
  for (const std::size_t filling : {100U, 100U, 90U, 3000U, 0U, 700U}) {
    ++round;
    f.put(round, Answer(60, round, filling));
    const Found found = f.find(round);
    CHECK(found.last() == round);
    CHECK(found.hit.head.body_size == 16 + filling);
    CHECK(f.cache.stats().entries == 1);
  }
}

TEST_CASE("every part of the key keeps answers apart") {
  Fixture f;
  const LookupName other_name = lookup("b.example.");
  const LookupName longer = lookup("x.a.example.");
  std::vector<CacheKey> keys(9, f.key);
  keys[1].name = &other_name;
  keys[2].name = &longer;
  keys[3].type = RrType::kAaaa;
  keys[4].klass = RrClass::kCh;
  keys[5].policy_id = 2;
  keys[6].dnssec_ok = true;
  keys[7].checking_disabled = true;
  keys[8].owned = true;
  std::uint8_t number = 0;
  for (const CacheKey& key : keys) {
    CHECK(f.find(key, 0).hit.state == State::kMiss);
    f.cache.put(key, 0, Answer(60, ++number).view());
  }
  number = 0;
  for (const CacheKey& key : keys) CHECK(f.find(key, 0).last() == ++number);
  for (std::size_t i = 1; i < keys.size(); ++i) CHECK(keys[i].hash() != keys[0].hash());
}

TEST_CASE("a popular entry is fetched again in the last tenth of its TTL, by one caller") {
  Fixture f;
  f.put(0, Answer(100));
  for (int i = 0; i < 5; ++i) CHECK_FALSE(f.find(89).hit.refresh);
  CHECK(f.find(90).hit.refresh);
  for (std::uint32_t now = 90; now < 110; ++now) CHECK_FALSE(f.find(now).hit.refresh);
  f.put(110, Answer(100));
  for (int i = 0; i < 3; ++i) CHECK_FALSE(f.find(205).hit.refresh);
  CHECK(f.find(205).hit.refresh);
}

TEST_CASE("an entry that few ask for, or prefetch = false, is left to end") {
  Fixture f;
  f.put(0, Answer(100));
  for (int i = 0; i < 3; ++i) CHECK_FALSE(f.find(95).hit.refresh);
  CacheSettings settings;
  settings.prefetch = false;
  Fixture off(settings);
  off.put(0, Answer(100));
  for (int i = 0; i < 20; ++i) CHECK_FALSE(off.find(95).hit.refresh);
}

TEST_CASE("a body that does not fit is not copied") {
  Fixture f;
  f.put(0, Answer(60, 1, 1000));
  std::array<std::uint8_t, 100> small{};
  CacheHit hit;
  f.cache.find(f.key, 0, small, &hit);
  CHECK(hit.state == State::kFresh);
  CHECK(hit.too_large);
  CHECK(hit.head.body_size == 1016);
  CHECK(small[0] == 0);
}

TEST_CASE("flush of a name drops all its types and policies and nothing else") {
  Fixture f;
  const LookupName other_name = lookup("b.example.");
  std::vector<CacheKey> keys(4, f.key);
  keys[1].type = RrType::kAaaa;
  keys[2].policy_id = 2;
  keys[3].name = &other_name;
  for (const CacheKey& key : keys) f.cache.put(key, 0, Answer(60).view());
  CHECK(f.cache.flush(f.name) == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(f.find(keys[i], 0).hit.state == State::kMiss);
  CHECK(f.find(keys[3], 0).hit.state == State::kFresh);
  CHECK(f.cache.flush(f.name) == 0);
  f.put(0, Answer(60));
  CHECK(f.find(0).hit.state == State::kFresh);
}

TEST_CASE("flush of everything leaves an empty cache that works and holds little memory") {
  Fixture f;
  const std::uint64_t empty_bytes = f.cache.stats().bytes;
  for (unsigned i = 0; i < 10000; ++i) {
    const LookupName name = numbered(i);
    f.cache.put({&name, RrType::kA, RrClass::kIn}, 0, Answer(60).view());
  }
  CHECK(f.cache.stats().bytes > 10 * empty_bytes);
  f.cache.flush();
  CHECK(f.cache.stats().entries == 0);
  CHECK(f.cache.stats().bytes == empty_bytes);
  CHECK(f.find(0).hit.state == State::kMiss);
  f.put(0, Answer(60, 4));
  CHECK(f.find(0).last() == 4);
}

TEST_CASE("an image larger than an eighth of a stripe is not stored, nor is the old one kept") {
  Fixture f(with_size(1 << 20));
  f.put(0, Answer(60));
  Answer large(60, 1, 60000);
  f.put(0, large);
  CHECK(f.cache.stats().entries == 1);
  Fixture small(with_size(256 << 10));
  small.put(0, Answer(60));
  small.put(0, large);
  CHECK(small.cache.stats().entries == 0);
}

TEST_CASE("a cache without room stores nothing and does not mind") {
  for (const std::size_t size : {0U, 1U, 600U, 4096U}) {
    Fixture f(with_size(size));
    f.put(0, Answer(60));
    CHECK(f.find(0).hit.state == State::kMiss);
    f.cache.flush();
  }
}

TEST_CASE("the size is a hard limit whatever is put in, and what is found is right") {
  for (const std::size_t size :
       {std::size_t{64} << 10, std::size_t{1} << 20, std::size_t{3000000}}) {
    Fixture f(with_size(size));
    Random random(7);
    unsigned found_count = 0;
    for (unsigned i = 0; i < 60000; ++i) {
      const unsigned number = random() % 20000;
      const LookupName name = numbered(number);
      const CacheKey key{&name, RrType::kA, RrClass::kIn};
      const Found found = f.find(key, i / 100);
      if (found.hit.state != State::kMiss) {
        ++found_count;
        REQUIRE(found.last() == number % 251);
        REQUIRE(found.body[found.hit.head.body_size - 1U] == number % 251);
      }
      const std::size_t filling = i % 97 == 0 ? random() % 3000 : random() % 120;
      f.cache.put(key, i / 100,
                  Answer(random() % 600, static_cast<std::uint8_t>(number % 251), filling).view());
      if (i % 1000 == 0) REQUIRE(f.cache.stats().bytes <= size);
    }
    CHECK(f.cache.stats().bytes <= size);
    CHECK(f.cache.stats().evictions > 0);
    CHECK(found_count > 100);
  }
}

TEST_CASE("a full cache is well used: most of its bytes are entries") {
  Fixture f(with_size(4 << 20));
  for (unsigned i = 0; i < 100000; ++i) {
    const LookupName name = numbered(i);
    f.cache.put({&name, RrType::kA, RrClass::kIn}, 0, Answer(600, 1, 84).view());
  }
  // Each entry carries a body of 100 bytes and a name of 27.
  CHECK(f.cache.stats().entries * 127 > (4U << 20) * 55 / 100);
}

TEST_CASE("entries that are asked for stay while new ones pass by") {
  Fixture f(with_size(1 << 20));
  const auto popular = [&](unsigned i, bool put) {
    const LookupName name = numbered(i);
    const CacheKey key{&name, RrType::kA, RrClass::kIn};
    if (put) f.cache.put(key, 0, Answer(3600).view());
    return f.find(key, 1).hit.state == State::kFresh;
  };
  for (unsigned i = 0; i < 50; ++i) popular(i, true);
  unsigned kept = 0;
  for (unsigned i = 1000; i < 100000; ++i) {
    const LookupName name = numbered(i);
    f.cache.put({&name, RrType::kA, RrClass::kIn}, 1, Answer(3600).view());
    if (i % 10 == 0) kept += popular(i / 10 % 50, false) ? 1 : 0;
  }
  CHECK(f.cache.stats().evictions > 80000);
  CHECK(kept == 9900);
}

TEST_CASE("what can't be served any more goes before what can") {
  CacheSettings settings = with_size(1 << 20);
  settings.serve_stale_s = 0;
  Fixture f(settings);
  f.put(0, Answer(10));
  CHECK(f.find(5).hit.state == State::kFresh);
  const LookupName kept_name = lookup("kept.example.");
  const CacheKey kept{&kept_name, RrType::kA, RrClass::kIn};
  f.cache.put(kept, 0, Answer(1000).view());
  CHECK(f.find(kept, 5).hit.state == State::kFresh);
  for (unsigned i = 0; f.cache.stats().evictions == 0; ++i) {
    const LookupName name = numbered(i);
    f.cache.put({&name, RrType::kA, RrClass::kIn}, 20, Answer(1000).view());
  }
  CHECK(f.find(kept, 20).hit.state == State::kFresh);
  CHECK(f.cache.flush(f.name) == 0);
}

TEST_CASE("statistics count what happened") {
  Fixture f;
  f.find(0);
  f.put(0, Answer(60));
  f.find(0);
  f.find(1);
  f.find(70);
  const CacheStats stats = f.cache.stats();
  CHECK(stats.entries == 1);
  CHECK(stats.hits == 2);
  CHECK(stats.stale_hits == 1);
  CHECK(stats.misses == 1);
  CHECK(stats.insertions == 1);
  CHECK(stats.evictions == 0);
}

TEST_CASE("many workers may look, store and flush at the same time") {
  Cache cache(with_size(256 << 10));
  std::atomic<unsigned> wrong{0};
  std::atomic<unsigned> refreshes{0};
  const auto work = [&](unsigned seed) {
    Random random(seed);
    CacheHit hit;
    std::array<std::uint8_t, 4096> body{};
    for (unsigned i = 0; i < 20000; ++i) {
      const unsigned number = random() % 3000;
      const LookupName name = numbered(number);
      const CacheKey key{&name, RrType::kA, RrClass::kIn};
      cache.find(key, 0, body, &hit);
      if (hit.state != State::kMiss && body[15] != number % 251) ++wrong;
      if (hit.refresh) ++refreshes;
      if (i % 3 == 0) {
        cache.put(key, 0, Answer(60, static_cast<std::uint8_t>(number % 251), number % 90).view());
      }
      if (i % 5000 == 0) cache.flush(name);
      if (i % 7000 == 0) cache.stats();
    }
    if (seed == 1) cache.flush();
  };
  std::vector<std::thread> workers;
  for (unsigned seed = 0; seed < 4; ++seed) workers.emplace_back(work, seed);
  for (std::thread& worker : workers) worker.join();
  CHECK(wrong == 0);
  CHECK(refreshes == 0);
  CHECK(cache.stats().bytes <= 256 << 10);
}

TEST_CASE("of many workers that hit an entry about to end, one is told to fetch") {
  Cache cache(with_size(1 << 20));
  const LookupName name = lookup("a.example.");
  const CacheKey key{&name, RrType::kA, RrClass::kIn};
  cache.put(key, 0, Answer(100).view());
  std::atomic<unsigned> refreshes{0};
  const auto work = [&] {
    CacheHit hit;
    std::array<std::uint8_t, 512> body{};
    for (unsigned i = 0; i < 1000; ++i) {
      cache.find(key, 95, body, &hit);
      if (hit.refresh) ++refreshes;
    }
  };
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < 4; ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  CHECK(refreshes == 1);
}

TEST_CASE("the text of an EDE is cut at its limit, not inside a character") {
  static ImageBuffer image;
  image.set_ede(Ede::kFiltered, "short");
  CHECK(image.head.ede == 17);
  CHECK(std::string(image.ede_text.data(), image.head.ede_text_size) == "short");
  const std::string prefix(kEdeTextMax - 1, 'x');
  image.set_ede(Ede::kOther, prefix + "\xc3\xa9");  // e with acute accent, two bytes
  CHECK(std::string(image.ede_text.data(), image.head.ede_text_size) == prefix);
  image.set_ede(Ede::kOther, std::string(500, 'x'));
  CHECK(image.head.ede_text_size == kEdeTextMax);
}

}  // namespace postern::dns
