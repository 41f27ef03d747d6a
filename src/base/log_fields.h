// The fields of one line for append_log_line(): name=value pairs, or members of a JSON object.
#pragma once

#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "base/log.h"

namespace postern {

class LogFields {
 public:
  explicit LogFields(bool json) : json_(json) {}

  /// An empty value is left out.
  void text(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    begin(name);
    if (json_) {
      append_json_string(text_, value);
    } else {
      append_quoted(text_, value);
    }
  }

  void number(std::string_view name, std::uint64_t value) {
    begin(name);
    fmt::format_to(fmt::appender(text_), "{}", value);
  }

  void milliseconds(std::string_view name, std::uint64_t us) {
    begin(name);
    fmt::format_to(fmt::appender(text_), "{}.{:03}", us / 1000, us % 1000);
  }

  std::string_view view() const { return {text_.data(), text_.size()}; }

 private:
  void begin(std::string_view name) {
    if (text_.size() != 0) text_.push_back(json_ ? ',' : ' ');
    if (json_) {
      fmt::format_to(fmt::appender(text_), "\"{}\":", name);
    } else {
      fmt::format_to(fmt::appender(text_), "{}=", name);
    }
  }

  bool json_;
  fmt::memory_buffer text_;
};

}  // namespace postern
