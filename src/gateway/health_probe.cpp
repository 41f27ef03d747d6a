#include "gateway/health_probe.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace postern::gateway {

HealthProbe::HealthProbe(Backend& backend, const http::HealthSettings& settings)
    : backend_(backend), settings_(settings), timer_(backend.context().loop, [this] {
        repeated_ = false;
        ask();
      }) {
  const http::BackendUrl& url = backend.url();
  const bool v6 = url.is_address && url.host.find(':') != std::string::npos;
  authority_ =
      v6 ? fmt::format("[{}]:{}", url.host, url.port) : fmt::format("{}:{}", url.host, url.port);
  timer_.start_every(settings.interval_ms);
}

HealthProbe::~HealthProbe() { leave(); }

void HealthProbe::leave() {
  asking_ = false;
  waiting_.reset();
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->release();
}

void HealthProbe::ask() {
  if (asking_) {
    const bool was_sent = stream_ != nullptr || !backend_.lacks_file();
    leave();
    if (was_sent) judge(false, "no answer in time");
  }
  const bool tls = backend_.url().scheme == http::BackendScheme::kHttps;
  request_.clear();
  response_.clear();
  request_.method = "GET";
  request_.scheme = tls ? "https" : "http";
  request_.authority = authority_;
  request_.path = settings_.path;
  request_.fields.add("user-agent", "postern-health");
  asking_ = true;
  BackendWish wish;
  wish.probe = true;
  if (auto waiting = backend_.request(*this, wish)) waiting_ = std::move(waiting);
}

void HealthProbe::backend_ready(BackendStream& stream) {
  stream_ = &stream;
  waiting_.reset();
  stream.send_head(request_, {});
}

void HealthProbe::response(http::BodyLength) { status_ = response_.status; }

void HealthProbe::response_end(const http::Fields&) {
  leave();
  judge(status_ >= 200 && status_ < 400, fmt::format("status {}", status_));
}

void HealthProbe::backend_failed(BackendFailure failure, std::string_view detail, bool reused) {
  stream_ = nullptr;
  const std::string why(detail);
  leave();
  if (failure == BackendFailure::kBusy) return;  // of our making, and no answer
  // A connection that was just ending says nothing about the backend.
  const bool ending = reused || failure == BackendFailure::kUnprocessed;
  if (ending && !std::exchange(repeated_, true)) return ask();
  judge(false, why);
}

void HealthProbe::judge(bool healthy, std::string_view why) {
  if (healthy == healthy_) return;
  healthy_ = healthy;
  if (healthy) {
    log_info("backend_healthy", "{}{} answers again", backend_.text(), settings_.path);
  } else {
    log_warning("backend_unhealthy", "{}{}: {}", backend_.text(), settings_.path, why);
  }
}

}  // namespace postern::gateway
