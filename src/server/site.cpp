#include "server/site.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "http/header_filter.h"
#include "server/system.h"

namespace postern::server {
namespace {

using Identities = std::vector<std::shared_ptr<const net::TlsIdentity>>;

void add_error(GatewayRead* read, const std::string& source, std::string text) {
  ++read->error_count;
  read->problems.push_back(problem_at(source, std::move(text)));
}

Identities identities_of(const Config& config, const std::vector<LoadedCertificate>& certificates,
                         const gateway::ListenerSettings& listener) {
  Identities identities;
  for (const std::string& name : listener.certificates) {
    for (std::size_t i = 0; i < config.certificates.size(); ++i) {
      if (config.certificates[i].name == name) identities.push_back(certificates[i].identity);
    }
  }
  return identities;
}

std::shared_ptr<const net::TlsServer> same_offer(const GatewayPart* before,
                                                 const net::TlsServerSettings& offer) {
  if (before == nullptr) return nullptr;
  for (std::size_t i = 0; i < before->offers.size(); ++i) {
    const net::TlsServerSettings& known = before->offers[i];
    if (known.identities == offer.identities && known.alpn == offer.alpn) {
      return before->site->listeners[i].tls;
    }
  }
  return nullptr;
}

// A client that speaks nothing newer than HTTP/1.0 says so, too, and is served.
std::vector<std::string> agreed_alpn(std::vector<std::string> offered) {
  const bool http1 = std::find(offered.begin(), offered.end(), "http/1.1") != offered.end();
  if (http1) offered.emplace_back("http/1.0");
  return offered;
}

void add_listener(const Config& config, const gateway::ListenerSettings& settings,
                  const GatewayPart* before, GatewayPart* part, gateway::Site* site,
                  GatewayRead* read) {
  gateway::Listener listener;
  net::TlsServerSettings offer;
  if (settings.https != 0) {
    offer = {identities_of(config, part->certificates, settings), agreed_alpn(settings.alpn)};
  }
  if (!offer.identities.empty()) {
    listener.tls = same_offer(before, offer);
    if (listener.tls == nullptr) {
      auto made = net::TlsServer::make(offer, part->tickets);
      if (made) listener.tls = std::move(*made);
      if (!made) {
        add_error(read, settings.source,
                  fmt::format("gateway.listener \"{}\": {}", settings.name, made.error().detail));
      }
    }
    if (settings.hsts_s != 0) listener.hsts = http::hsts_value(settings.hsts_s);
  }
  listener.routes = http::RouteTable::compile(site->routes, settings.name);
  listener.settings = settings;
  part->offers.push_back(std::move(offer));
  site->listeners.push_back(std::move(listener));
}

bool has_tls_backend(const Config& config) {
  return std::any_of(config.routes.begin(), config.routes.end(), [](const auto& route) {
    return std::any_of(route.backends.begin(), route.backends.end(), [](const auto& backend) {
      return backend.url.scheme == http::BackendScheme::kHttps;
    });
  });
}

// The system's certificate authorities take a while to read: only when they are needed.
void add_backend_tls(const Config& config, gateway::Site* site, GatewayRead* read) {
  if (!has_tls_backend(config)) return;
  net::TlsClientSettings settings;
  settings.alpn = {"http/1.1"};
  auto plain = net::TlsClient::make(settings);
  settings.alpn = {"h2", "http/1.1"};
  auto h2 = net::TlsClient::make(settings);
  if (plain && h2) {
    site->backend_tls = std::move(*plain);
    site->backend_tls_h2 = std::move(*h2);
  } else {
    add_error(read, config.file,
              fmt::format("https:// backends: {}", (plain ? h2 : plain).error().detail));
  }
}

std::shared_ptr<gateway::Site> new_site(const Config& config) {
  auto site = std::make_shared<gateway::Site>();
  site->limits = config.gateway_limits;
  site->limits.connections =
      std::min({site->limits.connections, connections_within(open_files_max()),
                connections_in_memory(usable_memory())});
  site->fd_end = backend_fd_end(open_files_max());
  site->memory_max = requests_memory(usable_memory());
  site->log_requests = config.server.log.requests;
  site->ech_public_names = config.ech_public_names;
  site->routes = config.routes;
  return site;
}

std::shared_ptr<GatewayPart> new_part(const Config& config,
                                      std::vector<LoadedCertificate> certificates,
                                      const GatewayPart* before) {
  auto part = std::make_shared<GatewayPart>();
  part->uncovered = find_uncovered(config, names_of(config, certificates));
  part->certificates = std::move(certificates);
  part->tickets = before == nullptr ? net::TlsTickets::make() : before->tickets;
  return part;
}

void add_listeners(const Config& config, const GatewayPart* before,
                   std::shared_ptr<GatewayPart> part, std::shared_ptr<gateway::Site> site,
                   GatewayRead* read) {
  for (const gateway::ListenerSettings& settings : config.listeners) {
    add_listener(config, settings, before, part.get(), site.get(), read);
  }
  part->site = std::move(site);
  if (read->error_count == 0) read->part = std::move(part);
}

}  // namespace

CertificateNames names_of(const Config& config,
                          const std::vector<LoadedCertificate>& certificates) {
  CertificateNames names;
  for (std::size_t i = 0; i < certificates.size(); ++i) {
    names[config.certificates[i].name] = certificates[i].identity->names();
  }
  return names;
}

GatewayRead make_gateway_part(const Config& config, std::vector<LoadedCertificate> certificates,
                              const GatewayPart* before) {
  GatewayRead read;
  auto site = new_site(config);
  auto part = new_part(config, std::move(certificates), before);
  read.problems = warnings_of(part->uncovered);
  add_backend_tls(config, site.get(), &read);
  add_listeners(config, before, std::move(part), std::move(site), &read);
  return read;
}

GatewayRead renew_certificates(const Config& config, std::vector<LoadedCertificate> certificates,
                               const GatewayPart& before) {
  GatewayRead read;
  auto site = new_site(config);
  site->backend_tls = before.site->backend_tls;
  site->backend_tls_h2 = before.site->backend_tls_h2;
  auto part = new_part(config, std::move(certificates), &before);
  add_listeners(config, &before, std::move(part), std::move(site), &read);
  return read;
}

}  // namespace postern::server
