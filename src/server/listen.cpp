#include "server/listen.h"

#include <algorithm>
#include <cerrno>
#include <initializer_list>

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/log.h"

namespace postern::server {
namespace {

using Places = std::vector<ListenPlace>;

// A stranger's datagram gets an answer of a few hundred bytes at most: nothing worth a long queue.
constexpr net::UdpBindOptions kQuicBuffers{256 << 10, 256 << 10};

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

bool has_endpoint(const Places& places, const Endpoint& endpoint) {
  return std::any_of(places.begin(), places.end(),
                     [&](const ListenPlace& place) { return place.endpoint == endpoint; });
}

bool has_port(std::initializer_list<const Places*> lists, std::uint16_t port) {
  return std::any_of(lists.begin(), lists.end(), [&](const Places* places) {
    return std::any_of(places->begin(), places->end(),
                       [&](const ListenPlace& place) { return place.endpoint.port == port; });
  });
}

Places without(const Places& all, const Places& taken) {
  Places rest;
  for (const ListenPlace& place : all) {
    if (!has_endpoint(taken, place.endpoint)) rest.push_back(place);
  }
  return rest;
}

std::vector<Endpoint> removed(const Places& now, const Places& next) {
  std::vector<Endpoint> gone;
  for (const ListenPlace& place : without(now, next)) gone.push_back(place.endpoint);
  return gone;
}

template <class T>
tl::unexpected<Error> at(const ListenPlace& place, const Result<T>& failed) {
  return fail(failed.error().code, fmt::format("{}: {}", place.key, failed.error().detail));
}

Result<void> check_port(const ListenPlace& place, int type, const PassedSockets& passed) {
  if (passed.has(place.endpoint, type)) return {};
  auto free = try_bind(place.endpoint, type);
  if (free) return {};
  const PassedSocket* const near = passed.on_port(place.endpoint.port, type);
  if (near == nullptr) return at(place, free);
  return fail(Code::kIo,
              fmt::format("{}: {} ({}) is not free: {} was passed as {}; make the "
                          "address there (systemctl edit {}) and here the same",
                          place.key, place.endpoint.to_string(), type == SOCK_DGRAM ? "UDP" : "TCP",
                          near->name, near->local.to_string(), near->name));
}

// Our own sockets would be in the way of the check.
Result<void> check_ports(const ListenPlan& now, const ListenPlan& added,
                         const PassedSockets& passed) {
  for (const auto* places : {&added.dns, &added.quic}) {
    for (const ListenPlace& place : *places) {
      if (has_port({&now.dns, &now.quic}, place.endpoint.port)) continue;
      if (auto free = check_port(place, SOCK_DGRAM, passed); !free) return free;
    }
  }
  for (const auto* places : {&added.dns, &added.gateway}) {
    for (const ListenPlace& place : *places) {
      if (has_port({&now.dns, &now.gateway}, place.endpoint.port)) continue;
      if (auto free = check_port(place, SOCK_STREAM, passed); !free) return free;
    }
  }
  return {};
}

// Opens the sockets of one worker.
class Opener {
 public:
  Opener(const PassedSockets& passed, unsigned worker, unsigned workers)
      : passed_(passed), worker_(worker), workers_(workers) {}

  Result<void> open(const Places& places, int type, std::vector<net::Fd>* to,
                    const net::UdpBindOptions& udp = {}) const {
    for (const ListenPlace& place : places) {
      if (auto opened = open(place.endpoint, type, to, udp); !opened) return at(place, opened);
    }
    return {};
  }

 private:
  Result<void> open(const Endpoint& endpoint, int type, std::vector<net::Fd>* to,
                    const net::UdpBindOptions& udp) const {
    const bool stream = type == SOCK_STREAM;
    const auto take = [&](Result<net::Fd> fd) -> Result<void> {
      if (!fd) return tl::unexpected(fd.error());
      to->push_back(std::move(*fd));
      return {};
    };
    if (!passed_.has(endpoint, type)) {
      return take(stream ? net::listen_tcp(endpoint) : net::bind_udp(endpoint, udp));
    }
    for (const PassedSocket* one : passed_.of_worker(endpoint, type, worker_, workers_)) {
      auto taken = take(stream ? net::adopt_tcp(one->fd) : net::adopt_udp(one->fd, udp));
      if (!taken) return taken;
    }
    return {};
  }

