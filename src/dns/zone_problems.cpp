#include "dns/zone_problems.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace postern::dns {
namespace {

// Kept of each kind, so that what comes late but stands early in the file is not lost.
constexpr std::size_t kKeptPerShown = 20;

}  // namespace

std::string ZoneProblem::to_string() const {
  return one_line(fmt::format("{}:{}:{}: {}", file, line, column, text));
}

std::uint16_t ZoneProblems::add_file(std::string name) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (files_[i] == name) return static_cast<std::uint16_t>(i);
  }
  files_.push_back(std::move(name));
  return static_cast<std::uint16_t>(files_.size() - 1);
}

void ZoneProblems::add(const ZonePlace& place, std::string text, bool warning) {
  const std::size_t before = warning ? warning_count_++ : error_count_++;
  if (before < problems_max_ * kKeptPerShown) entries_.push_back({place, std::move(text), warning});
}

std::vector<ZoneProblem> ZoneProblems::take() {
  const auto key = [](const Entry& e) {
    return std::tuple(e.place.file, e.place.line, e.place.column);
  };
  std::stable_sort(entries_.begin(), entries_.end(), [&](const Entry& a, const Entry& b) {
    return std::pair(a.warning, key(a)) < std::pair(b.warning, key(b));
  });
  if (entries_.size() > problems_max_) entries_.resize(problems_max_);
  std::stable_sort(entries_.begin(), entries_.end(),
                   [&](const Entry& a, const Entry& b) { return key(a) < key(b); });
  std::vector<ZoneProblem> problems;
  for (Entry& e : entries_) {
    std::string file = e.place.file < files_.size() ? files_[e.place.file] : std::string();
    problems.push_back(
        {std::move(file), e.place.line, e.place.column, std::move(e.text), e.warning});
  }
  return problems;
}

}  // namespace postern::dns
