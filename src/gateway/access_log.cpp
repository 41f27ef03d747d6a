#include "gateway/access_log.h"

#include <iterator>

namespace postern::gateway {
namespace {

constexpr std::size_t kFlushBytes = 32U << 10;

/// name=value pairs, or members of a JSON object.
class Line {
 public:
  explicit Line(bool json) : json_(json) {}

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

}  // namespace

void AccessLog::write(const AccessRecord& record) {
  if (!log_enabled(LogLevel::kInfo)) return;
  Line line(log_is_json());
  line.text("client", record.client);
  line.text("listener", record.listener);
  line.text("sni", record.sni);
  line.text("protocol", record.protocol);
  line.text("method", record.method);
  line.text("host", record.host);
  line.text("path", record.path);
  line.number("status", record.status);
  line.number("sent", record.bytes_sent);
  line.number("received", record.bytes_received);
  line.milliseconds("ms", record.duration_us);
  line.milliseconds("first_byte_ms", record.first_byte_us);
  line.text("route", record.route);
  line.text("backend", record.backend);
  line.text("request_id", record.request_id);
  line.text("failure", record.failure);
  append_log_line(lines_, LogLevel::kInfo, "request", line.view());
  if (lines_.size() > kFlushBytes) flush();
  end_of_turn_.schedule();
}

void AccessLog::flush() {
  if (lines_.size() == 0) return;
  write_log_lines({lines_.data(), lines_.size()});
  lines_.clear();
}

}  // namespace postern::gateway
