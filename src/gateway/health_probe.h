// Active health of one address of a backend: GET `health.path` every `health.interval`, each time
// on a connection of its own; anything but 2xx and 3xx in time means that it gets no requests until
// it answers again. Before the first answer it counts as well. Loop thread only.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/address.h"
#include "gateway/backend_connection.h"
#include "gateway/exchange_sides.h"
#include "http/head.h"
#include "net/timer.h"

namespace postern::gateway {

class Backend;

class HealthProbe final : public BackendEvents, public ConnectionOwner {
 public:
  HealthProbe(Backend& backend, const Endpoint& address);
  ~HealthProbe() override;
  HealthProbe(const HealthProbe&) = delete;
  HealthProbe& operator=(const HealthProbe&) = delete;

  bool healthy() const { return healthy_; }

  // BackendEvents
  void backend_ready(BackendStream& stream) override;
  http::ResponseHead& response_head() override { return response_; }
  void interim_response() override { response_.clear(); }
  void response(http::BodyLength body) override;
  void response_body(Bytes) override {}
  void response_end(const http::Fields& trailers) override;
  void backend_drained() override {}
  void backend_failed(BackendFailure failure, std::string_view detail, bool reused) override;

  // ConnectionOwner
  void connected(BackendConnection& connection) override;
  void connect_failed(BackendConnection& connection, const Error& error) override;
  void available(BackendConnection& connection) override;
  void request_over(bool) override {}
  void closed(BackendConnection& connection) override;

 private:
  void ask();
  void end_check();
  void judge(bool healthy, std::string_view why);

  Backend& backend_;
  Context& context_;
  Endpoint address_;
  std::string authority_;
  net::Timer timer_;
  std::unique_ptr<BackendConnection> connection_;  // of the check under way
  BackendStream* stream_ = nullptr;
  http::RequestHead request_;
  http::ResponseHead response_;
  std::uint16_t status_ = 0;
  bool healthy_ = true;
};

}  // namespace postern::gateway
