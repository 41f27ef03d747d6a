#include "base/top_list.h"

#include <map>
#include <string>

#include <doctest/doctest.h>

namespace postern {
namespace {

template <class Tops>
void add(Tops* tops, const std::string& key, std::uint32_t weight = 1) {
  tops->add(key, spread_hash(key), weight);
}

template <class Tops>
std::map<std::string, TopEntry> entries(const Tops& tops) {
  std::vector<TopEntry> all;
  tops.collect(&all);
  std::map<std::string, TopEntry> by_key;
  for (const TopEntry& entry : all) by_key[entry.key] = entry;
  return by_key;
}

}  // namespace

TEST_CASE("as long as there is room counts are exact") {
  TopList<16, 4> tops;
  for (const char* key : {"a", "b", "a", "c", "a", "b"}) add(&tops, key);
  auto found = entries(tops);
  CHECK(found.size() == 3);
  CHECK(found["a"].count == 3);
  CHECK(found["b"].count == 2);
  CHECK(found["c"].count == 1);
  CHECK(found["a"].excess == 0);
}

TEST_CASE(
    "a frequent key survives a flood of others, and its count is wrong by no more than said") {
  TopList<16, 32> tops;
  for (int i = 0; i < 100'000; ++i) {
    add(&tops, "flood" + std::to_string(i));
    if (i % 10 == 0) add(&tops, "often");
  }
  auto found = entries(tops);
  CHECK(found.size() == 32);
  REQUIRE(found.count("often") == 1);
  const TopEntry& often = found["often"];
  CHECK(often.count >= 10'000);
  CHECK(often.count - often.excess <= 10'000);
}

TEST_CASE("a key longer than the room is cut") {
  TopList<4, 2> tops;
  add(&tops, "abcdef");
  CHECK(entries(tops).count("abcd") == 1);
}

TEST_CASE("the recent forget what is two periods old") {
  RecentTops<8, 4> tops(1000);
  tops.add("old", 1, 5000);
  tops.add("new", 2, 6500);
  CHECK(tops.entries(6500).size() == 2);
  CHECK(tops.entries(7600).size() == 1);
  CHECK(tops.entries(7600).front().key == "new");
  CHECK(tops.entries(20'000).empty());
}

TEST_CASE("lists of several workers are merged, the greatest first") {
  const auto merged =
      merged_tops({{"a", 1, 0}, {"b", 5, 1}, {"a", 3, 1}, {"c", 2, 0}, {"b", 1, 0}}, 2);
  REQUIRE(merged.size() == 2);
  CHECK(merged[0].key == "b");
  CHECK(merged[0].count == 6);
  CHECK(merged[1].key == "a");
  CHECK(merged[1].count == 4);
  CHECK(merged[1].excess == 1);
}

}  // namespace postern
