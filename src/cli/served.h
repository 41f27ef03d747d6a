// All that a snapshot serves as lines of text, stable from run to run: what `postern diff`
// compares. Cold path.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "server/snapshot.h"

namespace postern::cli {

/// One thing that is served. Lines are equal when they answer alike; they hold their place in the
/// file where that decides (views, routes that meet).
struct ServedLine {
  std::string kind;  ///< listen, view, override, zone, record, forward, certificate, ...
  std::string text;

  friend bool operator==(const ServedLine&, const ServedLine&) = default;
  friend bool operator<(const ServedLine& a, const ServedLine& b) {
    return std::tie(a.kind, a.text) < std::tie(b.kind, b.text);
  }
};

/// Sorted. `record` lines are of zones, one for each record.
std::vector<ServedLine> served_lines(const server::Snapshot& snapshot);

}  // namespace postern::cli
