// The most frequent keys of a stream in fixed memory (Metwally, Agrawal, El Abbadi: "Efficient
// computation of frequent and top-k elements", 2005): a new key takes the place of the rarest one
// and inherits its count, which is noted as what the count may be too high by. No allocation after
// the first key. One thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct TopEntry {
  std::string key;
  std::uint64_t count = 0;
  std::uint64_t excess = 0;  ///< the count may be too high by so much
};

/// Of the same key one, with the sum; the greatest first, `max` at most.
std::vector<TopEntry> merged_tops(std::vector<TopEntry> all, std::size_t max);

/// FNV-1a with its bits spread: for short keys that come without a hash.
inline std::uint64_t spread_hash(std::string_view key) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return (hash ^ hash >> 32U) * 0x9fb21c651e98df25ULL;
}

/// Keys longer than `kKeyBytes` are cut.
template <std::size_t kKeyBytes, std::size_t kSlots = 256>
class TopList {
 public:
  /// `hash`: of the key, any that spreads well.
  void add(std::string_view key, std::uint64_t hash, std::uint32_t weight = 1) {
    if (slots_ == nullptr) slots_ = std::make_unique<Slots>();
    const auto tag = static_cast<std::uint32_t>(hash >> 32U);
    key = key.substr(0, kKeyBytes);
    // One pass over tags and counts, which stand densely: some hundred nanoseconds at worst.
    for (std::size_t i = 0; i < used_; ++i) {
      if (slots_->tags[i] != tag || slots_->keys[i].view() != key) continue;
      slots_->counts[i] += weight;
      return;
    }
    take_place(used_ < kSlots ? used_++ : rarest(), key, tag, weight);
  }

  void collect(std::vector<TopEntry>* out) const {
    for (std::size_t i = 0; i < used_; ++i) {
      out->push_back({std::string(slots_->keys[i].view()), slots_->counts[i], slots_->excess[i]});
    }
  }

  void clear() {
    if (slots_ != nullptr) *slots_ = {};
    used_ = 0;
  }

 private:
  struct Key {
    std::uint8_t size = 0;
    std::array<char, kKeyBytes> bytes;

    std::string_view view() const { return {bytes.data(), size}; }
  };
  struct Slots {
    std::array<std::uint32_t, kSlots> tags{};
    std::array<std::uint64_t, kSlots> counts{};
    std::array<std::uint64_t, kSlots> excess{};
    std::array<Key, kSlots> keys{};
  };
  static_assert(kKeyBytes < 256);

  std::size_t rarest() const {
    const auto& counts = slots_->counts;
    return static_cast<std::size_t>(std::min_element(counts.begin(), counts.end()) -
                                    counts.begin());
  }

  void take_place(std::size_t i, std::string_view key, std::uint32_t tag, std::uint32_t weight) {
    slots_->excess[i] = slots_->counts[i];
    slots_->counts[i] += weight;
    slots_->tags[i] = tag;
    slots_->keys[i].size = static_cast<std::uint8_t>(key.size());
    std::copy(key.begin(), key.end(), slots_->keys[i].bytes.begin());
  }

  std::unique_ptr<Slots> slots_;
  std::size_t used_ = 0;
};

/// The same over the last one to two periods: an old half and a new one.
template <std::size_t kKeyBytes, std::size_t kSlots = 256>
class RecentTops {
 public:
  explicit RecentTops(std::uint64_t period_ms) : period_ms_(period_ms) {}

  void add(std::string_view key, std::uint64_t hash, std::uint64_t now_ms,
           std::uint32_t weight = 1) {
    turn(now_ms);
    halves_[new_].add(key, hash, weight);
  }

  std::vector<TopEntry> entries(std::uint64_t now_ms) {
    turn(now_ms);
    std::vector<TopEntry> all;
    for (const auto& half : halves_) half.collect(&all);
    return all;
  }

 private:
  void turn(std::uint64_t now_ms) {
    if (now_ms < begun_ms_ + period_ms_) return;
    if (now_ms >= begun_ms_ + 2 * period_ms_) halves_[new_].clear();
    new_ = 1 - new_;
    halves_[new_].clear();
    begun_ms_ = now_ms;
  }

  std::uint64_t period_ms_;
  std::array<TopList<kKeyBytes, kSlots>, 2> halves_;
  std::size_t new_ = 0;
  std::uint64_t begun_ms_ = 0;
};

}  // namespace postern
