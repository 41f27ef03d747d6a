#include "server/listen.h"

#include <cerrno>
#include <system_error>

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace postern::server {
namespace {

Result<void> try_bind(const Endpoint& endpoint, int type) {
  sockaddr_storage address{};
  const socklen_t size = endpoint.to_sockaddr(address);
  const net::Fd fd(::socket(endpoint.ip.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0));
  if (!fd) return {};  // the real attempt says why
  const int on = 1;
  if (!endpoint.ip.is_v4()) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  // A connection of a server that ended may linger; that is no reason not to start.
  if (type == SOCK_STREAM) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const bool bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
                     (type == SOCK_DGRAM || ::listen(fd.get(), 1) == 0);
  if (bound || errno != EADDRINUSE) return {};
  return fail(
      Code::kIo,
      fmt::format("{} ({}) is in use by another program; see who with: ss -lnp 'sport = :{}'",
                  endpoint.to_string(), type == SOCK_DGRAM ? "UDP" : "TCP", endpoint.port));
}

}  // namespace

Result<void> check_is_free(const Endpoint& endpoint) {
  if (auto udp = try_bind(endpoint, SOCK_DGRAM); !udp) return udp;
  return check_is_free_tcp(endpoint);
}

Result<void> check_is_free_tcp(const Endpoint& endpoint) { return try_bind(endpoint, SOCK_STREAM); }

Result<std::vector<Sockets>> open_sockets(const std::vector<Endpoint>& endpoints,
                                          unsigned workers) {
  std::vector<Sockets> all(workers);
  for (Sockets& sockets : all) {
    for (const Endpoint& endpoint : endpoints) {
      auto udp = net::bind_udp(endpoint);
      if (!udp) return tl::unexpected(udp.error());
      sockets.udp.push_back(std::move(*udp));
      auto tcp = net::listen_tcp(endpoint);
      if (!tcp) return tl::unexpected(tcp.error());
      sockets.tcp.push_back(std::move(*tcp));
    }
  }
  return all;
}

}  // namespace postern::server
