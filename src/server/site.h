// From the configuration's listeners, routes and certificates to what the gateway serves. Any
// thread.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "gateway/site.h"
#include "net/tls.h"
#include "server/certificates.h"
#include "server/config.h"
#include "server/coverage.h"

namespace postern::server {

/// The gateway's part of a snapshot. What was made from the same things as before is the same
/// object as before, so that connections under way see by a pointer whether theirs has changed.
struct GatewayPart {
  std::vector<LoadedCertificate> certificates;  ///< by index of config.certificates
  std::vector<net::TlsServerSettings> offers;   ///< what site->listeners[i].tls was made from
  std::shared_ptr<net::TlsTickets> tickets;     ///< made once, for the whole process
  std::shared_ptr<const gateway::Site> site;
  std::vector<UncoveredHost> uncovered;  ///< by these certificates
};

struct GatewayRead {
  std::shared_ptr<const GatewayPart> part;  ///< nullptr when there is an error
  std::vector<ConfigProblem> problems;
  std::size_t error_count = 0;
};

/// The names of each.
CertificateNames names_of(const Config& config, const std::vector<LoadedCertificate>& certificates);

/// REQUIRES: `config` is without errors and `certificates` complete. `before`: of the snapshot that
/// is served, or nullptr.
GatewayRead make_gateway_part(const Config& config, std::vector<LoadedCertificate> certificates,
                              const GatewayPart* before);

/// The same configuration as `before`, with other certificates.
GatewayRead renew_certificates(const Config& config, std::vector<LoadedCertificate> certificates,
                               const GatewayPart& before);

}  // namespace postern::server
