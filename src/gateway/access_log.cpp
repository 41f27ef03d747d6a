#include "gateway/access_log.h"

#include "base/log_fields.h"

namespace postern::gateway {
namespace {

constexpr std::size_t kFlushBytes = 32U << 10;

}  // namespace

void AccessLog::write(const AccessRecord& record) {
  if (!log_enabled(LogLevel::kInfo)) return;
  LogFields line(log_is_json());
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
