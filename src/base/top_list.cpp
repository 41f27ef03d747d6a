#include "base/top_list.h"

#include <utility>

namespace postern {

std::vector<TopEntry> merged_tops(std::vector<TopEntry> all, std::size_t max) {
  std::sort(all.begin(), all.end(),
            [](const TopEntry& a, const TopEntry& b) { return a.key < b.key; });
  std::vector<TopEntry> merged;
  for (TopEntry& entry : all) {
    if (!merged.empty() && merged.back().key == entry.key) {
      merged.back().count += entry.count;
      merged.back().excess += entry.excess;
    } else {
      merged.push_back(std::move(entry));
    }
  }
  std::sort(merged.begin(), merged.end(), [](const TopEntry& a, const TopEntry& b) {
    return a.count != b.count ? a.count > b.count : a.key < b.key;
  });
  if (merged.size() > max) merged.resize(max);
  return merged;
}

}  // namespace postern
