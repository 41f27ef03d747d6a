// Every event that is logged: its name, when it comes, and what there is to do. A test holds the
// table against the sources.
#pragma once

#include <span>
#include <string_view>

namespace postern::server {

struct LogEvent {
  std::string_view name;
  std::string_view levels;  ///< "error", "info or warning"
  std::string_view meaning;
  std::string_view remedy;  ///< "" when there is nothing to do
};

/// By name.
std::span<const LogEvent> log_events();

}  // namespace postern::server
