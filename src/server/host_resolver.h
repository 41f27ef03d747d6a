// Addresses of backends, for one worker's gateway. A name with a dot is asked at Postern's own
// nameserver first, in process, so that overrides, zones and forwards hold for backends as well;
// what it does not know, and names without a dot, are the system's (/etc/hosts, search domains of a
// Kubernetes pod). Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/host_resolver.h"
#include "nameserver/transport.h"
#include "net/loop.h"
#include "server/system_lookup.h"

namespace postern::server {

struct HostResolverSettings {
  std::uint32_t nameserver_ms = 3000;    ///< for our own nameserver's part
  std::uint32_t limit_ms = 5000;         ///< in all
  std::uint32_t second_family_ms = 100;  ///< for AAAA after addresses came for A, and the reverse
  std::size_t lookups_max = 1024;        ///< at a time
  SystemLookup::LookUp system = SystemLookup::look_up_now;
};

class HostResolver final : public gateway::HostResolver {
 public:
  static constexpr std::uint32_t kSystemTtlS = 30;
  static constexpr std::uint32_t kTtlMinS = 5, kTtlMaxS = 3600;
  static constexpr std::size_t kAddressesMax = 64;  ///< per family; more are left out

  /// `loop` and `nameserver` outlive it; it outlives its tickets.
  HostResolver(net::Loop& loop, nameserver::QueryHandler& nameserver,
               const HostResolverSettings& settings = {});
  ~HostResolver() override;
  HostResolver(const HostResolver&) = delete;
  HostResolver& operator=(const HostResolver&) = delete;

  /// IPv4 addresses come before IPv6 ones; the system's in its own order. Errors: kNotFound, kLimit
  /// (lookups_max or the time); the detail says who was asked and what he said.
  [[nodiscard]] std::unique_ptr<Ticket> resolve(const std::string& host, Done done) override;

 private:
  class Lookup;
  class OwnedLookup;

  net::Loop& loop_;
  nameserver::QueryHandler& nameserver_;
  HostResolverSettings settings_;
  std::vector<std::uint8_t> reply_;  // room for one reply
  std::size_t lookups_ = 0;
  SystemLookup system_;
};

}  // namespace postern::server
