#include "gateway/site.h"

#include <algorithm>

namespace postern::gateway {
namespace {

bool has_address(const ListenerSettings& settings, const IpAddress& address) {
  return std::find(settings.addresses.begin(), settings.addresses.end(), address) !=
         settings.addresses.end();
}

void add_endpoints(const ListenerSettings& settings, std::uint16_t port,
                   std::vector<Endpoint>* endpoints) {
  if (port == 0) return;
  for (const IpAddress& address : settings.addresses) endpoints->push_back({address, port});
}

}  // namespace

Served Site::find(const Endpoint& local) const {
  for (const Listener& listener : listeners) {
    const ListenerSettings& settings = listener.settings;
    if (local.port == 0 || !has_address(settings, local.ip)) continue;
    if (local.port == settings.tcp) return {&listener, Service::kTcp};
    if (local.port == settings.https) return {&listener, Service::kHttps};
    if (local.port == settings.http) return {&listener, Service::kHttp};
  }
  return {};
}

std::vector<Endpoint> tcp_endpoints(const Site& site) {
  std::vector<Endpoint> endpoints;
  for (const Listener& listener : site.listeners) {
    add_endpoints(listener.settings, listener.settings.http, &endpoints);
    add_endpoints(listener.settings, listener.settings.https, &endpoints);
    add_endpoints(listener.settings, listener.settings.tcp, &endpoints);
  }
  return endpoints;
}

std::vector<Endpoint> quic_endpoints(const Site& site) {
  std::vector<Endpoint> endpoints;
  for (const Listener& listener : site.listeners) {
    if (!listener.settings.quic_refuse || listener.tls == nullptr) continue;
    add_endpoints(listener.settings, listener.settings.https, &endpoints);
  }
  return endpoints;
}

}  // namespace postern::gateway