  const PassedSockets& passed_;
  unsigned worker_, workers_;
};

// UDP of the TLS ports last: it answers only where TCP does.
Result<Sockets> open_sockets(const ListenPlan& plan, const Opener& opener) {
  Sockets sockets;
  Result<void> opened = opener.open(plan.dns, SOCK_DGRAM, &sockets.udp);
  if (opened) opened = opener.open(plan.dns, SOCK_STREAM, &sockets.tcp);
  if (opened) opened = opener.open(plan.gateway, SOCK_STREAM, &sockets.gateway);
  if (opened) opened = opener.open(plan.quic, SOCK_DGRAM, &sockets.quic, kQuicBuffers);
  if (!opened) return tl::unexpected(opened.error());
  return sockets;
}

bool is_wanted(const PassedSocket& socket, const ListenPlan& plan) {
  const Places& more = socket.type == SOCK_DGRAM ? plan.quic : plan.gateway;
  return has_endpoint(plan.dns, socket.local) || has_endpoint(more, socket.local);
}

void add_places(const gateway::ListenerSettings& settings, std::uint16_t port,
                std::string_view detail, Places* places) {
  if (port == 0) return;
  for (const IpAddress& address : settings.addresses) {
    const Endpoint endpoint{address, port};
    if (has_endpoint(*places, endpoint)) continue;
    places->push_back({endpoint, fmt::format("gateway.listener \"{}\"{}", settings.name, detail)});
  }
}

}  // namespace

ListenPlan listen_plan(const std::vector<Endpoint>& dns, const gateway::Site& site) {
  ListenPlan plan;
  for (const Endpoint& endpoint : dns) plan.dns.push_back({endpoint, "dns.listen"});
  for (const gateway::Listener& listener : site.listeners) {
    const gateway::ListenerSettings& settings = listener.settings;
    for (const std::uint16_t port : {settings.http, settings.https, settings.tcp}) {
      add_places(settings, port, "", &plan.gateway);
    }
    if (settings.quic_refuse && listener.tls != nullptr) {
      add_places(settings, settings.https, ", quic = \"refuse\"", &plan.quic);
    }
  }
  return plan;
}

Result<std::vector<ListenChange>> open_added(const ListenPlan& now, const ListenPlan& next,
                                             unsigned workers, const PassedSockets& passed) {
  const ListenPlan added{without(next.dns, now.dns), without(next.gateway, now.gateway),
                         without(next.quic, now.quic)};
  if (auto free = check_ports(now, added, passed); !free) return tl::unexpected(free.error());
  std::vector<ListenChange> changes;
  for (unsigned i = 0; i < workers; ++i) {
    auto sockets = open_sockets(added, Opener(passed, i, workers));
    if (!sockets) return tl::unexpected(sockets.error());
    changes.push_back({std::move(*sockets), removed(now.dns, next.dns),
                       removed(now.gateway, next.gateway), removed(now.quic, next.quic)});
  }
  return changes;
}

void log_passed(const PassedSockets& passed, const ListenPlan& plan) {
  for (const PassedSocket& socket : passed.all()) {
    const char* const protocol = socket.type == SOCK_DGRAM ? "UDP" : "TCP";
    if (is_wanted(socket, plan)) {
      log_info("passed_socket", "{} {} from {}: a restart loses nothing there",
               socket.local.to_string(), protocol, socket.name);
    } else {
      log_warning("passed_socket",
                  "{} {} was passed by {}, but nothing in the configuration listens there: clients "
                  "wait in vain; add it, or: systemctl disable --now {}",
                  socket.local.to_string(), protocol, socket.name, socket.name);
    }
  }
}

Result<void> check_is_free_tcp(const Endpoint& endpoint) { return try_bind(endpoint, SOCK_STREAM); }

bool is_free(const Endpoint& endpoint) {
  return try_bind(endpoint, SOCK_DGRAM) && try_bind(endpoint, SOCK_STREAM);
}

}  // namespace postern::server
