#include "base/log.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <mutex>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_limits.h"
#include "base/log_writer.h"

namespace postern {
namespace {

std::atomic<LogLevel> log_level{LogLevel::kInfo};
std::atomic<LogFormat> log_format{LogFormat::kText};

constexpr std::array<std::string_view, 4> kLevelNames{"error", "warning", "info", "debug"};
// Priorities that journald reads from standard error (sd-daemon(3)).
constexpr std::array<std::string_view, 4> kJournalPriorities{"<3>", "<4>", "<6>", "<7>"};

// JOURNAL_STREAM is the device and inode of the stream to the journal (systemd.exec(5)): whoever
// redirects standard error still inherits the variable.
bool is_journal(int fd) {
  const char* const stream = ::getenv("JOURNAL_STREAM");  // NOLINT(concurrency-mt-unsafe): once
  struct stat file {};
  return stream != nullptr && ::fstat(fd, &file) == 0 &&
         fmt::format("{}:{}", file.st_dev, file.st_ino) == stream;
}

bool under_journald() {
  static const bool yes = is_journal(STDERR_FILENO);
  return yes;
}

// The bytes of the UTF-8 sequence that `text` begins with (RFC 3629); 0: none.
std::size_t utf8_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t size = lead < 0xc2   ? 0
                           : lead < 0xe0 ? 2
                           : lead < 0xf0 ? 3
                           : lead < 0xf5 ? 4
                                         : 0;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xed && byte(1) > 0x9f;
  const bool beyond = lead == 0xf4 && byte(1) > 0x8f;
  return overlong || surrogate || beyond ? 0 : size;
}

// How many bytes of `text` may stand in a log as they are: 0 for controls (C1 too, which some
// terminals obey) and for what is no UTF-8, which journald would show as a blob.
std::size_t printable_size(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x20 || first == 0x7f) return 0;
  const std::size_t size = utf8_size(text);
  const bool c1 = size == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
  return c1 ? 0 : size;
}

void append_json_text(fmt::memory_buffer& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = printable_size(text);
    if (size == 0) {
      fmt::format_to(fmt::appender(out), "\\u{:04x}", static_cast<unsigned char>(text[0]));
    } else {
      if (text[0] == '"' || text[0] == '\\') out.push_back('\\');
      out.append(text.substr(0, size));
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
}

void append_one_line(fmt::memory_buffer& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = printable_size(text);
    if (size == 0) {
      fmt::format_to(fmt::appender(out), "\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else {
      out.append(text.substr(0, size));
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
}

// What stands before the fields of a line. journald has the time itself, takes the priority from
// the first bytes, and strips these.
void append_head(fmt::memory_buffer& out, LogLevel level, std::string_view event) {
  const auto index = static_cast<std::size_t>(level);
  if (under_journald()) out.append(kJournalPriorities[index]);
  if (log_is_json()) {
    fmt::format_to(fmt::appender(out), R"({{"time":"{}","level":"{}","event":"{}",)",
                   utc_now_text(), kLevelNames[index], event);
  } else if (under_journald()) {
    fmt::format_to(fmt::appender(out), "{}: ", event);
  } else {
    fmt::format_to(fmt::appender(out), "{} {:<7} {}: ", utc_now_text(), kLevelNames[index], event);
  }
}

void append_message(fmt::memory_buffer& out, LogLevel level, std::string_view event,
                    std::string_view message) {
  append_head(out, level, event);
  if (log_is_json()) {
    out.append(std::string_view(R"("message":)"));
    append_json_string(out, message);
    out.push_back('}');
  } else {
    append_one_line(out, message);
  }
  out.push_back('\n');
}

// The writer stays when it has ended: somebody may be in it still.
std::atomic<LogWriter*> log_writer{nullptr};
LogWriter* last_log_writer = nullptr;

struct SharedLimits {
  std::mutex mutex;
  LogLimits limits;
  std::uint64_t held_back = 0;
};

SharedLimits& shared_limits() {
  static auto* const shared = new SharedLimits;  // lines may be written until the very end
  return *shared;
}

// Lines about lines that are missing.
std::string remarks(std::uint64_t dropped) {
  fmt::memory_buffer out;
  SharedLimits& shared = shared_limits();
  std::vector<LogLimits::Held> told;
  {
    const std::lock_guard lock(shared.mutex);
    told = shared.limits.take_held(monotonic_ms());
  }
  for (const LogLimits::Held& held : told) {
    append_message(out, LogLevel::kWarning, "log_limited",
                   fmt::format("{} more lines of {} were held back in {} s", held.lines, held.event,
                               LogLimits::kWindowMs / 1000));
  }
  if (dropped != 0) {
    append_message(out, LogLevel::kWarning, "log_dropped",
                   fmt::format("{} lines were lost: standard error was not read, or could not be "
                               "written",
                               dropped));
  }
  return fmt::to_string(out);
}

bool may_write(std::string_view event) {
  SharedLimits& shared = shared_limits();
  const std::lock_guard lock(shared.mutex);
  const bool allowed = shared.limits.allow(event, monotonic_ms());
  if (!allowed) ++shared.held_back;
  return allowed;
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
  if (!log_enabled(level) || !may_write(event)) return;
  fmt::memory_buffer line;
  append_message(line, level, event, message);
  write_log_lines({line.data(), line.size()});
}

bool log_is_json() { return log_format.load(std::memory_order_relaxed) == LogFormat::kJson; }

void append_log_line(fmt::memory_buffer& out, LogLevel level, std::string_view event,
                     std::string_view fields) {
  append_head(out, level, event);
  out.append(fields);
  if (log_is_json()) out.push_back('}');
  out.push_back('\n');
}

void write_log_lines(std::string_view lines) {
  if (LogWriter* const writer = log_writer.load(std::memory_order_acquire); writer != nullptr) {
    writer->write(lines);
    return;
  }
  write_fully(STDERR_FILENO, lines);
  write_fully(STDERR_FILENO, remarks(0));
}

void start_log_writer() {
  if (log_writer.load() != nullptr) return;
  last_log_writer = new LogWriter(STDERR_FILENO, remarks);
  log_writer.store(last_log_writer, std::memory_order_release);
}

void stop_log_writer(std::chrono::milliseconds limit) {
  LogWriter* const writer = log_writer.exchange(nullptr);
  if (writer != nullptr) writer->stop(limit);
}

LogCounts log_counts() {
  LogCounts counts;
  if (last_log_writer != nullptr) counts.dropped = last_log_writer->dropped();
  SharedLimits& shared = shared_limits();
  const std::lock_guard lock(shared.mutex);
  counts.held_back = shared.held_back;
  return counts;
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

std::string LogLimit::text(std::uint64_t held_back) {
  return held_back == 0 ? "" : fmt::format("; {} more like this before", held_back);
}

}  // namespace postern
