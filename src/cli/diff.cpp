#include "cli/diff.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/check_format.h"
#include "cli/served.h"

namespace postern::cli {
namespace {

constexpr int kTrouble = 2;

struct Change {
  bool added = false;
  ServedLine line;
};

/// By kind and text, so that what was and what comes of one name stand together, the old one first.
std::vector<Change> changes_between(const std::vector<ServedLine>& before,
                                    const std::vector<ServedLine>& after) {
  std::vector<ServedLine> removed, added;
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                      std::back_inserter(removed));
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::back_inserter(added));
  std::vector<Change> changes;
  changes.reserve(removed.size() + added.size());
  for (ServedLine& line : removed) changes.push_back({false, std::move(line)});
  for (ServedLine& line : added) changes.push_back({true, std::move(line)});
  const auto key = [](const Change& change) {
    const std::string& text = change.line.text;
    return std::tuple(change.line.kind, text.substr(0, text.find(' ')), change.added, text);
  };
  std::sort(changes.begin(), changes.end(),
            [&](const Change& a, const Change& b) { return key(a) < key(b); });
  return changes;
}

void print_json(const std::vector<Change>& changes) {
  std::string out = "[";
  for (const Change& change : changes) {
    out += fmt::format(R"({}{{"op":"{}","kind":"{}","text":{}}})", out.size() > 1 ? ",\n " : "\n ",
                       change.added ? "+" : "-", change.line.kind, json_text(change.line.text));
  }
  fmt::print("{}{}", out, changes.empty() ? "]\n" : "\n]\n");
}

void print_text(const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    fmt::print("{} {} {}\n", change.added ? '+' : '-', change.line.kind,
               one_line(change.line.text));
  }
}

std::shared_ptr<const server::Snapshot> read(const std::string& file) {
  const server::SnapshotResult result = server::load_snapshot(file, nullptr);
  if (result.snapshot != nullptr) return result.snapshot;
  for (const server::ConfigProblem& problem : result.problems) {
    fmt::print(stderr, "{}\n", problem.to_string());
  }
  fmt::print(stderr, "{}: {}\n", file, counted(result.error_count, "error"));
  return nullptr;
}

}  // namespace

int diff(const DiffOptions& options) {
  const auto before = read(options.before);
  const auto after = read(options.after);
  if (before == nullptr || after == nullptr) return kTrouble;
  const auto changes = changes_between(served_lines(*before), served_lines(*after));
  if (options.json) {
    print_json(changes);
  } else {
    print_text(changes);
  }
  return changes.empty() ? 0 : 1;
}

}  // namespace postern::cli
