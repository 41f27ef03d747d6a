#include "base/log.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include <unistd.h>

#include "base/clock.h"

namespace postern {
namespace {

std::atomic<LogLevel> log_level{LogLevel::kInfo};
std::atomic<LogFormat> log_format{LogFormat::kText};

constexpr std::array<std::string_view, 4> kLevelNames{"error", "warning", "info", "debug"};
// Priorities that journald reads from standard error (sd-daemon(3)).
constexpr std::array<std::string_view, 4> kJournalPriorities{"<3>", "<4>", "<6>", "<7>"};

bool under_journald() {
  static const bool yes =
      ::getenv("JOURNAL_STREAM") != nullptr;  // NOLINT(concurrency-mt-unsafe): read once at start
  return yes;
}

void append_json_text(fmt::memory_buffer& out, std::string_view text) {
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (u < 0x20 || u >= 0x7f) {
      fmt::format_to(fmt::appender(out), "\\u{:04x}", u);
    } else {
      out.push_back(c);
    }
  }
}

void append_one_line(fmt::memory_buffer& out, std::string_view text) {
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7f) {
      fmt::format_to(fmt::appender(out), "\\x{:02x}", u);
    } else {
      out.push_back(c);
    }
  }
}

}  // namespace

void configure_log(const LogSettings& settings) {
  log_level = settings.level;
  log_format = settings.format;
}

bool log_enabled(LogLevel level) { return level <= log_level.load(std::memory_order_relaxed); }

std::string one_line(std::string_view text) {
  fmt::memory_buffer line;
  append_one_line(line, text);
  return fmt::to_string(line);
}

void log_line(LogLevel level, std::string_view event, std::string_view message) {
  if (!log_enabled(level)) return;
  const auto index = static_cast<std::size_t>(level);
  fmt::memory_buffer line;
  if (log_format.load(std::memory_order_relaxed) == LogFormat::kJson) {
    fmt::format_to(fmt::appender(line), R"({{"time":"{}","level":"{}","event":"{}","message":")",
                   utc_now_text(), kLevelNames[index], event);
    append_json_text(line, message);
    line.append(std::string_view("\"}"));
  } else if (under_journald()) {
    fmt::format_to(fmt::appender(line), "{}{}: ", kJournalPriorities[index], event);
    append_one_line(line, message);
  } else {
    fmt::format_to(fmt::appender(line), "{} {:<7} {}: ", utc_now_text(), kLevelNames[index], event);
    append_one_line(line, message);
  }
  line.push_back('\n');
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

bool log_is_json() { return log_format.load(std::memory_order_relaxed) == LogFormat::kJson; }

void append_log_line(fmt::memory_buffer& out, LogLevel level, std::string_view event,
                     std::string_view fields) {
  const auto index = static_cast<std::size_t>(level);
  if (log_is_json()) {
    fmt::format_to(fmt::appender(out), R"({{"time":"{}","level":"{}","event":"{}",{}}})",
                   utc_now_text(), kLevelNames[index], event, fields);
  } else if (under_journald()) {
    fmt::format_to(fmt::appender(out), "{}{}: {}", kJournalPriorities[index], event, fields);
  } else {
    fmt::format_to(fmt::appender(out), "{} {:<7} {}: {}", utc_now_text(), kLevelNames[index], event,
                   fields);
  }
  out.push_back('\n');
}

void write_log_lines(std::string_view lines) {
  while (!lines.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, lines.data(), lines.size());
    if (written <= 0) return;
    lines.remove_prefix(static_cast<std::size_t>(written));
  }
}

void append_json_string(fmt::memory_buffer& out, std::string_view text) {
  out.push_back('"');
  append_json_text(out, text);
  out.push_back('"');
}

void append_quoted(fmt::memory_buffer& out, std::string_view text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '"' && c != '\\';
  });
  if (plain) {
    out.append(text);
    return;
  }
  out.push_back('"');
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out.push_back('\\');
    if (u < 0x20 || u >= 0x7f) {
      fmt::format_to(fmt::appender(out), "\\x{:02x}", u);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

bool LogLimit::allow(std::uint64_t now_ms, std::uint64_t* held_back) {
  std::uint64_t next = next_ms_.load(std::memory_order_relaxed);
  if (now_ms < next || !next_ms_.compare_exchange_strong(next, now_ms + interval_ms_)) {
    held_back_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  *held_back = held_back_.exchange(0, std::memory_order_relaxed);
  return true;
}

}  // namespace postern
