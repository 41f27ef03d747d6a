// The query log, dnstap, and the program's log in the metrics.
#include "server/metrics.h"
#include "server/metrics_page.h"

namespace postern::server {

void add_logs(MetricsPage* page, const ServerState& state) {
  using prometheus::MetricType;
  const QueryTapCounts& counts = state.queries;
  page->counter("query_log_lines_total", "Lines written to dns.query_log", counts.log_lines);
  prometheus::MetricFamily& dropped = page->family(
      "query_log_dropped_total",
      "Answers that the query log, dnstap or both do not have: the thread that writes was too slow "
      "(ring), the disk said no (write)",
      MetricType::Counter);
  MetricsPage::add(&dropped, "reason", "ring", static_cast<double>(counts.dropped));
  MetricsPage::add(&dropped, "reason", "write", static_cast<double>(counts.log_lost));
  page->counter("query_log_rotations_total", "Times that dns.query_log was rotated",
                counts.log_rotations);
  page->counter("dnstap_frames_total", "Messages made for dns.dnstap", counts.frames);
  prometheus::MetricFamily& lost =
      page->family("dnstap_dropped_total",
                   "Messages that did not get to dns.dnstap: nobody read the socket, or too slowly "
                   "(socket), the disk said no (file)",
                   MetricType::Counter);
  MetricsPage::add(&lost, "to", "socket", static_cast<double>(counts.socket_lost));
  MetricsPage::add(&lost, "to", "file", static_cast<double>(counts.file_lost));
  page->gauge("dnstap_connected", "1 while a reader takes messages at dns.dnstap.socket",
              counts.connected ? 1 : 0);
  page->counter("log_dropped_lines_total",
                "Lines of the log lost because standard error was not read", state.log.dropped);
  page->counter("log_held_back_lines_total",
                "Lines of the log not written because there were too many of their event",
                state.log.held_back);
}

}  // namespace postern::server
