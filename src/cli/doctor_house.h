// Which names `postern doctor` looks at, and what belongs to this house: addresses of this machine,
// gateways, nameservers. Cold path.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "server/config.h"

namespace postern::cli {

/// Route hosts, then overrides; "*.x" as "postern-doctor.x". Names that are blocked (0.0.0.0, ::)
/// are not among them. The first `limit`; `*all` is how many there are.
std::vector<std::string> doctor_names(const server::Config& config, std::size_t limit,
                                      std::size_t* all);

/// The domain name in what somebody typed: a name, with a dot at the end or not, or a URL.
std::string typed_host(std::string text);

/// Of this machine's interfaces that are up.
std::vector<IpAddress> local_addresses();

/// An override or a zone that some clients do not see.
struct OfOtherViews {
  std::string what;  ///< "the override (FILE:LINE)"
  std::vector<std::string> views;
};

class House {
 public:
  House(const server::Config& config, std::vector<IpAddress> local)
      : config_(config), local_(std::move(local)) {}

  /// Where Postern answers, as another device would ask it: no loopback when there is a choice.
  /// REQUIRES: the configuration has a dns.listen.
  Endpoint nameserver() const;
  bool has_nameserver_at(const IpAddress& ip) const;

  bool is_local(const IpAddress& ip) const;
  /// The listener with HTTPS that takes connections for `name` at this address; nullptr: none of
  /// ours. A listener on 0.0.0.0 has the addresses of this machine.
  const gateway::ListenerSettings* listener_of(const IpAddress& ip, const std::string& name) const;
  /// Private addresses (RFC 1918, 4193, 6598), and those of listeners.
  bool is_inside(const IpAddress& ip, const std::string& name) const;

  /// Nothing is known of this house: there is no configuration.
  bool is_unknown() const { return config_.listen.empty() && config_.listeners.empty(); }
  bool has_views() const { return !config_.policy.views.empty(); }
  /// "the view \"lan\"", or "no view".
  std::string view_text(const IpAddress& client) const;
  /// What answers for the name in other views than the client's; nullopt: nothing, or something
  /// does in the client's view, too.
  std::optional<OfOtherViews> of_other_views(const std::string& name,
                                             const IpAddress& client) const;

  bool has_route(const std::string& name) const;
  /// A route's host that listeners with HTTPS serve; `*published`: and one of these says so in DNS.
  bool is_served(const std::string& name, bool* published) const;

 private:
  std::string view_of(const IpAddress& client) const;

  const server::Config& config_;
  std::vector<IpAddress> local_;
};

}  // namespace postern::cli
