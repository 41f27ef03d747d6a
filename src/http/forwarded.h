// Who the client is, and how backends are told: X-Forwarded-For, -Proto, -Host and Forwarded
// (RFC 7239). What a peer says about other clients is believed, and passed on with one hop more,
// only from trusted_proxies; from anyone else it is removed. Loop thread only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "http/head.h"

namespace postern::http {

/// trusted_proxies and client_ip_header of [[gateway.listener]].
struct ForwardedSettings {
  std::vector<Network> trusted_proxies;
  std::string client_ip_header = "X-Forwarded-For";
};

/// The other end of a connection; made once for all its requests.
struct Peer {
  Peer(const IpAddress& peer, const ForwardedSettings& settings)
      : address(peer), text(peer.to_string()), trusted(contains(settings.trusted_proxies, peer)) {}

  IpAddress address;
  std::string text;
  bool trusted;
};

/// Hops of X-Forwarded-For that are looked at.
constexpr int kForwardedHopsMax = 32;

/// The client's address: the peer's, or what a trusted peer says in client_ip_header. Of
/// X-Forwarded-For it is the last address that is no trusted proxy's; what stands before it is
/// hearsay. An item that is no address ends the search ("unknown", RFC 7239 section 6.2); "IP:port"
/// is one.
IpAddress client_address(const Fields& request, const Peer& peer,
                         const ForwardedSettings& settings);

struct ClientClaim {
  IpAddress address;  ///< as client_address()
  bool valid;         ///< false: a trusted peer said something that is no address, or two things
};
ClientClaim client_claim(const Fields& request, const Peer& peer,
                         const ForwardedSettings& settings);

/// The request as it came in.
struct Hop {
  bool tls = false;
  std::string_view authority;  ///< as the client wrote it; REQUIRES: parse_host_port took it, and
                               ///< it lasts as long as the request
};

/// Takes away what says who the client is, in whatever spelling, and the request's id: in trailers,
/// which some backends merge with the head, nobody may.
void remove_claims(Fields& trailers, const ForwardedSettings& settings);

/// Sets the four fields. From a peer that is not trusted, Forwarded, X-Forwarded-*, X-Real-IP and
/// client_ip_header are removed first; so is, from everyone, what CGI and its heirs take for these
/// ("X_Forwarded_For" becomes the same variable, RFC 3875 section 4.1.18).
/// From a trusted peer X-Forwarded-For and Forwarded are lengthened, -Proto and -Host stay when
/// there is one of each. A Forwarded with an open quote is replaced.
void set_forwarded(Fields& request, TextArena& arena, const Peer& peer, const Hop& hop,
                   const ForwardedSettings& settings);

}  // namespace postern::http
