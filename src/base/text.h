// Words for people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace postern {

/// "1 error", "0 errors", "3 errors".
inline std::string counted(std::size_t count, std::string_view thing) {
  if (count != 1 && thing.ends_with("ry")) {
    return fmt::format("{} {}ies", count, thing.substr(0, thing.size() - 1));
  }
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

}  // namespace postern
