// Names to values, found by longest suffix: zones, forwards, exceptions. One hash look-up per label
// depth that occurs in the table, so the cost does not grow with the number of names.
#pragma once

#include <bitset>
#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "dns/name.h"

namespace postern::dns {

template <class Value>
class SuffixTable {
 public:
  /// False when the name is there already; the old value stays.
  bool insert(NameView name, Value value) {
    const LookupName key(name);
    depths_.set(key.label_count());
    return map_
        .try_emplace(key.hash(), Entry{std::string(as_text(key.name().wire())), std::move(value)})
        .second;
  }

  struct Match {
    const Value* value = nullptr;  ///< nullptr: nothing matched
    std::size_t labels = 0;        ///< of the matched suffix
  };

  /// The value of the longest suffix of `name` (the name itself included) in the table.
  Match find(const LookupName& name) const {
    if (map_.empty()) return {};
    for (std::size_t skip = 0; skip <= name.label_count(); ++skip) {
      const std::size_t labels = name.label_count() - skip;
      if (!depths_.test(labels)) continue;
      const auto it = map_.find(name.hash(skip));
      if (it != map_.end() && equal_bytes(as_bytes(it->second.name), name.suffix(skip).wire())) {
        return {&it->second.value, labels};
      }
    }
    return {};
  }

  bool contains(const LookupName& name) const { return find(name).value != nullptr; }
  bool empty() const { return map_.empty(); }
  std::size_t size() const { return map_.size(); }

  template <class Visitor>
  void for_each(Visitor visit) const {
    for (const auto& [hash, entry] : map_) visit(NameView(as_bytes(entry.name)), entry.value);
  }

 private:
  struct Entry {
    std::string name;  // wire form, lower case
    Value value;
  };
  struct Identity {
    std::size_t operator()(std::uint64_t hash) const { return hash; }
  };
  std::unordered_map<std::uint64_t, Entry, Identity> map_;
  std::bitset<kLabelsMax + 1> depths_;
};

}  // namespace postern::dns
