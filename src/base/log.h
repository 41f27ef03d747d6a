// One line per event, to standard error: text for people and journald, or JSON. Any thread may log;
// a line is written with one write(2). Not for the hot path: what a stranger can trigger goes
// through a LogLimit.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace postern {

enum class LogLevel : std::uint8_t { kError, kWarning, kInfo, kDebug };
enum class LogFormat : std::uint8_t { kText, kJson };

struct LogSettings {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  bool queries = false;  ///< one line per DNS query
  bool requests = true;  ///< one line per HTTP request
};

void configure_log(const LogSettings& settings);
bool log_enabled(LogLevel level);

/// The text with its control bytes as "\x1b": what a file or a name brings can neither forge a line
/// nor steer a terminal.
std::string one_line(std::string_view text);

/// `event` is a short stable name ("zone_reloaded"); `message` is for people.
void log_line(LogLevel level, std::string_view event, std::string_view message);

/// For many lines of one event at once (the access log): `fields` is one line, either
/// name=value pairs, or the members of a JSON object when log_is_json().
bool log_is_json();
void append_log_line(fmt::memory_buffer& out, LogLevel level, std::string_view event,
                     std::string_view fields);
void write_log_lines(std::string_view lines);
/// With its quotes; what is not printable ASCII escaped.
void append_json_string(fmt::memory_buffer& out, std::string_view text);
/// As it is when it has no blanks, quotes or control bytes; else in quotes with these escaped.
void append_quoted(fmt::memory_buffer& out, std::string_view text);

template <class... Args>
void log_error(std::string_view event, fmt::format_string<Args...> text, Args&&... args) {
  log_line(LogLevel::kError, event, fmt::format(text, std::forward<Args>(args)...));
}

template <class... Args>
void log_warning(std::string_view event, fmt::format_string<Args...> text, Args&&... args) {
  if (log_enabled(LogLevel::kWarning)) {
    log_line(LogLevel::kWarning, event, fmt::format(text, std::forward<Args>(args)...));
  }
}

template <class... Args>
void log_info(std::string_view event, fmt::format_string<Args...> text, Args&&... args) {
  if (log_enabled(LogLevel::kInfo)) {
    log_line(LogLevel::kInfo, event, fmt::format(text, std::forward<Args>(args)...));
  }
}

template <class... Args>
void log_debug(std::string_view event, fmt::format_string<Args...> text, Args&&... args) {
  if (log_enabled(LogLevel::kDebug)) {
    log_line(LogLevel::kDebug, event, fmt::format(text, std::forward<Args>(args)...));
  }
}

/// At most one line per `interval_ms` for one kind of event; counts what it held back.
class LogLimit {
 public:
  explicit LogLimit(std::uint64_t interval_ms) : interval_ms_(interval_ms) {}

  /// True when a line may be written now; then `*held_back` is how many were not since the last.
  bool allow(std::uint64_t now_ms, std::uint64_t* held_back);

 private:
  std::uint64_t interval_ms_;
  std::atomic<std::uint64_t> next_ms_{0};
  std::atomic<std::uint64_t> held_back_{0};
};

}  // namespace postern
