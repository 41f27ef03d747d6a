#include "gateway/health_probe.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "gateway/backend.h"

namespace postern::gateway {

HealthProbe::HealthProbe(Backend& backend, const Endpoint& address)
    : backend_(backend),
      context_(backend.context()),
      address_(address),
      timer_(context_.loop, [this] { ask(); }) {
  const http::BackendUrl& url = backend.url();
  authority_ = url.is_address ? address.to_string() : fmt::format("{}:{}", url.host, url.port);
  timer_.start_once(0);
}

HealthProbe::~HealthProbe() { end_check(); }

void HealthProbe::end_check() {
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->release();
  if (connection_ != nullptr) connection_->close();
}

void HealthProbe::ask() {
  timer_.start_once(backend_.health().interval_ms);
  if (connection_ != nullptr) {
    end_check();
    judge(false, "no answer in time");
  }
  const BackendPlace place{backend_.url(), address_, backend_.tls(false)};
  auto connection = BackendConnection::open(context_, *this, place, {});
  if (connection) {
    connection_ = std::move(*connection);
  } else if (connection.error().code == Code::kLimit) {  // of our making, and no answer
    context_.note_no_file(backend_.text());
  } else {
    judge(false, connection.error().detail);
  }
}

void HealthProbe::connected(BackendConnection& connection) {
  backend_.takes_connections(address_);
  connection.serve(*this, false);
}

void HealthProbe::connect_failed(BackendConnection& connection, const Error& error) {
  const std::string why = error.detail;
  closed(connection);
  judge(false, why);
}

void HealthProbe::available(BackendConnection& connection) {
  if (stream_ == nullptr) connection.close();
}

void HealthProbe::closed(BackendConnection&) { context_.graveyard.bury(std::move(connection_)); }

void HealthProbe::backend_ready(BackendStream& stream) {
  stream_ = &stream;
  request_.clear();
  response_.clear();
  request_.method = "GET";
  request_.scheme = backend_.url().scheme == http::BackendScheme::kHttps ? "https" : "http";
  request_.authority = authority_;
  request_.path = backend_.health().path;
  request_.fields.add("user-agent", "postern-health");
  stream.send_head(request_, {});
}

void HealthProbe::response(http::BodyLength) { status_ = response_.status; }

void HealthProbe::response_end(const http::Fields&) {
  end_check();
  judge(status_ >= 200 && status_ < 400, fmt::format("status {}", status_));
}

void HealthProbe::backend_failed(BackendFailure, std::string_view detail, bool) {
  stream_ = nullptr;
  const std::string why(detail);
  end_check();
  judge(false, why);
}

void HealthProbe::judge(bool healthy, std::string_view why) {
  if (healthy == healthy_) return;
  healthy_ = healthy;
  const std::string& path = backend_.health().path;
  const std::string name = backend_.text() + path;
  const std::string text =
      backend_.url().is_address ? name : fmt::format("{} at {}", name, address_.to_string());
  if (healthy) {
    log_info("backend_healthy", "{} answers again", text);
  } else {
    log_warning("backend_unhealthy", "{}: {}", text, why);
    backend_.fell_sick(address_);
  }
}

}  // namespace postern::gateway
