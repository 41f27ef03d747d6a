#include "dns/cache.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <mutex>
#include <new>

#include "dns/cache_ring.h"
#include "dns/cache_table.h"

namespace postern::dns {

namespace {

constexpr std::size_t kStripesMax = 64;
constexpr std::size_t kStripeBytesMin = std::size_t{1} << 20;
constexpr std::size_t kBytesPerSlot = 112;  // a small entry, and the table's share of it
constexpr std::size_t kImageShareMax = 8;   // an image takes at most this part of a stripe
constexpr unsigned kSecondChancesMax = 64;  // entries moved for one put(): some microseconds
constexpr std::size_t kPrefetchPartOfTtl = 10;
constexpr std::size_t kCacheLineBytes = 64;

/// One answer as it stands in the ring; behind it: TTL offsets, body, owner name, EDE text.
struct Entry {
  std::uint64_t policy_id;
  ImageHead head;
  std::uint32_t tag;
  std::uint32_t stored_s;
  std::uint32_t failed_until_s;  // upstream failed lately: no use in asking before this
  std::uint16_t units;           // size of the block in CacheRing::kUnit
  RrType type;
  RrClass klass;
  std::uint8_t name_size;
  std::uint8_t hits : 4;  // counted up to kPrefetchHitsMin
  bool visited : 1;
  bool refresh_told : 1;
  bool dead : 1;  // replaced or flushed; the space is still to be collected
  bool dnssec_ok : 1;
  bool checking_disabled : 1;
  bool owned : 1;
  bool guarded : 1;

  std::size_t offsets_size() const { return head.ttl_count * sizeof(std::uint16_t); }
  const std::uint8_t* offsets() const { return reinterpret_cast<const std::uint8_t*>(this + 1); }
  const std::uint8_t* body() const { return offsets() + offsets_size(); }
  const std::uint8_t* name() const { return body() + head.body_size; }
  const std::uint8_t* ede_text() const { return name() + name_size; }
  std::size_t block_size() const { return std::size_t{units} * CacheRing::kUnit; }
};
static_assert(sizeof(Entry) == 56 && kPrefetchHitsMin < 16);

enum class Life : std::uint8_t { kFresh, kStale, kOver };

std::uint32_t age_of(const Entry& entry, std::uint32_t now_s) {
  // Workers read the clock each for itself: one may be a moment behind.
  return now_s > entry.stored_s ? now_s - entry.stored_s : 0;
}

std::size_t block_size_for(const CacheKey& key, const ImageView& image) {
  const std::size_t size = sizeof(Entry) + image.ttl_offsets.size_bytes() + image.body.size() +
                           key.name->name().size() + image.ede_text.size();
  return (size + CacheRing::kUnit - 1) / CacheRing::kUnit * CacheRing::kUnit;
}

bool has_name(const Entry& entry, const LookupName& name) {
  return equal_bytes({entry.name(), entry.name_size}, name.name().wire());
}

bool has_key(const Entry& entry, const CacheKey& key) {
  return entry.type == key.type && entry.klass == key.klass && entry.policy_id == key.policy_id &&
         entry.dnssec_ok == key.dnssec_ok && entry.checking_disabled == key.checking_disabled &&
         entry.owned == key.owned && entry.guarded == key.guarded && has_name(entry, *key.name);
}

std::uint8_t* append(std::uint8_t* to, const void* from, std::size_t size) {
  if (size != 0) std::memcpy(to, from, size);
  return to + size;
}

void write_entry(std::uint8_t* block, std::size_t size, std::uint32_t tag, const CacheKey& key,
                 std::uint32_t now_s, const ImageView& image) {
  auto* entry = new (block) Entry{};
  entry->policy_id = key.policy_id;
  entry->head = image.head;
  entry->tag = tag;
  entry->stored_s = now_s;
  entry->units = static_cast<std::uint16_t>(size / CacheRing::kUnit);
  entry->type = key.type;
  entry->klass = key.klass;
  entry->name_size = static_cast<std::uint8_t>(key.name->name().size());
  entry->dnssec_ok = key.dnssec_ok;
  entry->checking_disabled = key.checking_disabled;
  entry->owned = key.owned;
  entry->guarded = key.guarded;
  std::uint8_t* to = block + sizeof(Entry);
  to = append(to, image.ttl_offsets.data(), image.ttl_offsets.size_bytes());
  to = append(to, image.body.data(), image.body.size());
  to = append(to, key.name->name().wire().data(), entry->name_size);
  append(to, image.ede_text.data(), image.ede_text.size());
}

void copy_body(const Entry& entry, Life life, std::uint32_t age, MutableBytes out) {
  std::memcpy(out.data(), entry.body(), entry.head.body_size);
  const std::uint8_t* offsets = entry.offsets();
  for (std::size_t i = 0; i < entry.head.ttl_count; ++i) {
    std::uint16_t offset = 0;
    std::memcpy(&offset, offsets + i * sizeof(offset), sizeof(offset));
    const std::uint32_t ttl = load_u32(out.data() + offset);
    const std::uint32_t left = ttl > age ? ttl - age : 0;
    store_u32(out.data() + offset, life == Life::kStale ? kStaleTtlS : left);
  }
}

}  // namespace

/// A part of the cache with a lock of its own.
struct Cache::Stripe {
  Stripe(const CacheSettings& cache_settings, std::size_t budget, std::size_t slots_max)
      : settings(cache_settings),
        block_max(std::min(budget / kImageShareMax, CacheRing::kUnit * UINT16_MAX)),
        ring(budget > overhead(slots_max) ? budget - overhead(slots_max) : 0),
        table(slots_max) {}

