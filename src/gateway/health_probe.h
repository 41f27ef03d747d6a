// Active health of one backend: GET `health.path` every `health.interval`; anything but 2xx and 3xx
// in time means that it gets no requests until it answers again. Loop thread only.
#pragma once

#include <memory>
#include <string_view>

#include "gateway/backend.h"
#include "gateway/exchange_sides.h"
#include "http/head.h"
#include "http/route.h"
#include "net/timer.h"

namespace postern::gateway {

class HealthProbe final : public BackendEvents {
 public:
  HealthProbe(Backend& backend, const http::HealthSettings& settings);
  ~HealthProbe() override;
  HealthProbe(const HealthProbe&) = delete;
  HealthProbe& operator=(const HealthProbe&) = delete;

  bool healthy() const { return healthy_; }
  bool is_asking() const { return waiting_ != nullptr || stream_ != nullptr; }

  // BackendEvents
  void backend_ready(BackendStream& stream) override;
  http::ResponseHead& response_head() override { return response_; }
  void interim_response() override { response_.clear(); }
  void response(http::BodyLength body) override;
  void response_body(Bytes) override {}
  void response_end(const http::Fields& trailers) override;
  void backend_drained() override {}
  void backend_failed(BackendFailure failure, std::string_view detail, bool reused) override;

 private:
  void ask();
  void leave();
  void judge(bool healthy, std::string_view why);

  Backend& backend_;
  http::HealthSettings settings_;
  std::string authority_;
  net::Timer timer_;
  std::unique_ptr<Backend::Waiting> waiting_;
  BackendStream* stream_ = nullptr;
  http::RequestHead request_;
  http::ResponseHead response_;
  std::uint16_t status_ = 0;
  bool asking_ = false, repeated_ = false;
  bool healthy_ = true;
};

}  // namespace postern::gateway
