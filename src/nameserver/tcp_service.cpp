#include "nameserver/tcp_service.h"

#include <algorithm>
#include <utility>

namespace postern::nameserver {
namespace {

constexpr std::uint32_t kCheckMsMin = 5;
constexpr std::uint32_t kCheckMsMax = 1000;
constexpr std::uint32_t kChecksPerTimeout = 4;

// Room for what late answers may add to a client that no more queries are read from.
net::TcpSettings stream_settings(const TcpServiceSettings& settings) {
  net::TcpSettings stream;
  stream.unsent_bytes_max = 4 * settings.unsent_bytes_max + (128U << 10);
  return stream;
}

}  // namespace

TcpService::TcpService(net::Loop& loop, QueryHandler& handler, const TcpServiceSettings& settings)
    : shared_(loop, handler, settings), check_(loop, [this] { check_timeouts(); }) {
  shared_.close = [this](TcpConnection& connection) { close(connection); };
}

TcpService::~TcpService() { shared_.connections.clear(); }

Result<void> TcpService::listen(net::Fd fd) {
  const Endpoint local = net::local_endpoint(fd).value_or(Endpoint{});
  auto listener = net::TcpListener::open(shared_.loop, std::move(fd),
                                         [this, local](net::Fd client, const Endpoint& peer) {
                                           accept(std::move(client), peer, local);
                                         });
  if (!listener) return tl::unexpected(std::move(listener.error()));
  listeners_.push_back(std::move(*listener));
  return {};
}

void TcpService::configure(const TcpServiceSettings& settings) {
  shared_.settings = settings;
  if (check_.active()) start_checking();
}

// Connections that wait to be accepted would be reset with their listener.
void TcpService::stop_listening(const Endpoint& endpoint) {
  for (const auto& listener : listeners_) {
    if (listener->local() == endpoint) listener->accept_waiting();
  }
  std::erase_if(listeners_, [&](const auto& listener) {
    if (listener->local() != endpoint) return false;
    shared_.counts.exhausted += listener->exhausted();
    return true;
  });
  for (auto next = shared_.connections.begin(); next != shared_.connections.end();) {
    TcpConnection& connection = *next++;
    if (connection.listener() == endpoint) connection.drain();
  }
}

void TcpService::drain() {
  for (const Endpoint& endpoint : listening()) stop_listening(endpoint);
}

bool TcpService::drained() const {
  const std::uint64_t now = shared_.loop.now_ms();
  return std::none_of(shared_.connections.begin(), shared_.connections.end(),
                      [now](const TcpConnection& connection) {
                        return connection.busy() || connection.awaits_first_query(now);
                      });
}

std::vector<Endpoint> TcpService::listening() const {
  std::vector<Endpoint> endpoints;
  for (const auto& listener : listeners_) endpoints.push_back(listener->local());
  return endpoints;
}

TcpServiceCounts TcpService::counts() const {
  TcpServiceCounts counts = shared_.counts;
  for (const auto& listener : listeners_) counts.exhausted += listener->exhausted();
  return counts;
}

void TcpService::accept(net::Fd fd, const Endpoint& peer, const Endpoint& listener) {
  const TcpServiceSettings& limits = shared_.settings;
  const auto same = clients_by_address_.find(peer.ip);
  if (same != clients_by_address_.end() && same->second >= limits.clients_per_address_max &&
      !make_room(&peer.ip)) {
    ++shared_.counts.refused_address;
    return;
  }
  if (clients() >= limits.clients_max && !make_room(nullptr)) {
    ++shared_.counts.refused_total;
    return;
  }
  const auto place =
      shared_.connections.emplace(shared_.connections.end(), shared_, peer, listener);
  auto stream =
      net::TcpStream::accepted(shared_.loop, std::move(fd), peer, *place, stream_settings(limits));
  if (!stream) {
    shared_.connections.erase(place);
    ++shared_.counts.refused_total;
    return;
  }
  place->start(place, std::move(*stream));
  ++clients_by_address_[peer.ip];
  ++shared_.counts.accepted;
  if (!check_.active()) start_checking();
}

// Closes the connection that has been quiet for longest, of this address or of all.
bool TcpService::make_room(const IpAddress* address) {
  for (TcpConnection& connection : shared_.connections) {
    if (connection.busy() || (address != nullptr && connection.peer().ip != *address)) continue;
    ++shared_.counts.closed_for_room;
    close(connection);
    return true;
  }
  return false;
}

void TcpService::close(TcpConnection& connection) {
  const auto same = clients_by_address_.find(connection.peer().ip);
  if (--same->second == 0) clients_by_address_.erase(same);
  shared_.connections.erase(connection.place());
  if (shared_.connections.empty()) check_.stop();
}

void TcpService::check_timeouts() {
  const std::uint64_t now = shared_.loop.now_ms();
  for (auto next = shared_.connections.begin(); next != shared_.connections.end();) {
    TcpConnection& connection = *next++;
    const bool stalled = connection.stalled(now);
    const bool idle =
        !connection.busy() && now - connection.last_active_ms() >= shared_.settings.idle_timeout_ms;
    if (!stalled && !idle) continue;
    ++(stalled ? shared_.counts.closed_stalled : shared_.counts.closed_idle);
    close(connection);
  }
}

void TcpService::start_checking() {
  const std::uint32_t shortest =
      std::min(shared_.settings.idle_timeout_ms, shared_.settings.stall_timeout_ms);
  check_.start_every(std::clamp(shortest / kChecksPerTimeout, kCheckMsMin, kCheckMsMax));
}

}  // namespace postern::nameserver
