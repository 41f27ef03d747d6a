// The page of GET /metrics while it is put together, in Prometheus' types. Main thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "gateway/counts.h"

namespace postern::server {

struct ServerState;

/// Gathers families, one value or many labelled values each.
class MetricsPage {
 public:
  prometheus::MetricFamily& family(std::string_view name, std::string_view help,
                                   prometheus::MetricType type) {
    families_.push_back({fmt::format("postern_{}", name), std::string(help), type, {}});
    return families_.back();
  }

  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    add(&family(name, help, prometheus::MetricType::Counter), {}, {}, static_cast<double>(value));
  }

  void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
    add(&family(name, help, prometheus::MetricType::Gauge), {}, {}, static_cast<double>(value));
  }

  static void add(prometheus::MetricFamily* family, std::string_view label,
                  std::string_view label_value, double value) {
    prometheus::ClientMetric metric;
    if (!label.empty()) metric.label.push_back({std::string(label), std::string(label_value)});
    if (family->type == prometheus::MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    family->metric.push_back(std::move(metric));
  }

  template <class Names, class Values>
  void counters(std::string_view name, std::string_view help, std::string_view label,
                const Names& names, const Values& values) {
    prometheus::MetricFamily& all = family(name, help, prometheus::MetricType::Counter);
    for (std::size_t i = 0; i < values.size(); ++i) {
      add(&all, label, names[i], static_cast<double>(values[i]));
    }
  }

  std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

void add_gateway(MetricsPage* page, const gateway::GatewayCounts& counts);
void add_certificates(MetricsPage* page, const ServerState& state);
void add_logs(MetricsPage* page, const ServerState& state);

}  // namespace postern::server
