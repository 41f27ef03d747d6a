#include "server/metrics_page.h"

#include <cassert>
#include <limits>
#include <utility>

#include <prometheus/text_serializer.h>

namespace postern::server {
namespace {

constexpr double kMicrosecond = 1e-6;

prometheus::MetricType type_of(MetricKind kind) {
  switch (kind) {
    case MetricKind::kCounter:
      return prometheus::MetricType::Counter;
    case MetricKind::kGauge:
      return prometheus::MetricType::Gauge;
    default:
      return prometheus::MetricType::Histogram;
  }
}

std::vector<std::string> label_names(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::string_view name = text.substr(0, text.find(','));
    names.emplace_back(name);
    text.remove_prefix(std::min(text.size(), name.size() + 1));
  }
  return names;
}

}  // namespace

MetricSeries::MetricSeries(const MetricInfo& info)
    : names_(label_names(info.labels)),
      family_{std::string(info.name), std::string(info.help), type_of(info.kind), {}} {}

prometheus::ClientMetric& MetricSeries::series(LabelValues labels) {
  assert(labels.size() == names_.size());
  prometheus::ClientMetric& metric = family_.metric.emplace_back();
  std::size_t at = 0;
  for (const std::string_view value : labels) {
    metric.label.push_back({names_[at++], std::string(value)});
  }
  return metric;
}

void MetricSeries::add(LabelValues labels, double value) {
  assert(family_.type != prometheus::MetricType::Histogram);
  prometheus::ClientMetric& metric = series(labels);
  (family_.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) =
      value;
}

void MetricSeries::begin_buckets(prometheus::ClientMetric* metric, std::uint64_t count,
                                 std::uint64_t sum_us) {
  metric->histogram.sample_count = count;
  metric->histogram.sample_sum = static_cast<double>(sum_us) * kMicrosecond;
}

void MetricSeries::add_bucket(prometheus::ClientMetric* metric, std::uint64_t more,
                              std::uint32_t bound_us) {
  std::vector<prometheus::ClientMetric::Bucket>& buckets = metric->histogram.bucket;
  const std::uint64_t before = buckets.empty() ? 0 : buckets.back().cumulative_count;
  // Divided and not multiplied: 0.1 and not 0.09999999999999999.
  const double bound =
      bound_us == 0 ? std::numeric_limits<double>::infinity() : static_cast<double>(bound_us) / 1e6;
  buckets.push_back({before + more, bound});
}

void MetricsPage::add(const MetricInfo& info, double value) {
  MetricSeries metric(info);
  metric.add({}, value);
  add(metric);
}

void MetricsPage::add(const MetricInfo& info, std::initializer_list<Labelled> values) {
  MetricSeries metric(info);
  for (const Labelled& one : values) metric.add({one.label}, one.value);
  add(metric);
}

std::string MetricsPage::text() const {
  std::vector<prometheus::MetricFamily> with_series;
  for (const prometheus::MetricFamily& family : families_) {
    if (!family.metric.empty()) with_series.push_back(family);
  }
  return prometheus::TextSerializer().Serialize(with_series);
}

}  // namespace postern::server