  static std::size_t overhead(std::size_t slots_max) {
    return sizeof(Stripe) + CacheTable::bytes_max(slots_max);
  }

  Entry* at(std::size_t offset) { return std::launder(reinterpret_cast<Entry*>(ring.at(offset))); }
  std::size_t find(const CacheKey& key, std::uint32_t tag);
  Life life_at(const Entry& entry, std::uint32_t age) const;
  Life life_of(const Entry& entry, std::uint32_t now_s) const {
    return life_at(entry, age_of(entry, now_s));
  }
  bool is_time_to_refresh(const Entry& entry, std::uint32_t age) const;
  void serve(Entry& entry, std::uint32_t now_s, MutableBytes body_out, CacheHit* out);
  void kill(std::size_t offset);
  void collect_oldest(std::uint32_t now_s, unsigned* chances);
  std::size_t allocate(std::size_t size, std::uint32_t now_s);
  void put(const CacheKey& key, std::uint32_t tag, std::uint32_t now_s, const ImageView& image);
  std::size_t flush(const LookupName& name);
  CachedAnswer copy_of(const Entry& entry, std::uint32_t now_s) const;
  void list(const LookupName& name, std::uint32_t now_s, std::size_t max,
            std::vector<CachedAnswer>* out);

  std::mutex mutex;
  const CacheSettings& settings;
  const std::size_t block_max;
  CacheRing ring;
  CacheTable table;
  CacheStats stats;  // entries and bytes are filled in when asked for
};

std::size_t Cache::Stripe::find(const CacheKey& key, std::uint32_t tag) {
  return table.find(tag, [&](std::size_t offset) {
    // A typical entry stands in three cache lines: fetched together, not one after the other.
    const std::uint8_t* block = ring.at(offset);
    __builtin_prefetch(block + kCacheLineBytes);
    __builtin_prefetch(block + 2 * kCacheLineBytes);
    return has_key(*at(offset), key);
  });
}

Life Cache::Stripe::life_at(const Entry& entry, std::uint32_t age) const {
  // TTL 0 lasts for the second it came in, so that those who wait for it find it.
  if (age < std::max(entry.head.ttl_s, 1U)) return Life::kFresh;
  const bool stale = !entry.head.failure && !entry.head.no_stale &&
                     age < std::uint64_t{entry.head.ttl_s} + settings.serve_stale_s;
  return stale ? Life::kStale : Life::kOver;
}

bool Cache::Stripe::is_time_to_refresh(const Entry& entry, std::uint32_t age) const {
  const std::uint64_t left = entry.head.ttl_s - std::min(age, entry.head.ttl_s);
  return settings.prefetch && !entry.refresh_told && !entry.head.failure &&
         entry.hits >= kPrefetchHitsMin && left * kPrefetchPartOfTtl <= entry.head.ttl_s;
}

void Cache::Stripe::serve(Entry& entry, std::uint32_t now_s, MutableBytes body_out, CacheHit* out) {
  const std::uint32_t age = age_of(entry, now_s);
  const Life life = life_at(entry, age);
  if (life == Life::kOver) {
    ++stats.misses;
    return;
  }
  out->head = entry.head;
  append(reinterpret_cast<std::uint8_t*>(out->ede_text.data()), entry.ede_text(),
         entry.head.ede_text_size);
  if (life == Life::kFresh) {
    ++stats.hits;
    out->state = CacheHit::State::kFresh;
    out->head.ttl_s -= std::min(age, entry.head.ttl_s);
    if (entry.hits < kPrefetchHitsMin) ++entry.hits;
    if (is_time_to_refresh(entry, age)) out->refresh = entry.refresh_told = true;
  } else {
    ++stats.stale_hits;
    out->state = CacheHit::State::kStale;
    out->head.ttl_s = kStaleTtlS;
    out->retry_now = now_s >= entry.failed_until_s;
  }
  if (!entry.visited) entry.visited = true;
  out->too_large = entry.head.body_size > body_out.size();
  if (!out->too_large) copy_body(entry, life, age, body_out);
}

void Cache::Stripe::kill(std::size_t offset) {
  Entry* entry = at(offset);
  table.erase(entry->tag, offset);
  entry->dead = true;
}

void Cache::Stripe::collect_oldest(std::uint32_t now_s, unsigned* chances) {
  const std::size_t offset = ring.oldest();
  Entry* entry = at(offset);
  const std::size_t size = entry->block_size();
  if (!entry->dead && entry->visited && *chances > 0 && life_of(*entry, now_s) != Life::kOver) {
    --*chances;
    entry->visited = false;
    const std::uint32_t tag = entry->tag;
    table.move(tag, offset, ring.renew_oldest(size));
    return;
  }
  if (!entry->dead) {
    table.erase(entry->tag, offset);
    ++stats.evictions;
  }
  ring.drop_oldest(size);
}

std::size_t Cache::Stripe::allocate(std::size_t size, std::uint32_t now_s) {
  unsigned chances = kSecondChancesMax;
  while (!table.make_room()) collect_oldest(now_s, &chances);
  for (;;) {
    const std::size_t offset = ring.append(size);
    if (offset != CacheRing::kNone || ring.empty()) return offset;
    collect_oldest(now_s, &chances);
  }
}

void Cache::Stripe::put(const CacheKey& key, std::uint32_t tag, std::uint32_t now_s,
                        const ImageView& image) {
  const std::size_t size = block_size_for(key, image);
  std::size_t offset = find(key, tag);
  const bool replaces = offset != CacheTable::kNone;
  if (replaces) {
    Entry* old = at(offset);
    if (image.head.failure && !old->head.failure && life_of(*old, now_s) != Life::kOver) {
      old->failed_until_s = now_s + kFailureRecheckS;
      return;
    }
    // Mostly the new answer is as long as the old one and can take its place.
    const std::size_t room = old->block_size();
    if (size <= room && room <= 2 * size) {
      write_entry(ring.at(offset), room, tag, key, now_s, image);
      at(offset)->visited = true;
      ++stats.insertions;
      return;
    }
    kill(offset);
  }
  if (size > block_max) return;
  offset = allocate(size, now_s);
  if (offset == CacheRing::kNone) return;
  write_entry(ring.at(offset), size, tag, key, now_s, image);
  at(offset)->visited = replaces;
  table.insert(tag, offset);
  ++stats.insertions;
}

std::size_t Cache::Stripe::flush(const LookupName& name) {
  std::size_t dropped = 0;
  std::size_t offset = ring.oldest();
  while (offset != CacheRing::kNone) {
    const Entry* entry = at(offset);
    if (!entry->dead && has_name(*entry, name)) {
      kill(offset);
      ++dropped;
    }
    offset = ring.next(offset, entry->block_size());
  }
  return dropped;
}

CachedAnswer Cache::Stripe::copy_of(const Entry& entry, std::uint32_t now_s) const {
  const std::uint32_t age = age_of(entry, now_s);
  CachedAnswer answer;
  answer.type = entry.type;
  answer.klass = entry.klass;
  answer.policy_id = entry.policy_id;
  answer.dnssec_ok = entry.dnssec_ok;
  answer.checking_disabled = entry.checking_disabled;
  answer.stale = life_at(entry, age) == Life::kStale;
  answer.age_s = age;
  answer.head = entry.head;
  answer.head.ttl_s =
      answer.stale ? kStaleTtlS : entry.head.ttl_s - std::min(age, entry.head.ttl_s);
  answer.body.resize(entry.head.body_size);
  copy_body(entry, life_at(entry, age), age, answer.body);
  return answer;
}

void Cache::Stripe::list(const LookupName& name, std::uint32_t now_s, std::size_t max,
                         std::vector<CachedAnswer>* out) {
  std::size_t offset = ring.oldest();
  while (offset != CacheRing::kNone && out->size() < max) {
    const Entry* entry = at(offset);
    if (!entry->dead && has_name(*entry, name) && life_of(*entry, now_s) != Life::kOver) {
      out->push_back(copy_of(*entry, now_s));
    }
    offset = ring.next(offset, entry->block_size());
  }
}

Cache::Cache(const CacheSettings& settings) : settings_(settings) {
  const std::size_t wanted = std::bit_floor(settings.size_bytes / kStripeBytesMin);
  const std::size_t stripes = std::clamp(wanted, std::size_t{1}, kStripesMax);
  const std::size_t budget = settings.size_bytes / stripes;
  stripes_.reserve(stripes);
  for (std::size_t i = 0; i < stripes; ++i) {
    stripes_.push_back(std::make_unique<Stripe>(settings_, budget, budget / kBytesPerSlot));
  }
}

Cache::~Cache() = default;

void Cache::find(const CacheKey& key, std::uint32_t now_s, MutableBytes body_out, CacheHit* out) {
  out->state = CacheHit::State::kMiss;
  out->refresh = false;
  out->retry_now = true;
  out->too_large = false;
  const std::uint64_t hash = key.hash();
  Stripe& stripe = *stripes_[hash & (stripes_.size() - 1)];
  const std::lock_guard lock(stripe.mutex);
  const std::size_t offset = stripe.find(key, static_cast<std::uint32_t>(hash >> 32));
  if (offset == CacheTable::kNone) {
    ++stripe.stats.misses;
    return;
  }
  stripe.serve(*stripe.at(offset), now_s, body_out, out);
}

void Cache::put(const CacheKey& key, std::uint32_t now_s, const ImageView& image) {
  const std::uint64_t hash = key.hash();
  Stripe& stripe = *stripes_[hash & (stripes_.size() - 1)];
  const std::lock_guard lock(stripe.mutex);
  stripe.put(key, static_cast<std::uint32_t>(hash >> 32), now_s, image);
}

std::size_t Cache::flush(const LookupName& name) {
  std::size_t dropped = 0;
  for (const auto& stripe : stripes_) {
    const std::lock_guard lock(stripe->mutex);
    dropped += stripe->flush(name);
  }
  return dropped;
}

void Cache::flush() {
  for (const auto& stripe : stripes_) {
    const std::lock_guard lock(stripe->mutex);
    stripe->table.clear();
    stripe->ring.clear();
  }
}

std::vector<CachedAnswer> Cache::answers_for(const LookupName& name, std::uint32_t now_s,
                                             std::size_t max) const {
  std::vector<CachedAnswer> answers;
  for (const auto& stripe : stripes_) {
    const std::lock_guard lock(stripe->mutex);
    stripe->list(name, now_s, max, &answers);
  }
  return answers;
}

CacheStats Cache::stats() const {
  CacheStats sum;
  for (const auto& stripe : stripes_) {
    const std::lock_guard lock(stripe->mutex);
    sum.entries += stripe->table.count();
    sum.bytes += sizeof(Stripe) + stripe->table.bytes() + stripe->ring.touched();
    sum.hits += stripe->stats.hits;
    sum.stale_hits += stripe->stats.stale_hits;
    sum.misses += stripe->stats.misses;
    sum.insertions += stripe->stats.insertions;
    sum.evictions += stripe->stats.evictions;
  }
  return sum;
}

}  // namespace postern::dns
