#include "gateway/access_log.h"

#include <string>

#include "base/log_fields.h"

namespace postern::gateway {
namespace {

constexpr std::size_t kFlushBytes = 32U << 10;
// Of what a client says: a few bytes of HTTP/2 stand for a field of thousands.
constexpr std::size_t kPathBytes = 1024, kOtherBytes = 256;

void add_cut(LogFields* line, std::string_view name, std::string_view value,
             std::size_t bytes_max) {
  if (value.size() <= bytes_max) return line->text(name, value);
  line->text(name, std::string(value.substr(0, bytes_max)) + "...");
}

}  // namespace

void AccessLog::write(const AccessRecord& record) {
  if (!log_enabled(LogLevel::kInfo)) return;
  LogFields line(log_is_json());
  line.text("client", record.client);
  line.text("listener", record.listener);
  line.text("sni", record.sni);
  line.text("protocol", record.protocol);
  add_cut(&line, "method", record.method, kOtherBytes);
  add_cut(&line, "host", record.host, kOtherBytes);
  add_cut(&line, "path", record.path, kPathBytes);
  line.number("status", record.status);
  line.number("sent", record.bytes_sent);
  line.number("received", record.bytes_received);
  line.milliseconds("ms", record.duration_us);
  line.milliseconds("first_byte_ms", record.first_byte_us);
  line.text("route", record.route);
  line.text("backend", record.backend);
  add_cut(&line, "request_id", record.request_id, kOtherBytes);
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
