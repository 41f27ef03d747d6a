// The page of GET /metrics while it is put together, in Prometheus' types. What a metric is called
// comes from server/metrics_table.h. Main thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <prometheus/metric_family.h>

#include "base/histogram.h"
#include "server/counts.h"
#include "server/metrics_table.h"

namespace postern::server {

struct ServerState;

/// One metric with its series.
class MetricSeries {
 public:
  using LabelValues = std::initializer_list<std::string_view>;

  explicit MetricSeries(const MetricInfo& info);

  /// REQUIRES: as many values as the table has labels for this metric.
  void add(LabelValues labels, double value);
  void add(LabelValues labels, std::uint64_t value) { add(labels, static_cast<double>(value)); }
  /// Nothing when nothing was observed.
  template <class AnyHistogram>
  void add_times(LabelValues labels, const AnyHistogram& times) {
    if (times.count() == 0) return;
    prometheus::ClientMetric& metric = series(labels);
    begin_buckets(&metric, times.count(), times.sum_us);
    for (std::size_t i = 0; i < times.ranges.size(); ++i) {
      const bool is_last = i == AnyHistogram::bounds_us().size();
      add_bucket(&metric, times.ranges[i], is_last ? 0 : AnyHistogram::bounds_us()[i]);
    }
  }

  const prometheus::MetricFamily& family() const { return family_; }

 private:
  prometheus::ClientMetric& series(LabelValues labels);
  static void begin_buckets(prometheus::ClientMetric* metric, std::uint64_t count,
                            std::uint64_t sum_us);
  // `bound_us` 0: the one without.
  static void add_bucket(prometheus::ClientMetric* metric, std::uint64_t more,
                         std::uint32_t bound_us);

  std::vector<std::string> names_;  // of the labels
  prometheus::MetricFamily family_;
};

/// Gathers metrics; one without a series is left out.
class MetricsPage {
 public:
  void add(const MetricSeries& metric) { families_.push_back(metric.family()); }
  /// A metric without labels.
  void add(const MetricInfo& info, double value);
  void add(const MetricInfo& info, std::uint64_t value) { add(info, static_cast<double>(value)); }

  struct Labelled {
    std::string_view label;
    std::uint64_t value = 0;
  };
  /// A metric with one label.
  void add(const MetricInfo& info, std::initializer_list<Labelled> values);

  std::string text() const;

 private:
  std::vector<prometheus::MetricFamily> families_;
};

void add_dns(MetricsPage* page, const WorkerCounts& counts, const ServerState& state);
void add_gateway(MetricsPage* page, const WorkerCounts& counts, const ServerState& state);
void add_certificates(MetricsPage* page, const ServerState& state);
void add_logs(MetricsPage* page, const ServerState& state);

}  // namespace postern::server
