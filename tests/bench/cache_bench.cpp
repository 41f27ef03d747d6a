#include <array>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench.h"
#include "dns/cache.h"

namespace postern::bench {

namespace {

using dns::LookupName;

constexpr unsigned kNames = 200'000;

/// Names of 27 bytes on the wire, as they stand in queries.
class Names {
 public:
  explicit Names(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      wire_ += dns::Name::parse(fmt::format("host{:08}.name.example.", i))->lower_wire();
    }
  }
  LookupName operator[](std::size_t i) const {
    return LookupName(dns::NameView(as_bytes(wire_).subspan(i * kBytes, kBytes)));
  }

 private:
  static constexpr std::size_t kBytes = 27;
  std::string wire_;
};

/// One to seven A records: bodies of 16 to 112 bytes.
struct Answer {
  std::vector<std::uint8_t> body;
  std::vector<std::uint16_t> offsets;
  dns::ImageHead head;

  explicit Answer(unsigned records) {
    for (unsigned i = 0; i < records; ++i) {
      offsets.push_back(static_cast<std::uint16_t>(body.size() + 6));
      body.insert(body.end(), {0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 1});
    }
    head.ttl_s = 3600;
    head.answers = head.ttl_count = static_cast<std::uint16_t>(records);
    head.body_size = static_cast<std::uint16_t>(body.size());
  }
  dns::ImageView view() const { return {head, offsets, body, {}}; }
};

dns::CacheKey key_of(const LookupName& name) {
  return {&name, dns::RrType::kA, dns::RrClass::kIn, 1};
}

/// KiB of this process's memory, shared pages by their share.
std::uint64_t pss_kib() {
  std::ifstream file("/proc/self/smaps_rollup");
  std::string word;
  while (file >> word) {
    if (word == "Pss:") {
      std::uint64_t kib = 0;
      file >> kib;
      return kib;
    }
  }
  return 0;
}

void fill(dns::Cache& cache, const Names& names, unsigned count) {
  std::vector<Answer> answers;
  for (unsigned records = 1; records <= 7; ++records) answers.emplace_back(records);
  for (std::size_t i = 0; i < count; ++i) {
    const LookupName name = names[i];
    cache.put(key_of(name), 0, answers[i % answers.size()].view());
  }
}

void report_memory(Bench& bench, const Names& names) {
  if (!bench.wanted("cache memory")) return;
  const std::uint64_t before = pss_kib();
  dns::Cache cache({});
  const std::uint64_t made = pss_kib();
  fill(cache, names, kNames);
  std::printf("cache memory: empty %llu KiB, %llu entries %llu KiB (own count %llu KiB)\n",
              static_cast<unsigned long long>(made - before),
              static_cast<unsigned long long>(cache.stats().entries),
              static_cast<unsigned long long>(pss_kib() - before),
              static_cast<unsigned long long>(cache.stats().bytes / 1024));
}

/// Visits all of them in an order that no prefetcher guesses.
std::size_t scattered(std::uint64_t i, std::size_t count) {
  return static_cast<std::size_t>((i * 0x9e3779b97f4a7c15ULL) >> 20) % count;
}

}  // namespace

void bench_cache(Bench& bench) {
  const Names names(kNames);
  report_memory(bench, names);
  std::array<std::uint8_t, 4096> body{};
  dns::CacheHit hit;
  bench.run("cache: the name prepared for look-ups, nothing else",
            [&](std::uint64_t i) { keep(names[scattered(i, kNames)]); });
  for (const unsigned count : {1U, 100U, 10'000U, 200'000U}) {
    dns::Cache cache({});
    fill(cache, names, count);
    const LookupName same = names[0];
    cache.put(key_of(same), 0, Answer(6).view());
    bench.run(fmt::format("cache hit, the same of {} names, name prepared", count),
              [&](std::uint64_t) {
                cache.find(key_of(same), 10, body, &hit);
                keep(hit);
              });
    bench.run(fmt::format("cache hit, all of {} names in turn", count), [&](std::uint64_t i) {
      const LookupName name = names[scattered(i, count)];
      cache.find(key_of(name), 10, body, &hit);
      keep(hit);
    });
  }
  dns::Cache full({.size_bytes = 16U << 20});
  const Answer answer(4);
  bench.run("cache miss, then put into a full cache", [&](std::uint64_t i) {
    const LookupName name = names[scattered(i, kNames)];
    full.find(key_of(name), 10, body, &hit);
    if (hit.state == dns::CacheHit::State::kMiss) full.put(key_of(name), 10, answer.view());
  });
}

}  // namespace postern::bench
