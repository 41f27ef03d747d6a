#include <array>
#include <vector>

#include <doctest/doctest.h>

#include "dns/cache.h"

namespace postern::dns {
namespace {

LookupName lookup(const char* text) { return LookupName(Name::parse(text).value().view()); }

/// An A record with TTL 300, owned by the question.
void put(Cache* cache, const CacheKey& key, std::uint32_t now_s) {
  const std::array<std::uint8_t, 16> body{0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 1};
  const std::array<std::uint16_t, 1> offsets{6};
  ImageHead head;
  head.ttl_s = 300;
  head.answers = 1;
  head.body_size = body.size();
  head.ttl_count = 1;
  cache->put(key, now_s, {head, offsets, body, {}});
}

}  // namespace

TEST_CASE("what is there for a name is listed, with what is left of it") {
  Cache cache({});
  const LookupName name = lookup("a.example."), other = lookup("b.example.");
  put(&cache, {&name, RrType::kA, RrClass::kIn, 1, false, false, false, false}, 1000);
  put(&cache, {&name, RrType::kHttps, RrClass::kIn, 2, true, false, false, false}, 1000);
  put(&cache, {&other, RrType::kA, RrClass::kIn, 1, false, false, false, false}, 1000);
  auto answers = cache.answers_for(name, 1100, 10);
  REQUIRE(answers.size() == 2);
  if (answers[0].type != RrType::kA) std::swap(answers[0], answers[1]);
  CHECK(answers[0].policy_id == 1);
  CHECK(answers[0].head.ttl_s == 200);
  CHECK(answers[0].age_s == 100);
  CHECK_FALSE(answers[0].stale);
  CHECK(load_u32(answers[0].body.data() + 6) == 200);
  CHECK(answers[1].dnssec_ok);
  CHECK(cache.answers_for(name, 1100, 1).size() == 1);
}

TEST_CASE("stale answers are listed as such, what is over is not, and looking counts as no hit") {
  CacheSettings settings;
  settings.serve_stale_s = 60;
  Cache cache(settings);
  const LookupName name = lookup("a.example.");
  put(&cache, {&name, RrType::kA, RrClass::kIn, 1, false, false, false, false}, 1000);
  const auto answers = cache.answers_for(name, 1310, 10);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].stale);
  CHECK(answers[0].head.ttl_s == kStaleTtlS);
  CHECK(cache.answers_for(name, 1400, 10).empty());
  CHECK(cache.stats().hits + cache.stats().stale_hits + cache.stats().misses == 0);
}

}  // namespace postern::dns
