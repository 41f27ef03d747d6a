// The query log, dnstap, and the program's log in the metrics.
#include "server/metrics.h"
#include "server/metrics_page.h"

namespace postern::server {

void add_logs(MetricsPage* page, const ServerState& state) {
  const QueryTapCounts& counts = state.queries;
  page->add(metric("postern_query_log_lines_total"), counts.log_lines);
  page->add(metric("postern_query_log_dropped_total"),
            {{"ring", counts.dropped}, {"write", counts.log_lost}});
  page->add(metric("postern_query_log_rotations_total"), counts.log_rotations);
  page->add(metric("postern_dnstap_frames_total"), counts.frames);
  page->add(metric("postern_dnstap_dropped_total"),
            {{"socket", counts.socket_lost}, {"file", counts.file_lost}});
  page->add(metric("postern_dnstap_connected"), counts.connected ? 1.0 : 0.0);
  page->add(metric("postern_log_dropped_lines_total"), state.log.dropped);
  page->add(metric("postern_log_held_back_lines_total"), state.log.held_back);
}

}  // namespace postern::server
