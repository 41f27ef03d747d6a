#include "server/passed_sockets.h"

#include <set>

#include <doctest/doctest.h>

#include "../sockets.h"
#include "server/listen.h"

namespace postern::server {
namespace {

using test::endpoint;

PassedSockets passed(std::size_t count, const Endpoint& local, int type) {
  std::vector<PassedSocket> sockets;
  for (std::size_t i = 0; i < count; ++i) {
    sockets.push_back({net::Fd(), local, type, "x.socket"});
  }
  return PassedSockets(std::move(sockets));
}

// Bound as a unit without ReusePort= does it.
PassedSocket passed_udp() {
  test::TestSocket socket(SOCK_DGRAM, "127.0.0.1");
  const Endpoint local = socket.local();
  return {net::Fd(socket.release()), local, SOCK_DGRAM, "x.socket"};
}

}  // namespace

TEST_CASE("every socket has a worker and every worker a socket") {
  const Endpoint at = endpoint("127.0.0.1", 53);
  for (unsigned workers = 1; workers <= 5; ++workers) {
    for (std::size_t count = 1; count <= 7; ++count) {
      const PassedSockets sockets = passed(count, at, SOCK_DGRAM);
      std::multiset<const PassedSocket*> served;
      for (unsigned worker = 0; worker < workers; ++worker) {
        const auto own = sockets.of_worker(at, SOCK_DGRAM, worker, workers);
        CHECK(!own.empty());
        served.insert(own.begin(), own.end());
      }
      for (const PassedSocket& socket : sockets.all()) CHECK(served.count(&socket) >= 1);
      CHECK(served.size() == std::max<std::size_t>(count, workers));
    }
  }
}

TEST_CASE("a socket is known by its address and type") {
  const Endpoint at = endpoint("127.0.0.1", 53);
  const PassedSockets sockets = passed(1, at, SOCK_DGRAM);
  CHECK(sockets.has(at, SOCK_DGRAM));
  CHECK_FALSE(sockets.has(at, SOCK_STREAM));
  CHECK_FALSE(sockets.has(endpoint("127.0.0.2", 53), SOCK_DGRAM));
  CHECK(sockets.on_port(53, SOCK_DGRAM) != nullptr);
  CHECK(sockets.on_port(53, SOCK_STREAM) == nullptr);
  CHECK(sockets.of_worker(at, SOCK_STREAM, 0, 1).empty());
}

TEST_CASE("workers share a passed socket, and it outlives them") {
  std::vector<PassedSocket> all;
  all.push_back(passed_udp());
  const Endpoint at = all[0].local;
  const PassedSockets sockets(std::move(all));
  ListenPlan plan;
  plan.quic.push_back({at, "gateway.listener \"internal\""});
  {
    const auto changes = open_added({}, plan, 3, sockets);
    REQUIRE(changes);
    for (const ListenChange& change : *changes) {
      REQUIRE(change.added.quic.size() == 1);
      CHECK(change.added.quic[0].is_shared());
      CHECK(net::local_endpoint(change.added.quic[0]).value() == at);
    }
  }
  CHECK_FALSE(is_free(at));
  CHECK(open_added({}, plan, 3, sockets).has_value());
}

TEST_CASE("an address beside a passed one on the port is refused by the unit's name") {
  std::vector<PassedSocket> all;
  all.push_back(passed_udp());
  const Endpoint held = all[0].local;
  const PassedSockets sockets(std::move(all));
  ListenPlan plan;
  plan.quic.push_back({endpoint("0.0.0.0", held.port), "gateway.listener \"internal\""});
  const auto changes = open_added({}, plan, 1, sockets);
  REQUIRE_FALSE(changes);
  CHECK(changes.error().detail.find("x.socket was passed as " + held.to_string()) !=
        std::string::npos);
}

}  // namespace postern::server
