// One line per event, to standard error: text for people and journald, or JSON. Any thread may log.
// While the writer's thread runs nobody waits for whoever reads; without it a line is one write(2).
// Not for the hot path. Of one event 100 lines in 10 s are written, the number of the others is
// told (log_limits.h); what a stranger can trigger often goes through a LogLimit as well.
#pragma once

#include <atomic>
#include <chrono>
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

/// From here on a thread writes (log_writer.h).
void start_log_writer();
/// Writes what waits, for so long at most; then lines are written directly again.
void stop_log_writer(std::chrono::milliseconds limit);

struct LogCounts {
  std::uint64_t dropped = 0;    ///< lines lost because standard error was not read
  std::uint64_t held_back = 0;  ///< lines not written because there were too many of one event
};
LogCounts log_counts();

/// With its quotes; controls and what is no UTF-8 escaped.
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

  /// For the end of the line: "; 3 more like this before", "" for none.
  static std::string text(std::uint64_t held_back);

 private:
  std::uint64_t interval_ms_;
  std::atomic<std::uint64_t> next_ms_{0};
  std::atomic<std::uint64_t> held_back_{0};
};

}  // namespace postern
