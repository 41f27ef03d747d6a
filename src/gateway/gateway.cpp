#include "gateway/gateway.h"

#include <utility>

namespace postern::gateway {

struct Gateway::Impl {
  std::shared_ptr<const Site> site;
};

Gateway::Gateway(net::Loop&, HostResolver&, std::shared_ptr<const Site> site, unsigned)
    : impl_(std::make_unique<Impl>()) {
  impl_->site = std::move(site);
}

Gateway::~Gateway() = default;

void Gateway::swap_site(std::shared_ptr<const Site> site) { impl_->site = std::move(site); }

Result<void> Gateway::listen(net::Fd) { return {}; }
Result<void> Gateway::listen_quic(net::Fd) { return {}; }
void Gateway::stop_listening(const Endpoint&) {}
void Gateway::stop_quic(const Endpoint&) {}
void Gateway::drain() {}
bool Gateway::drained() const { return true; }
GatewayCounts Gateway::counts() const { return {}; }

}  // namespace postern::gateway
