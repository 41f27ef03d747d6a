#include "server/listen.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "../sockets.h"

namespace postern::server {
namespace {

using test::endpoint;

std::uint16_t free_port() {
  const net::Fd fd = net::listen_tcp(endpoint("127.0.0.1")).value();
  return net::local_endpoint(fd)->port;
}

ListenPlan plan_of(const std::vector<Endpoint>& gateway, const std::vector<Endpoint>& quic = {}) {
  ListenPlan plan;
  for (const Endpoint& one : gateway)
    plan.gateway.push_back({one, "gateway.listener \"internal\""});
  for (const Endpoint& one : quic) plan.quic.push_back({one, "gateway.listener \"internal\""});
  return plan;
}

gateway::Site site_with(std::uint16_t http, std::uint16_t https, bool quic_refuse) {
  gateway::Site site;
  gateway::Listener listener;
  listener.settings.name = "internal";
  listener.settings.addresses = {endpoint("127.0.0.1").ip, endpoint("::1").ip};
  listener.settings.http = http;
  listener.settings.https = https;
  listener.settings.quic_refuse = quic_refuse;
  site.listeners.push_back(std::move(listener));
  return site;
}

// Something else that only this process holds, as another program would.
class Other {
 public:
  Other(const Endpoint& at, int type) : fd_(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    sockaddr_storage address{};
    const socklen_t size = at.to_sockaddr(address);
    REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    if (type == SOCK_STREAM) REQUIRE(::listen(fd_.get(), 1) == 0);
  }

 private:
  net::Fd fd_;
};

}  // namespace

TEST_CASE("every worker gets a socket of its own for every address") {
  const Endpoint at = endpoint("127.0.0.1", free_port());
  const auto changes = open_added({}, plan_of({at}, {at}), 3);
  REQUIRE(changes);
  REQUIRE(changes->size() == 3);
  for (const ListenChange& change : *changes) {
    REQUIRE(change.added.gateway.size() == 1);
    REQUIRE(change.added.quic.size() == 1);
    CHECK(net::local_endpoint(change.added.gateway[0]).value() == at);
    CHECK(net::local_endpoint(change.added.quic[0]).value() == at);
  }
}

TEST_CASE("a port that another program has is an error that names the listener") {
  const Endpoint at = endpoint("127.0.0.1", free_port());
  SUBCASE("TCP") {
    const Other other(at, SOCK_STREAM);
    const auto changes = open_added({}, plan_of({at}), 1);
    REQUIRE_FALSE(changes);
    CHECK(changes.error().detail ==
          fmt::format("gateway.listener \"internal\": 127.0.0.1:{0} (TCP) is in use by another "
                      "program; see who with: ss -lnp 'sport = :{0}'",
                      at.port));
    CHECK_FALSE(is_free(at));
  }
  SUBCASE("UDP") {
    const Other other(at, SOCK_DGRAM);
    const auto changes = open_added({}, plan_of({at}, {at}), 1);
    REQUIRE_FALSE(changes);
    CHECK(changes.error().detail.find("(UDP) is in use") != std::string::npos);
    // What was opened before is closed again.
    CHECK(check_is_free_tcp(at));
    CHECK_FALSE(is_free(at));
  }
}

TEST_CASE("an address that this machine does not have is said to be so") {
  const auto changes = open_added({}, plan_of({endpoint("198.51.100.1", 8443)}), 1);
  REQUIRE_FALSE(changes);
  CHECK(changes.error().detail.find("does not have that address") != std::string::npos);
}

TEST_CASE("a reload opens what is new beside what stays, and names what goes") {
  const std::uint16_t port = free_port();
  const Endpoint stays = endpoint("127.0.0.1", port);
  const Endpoint comes = endpoint("127.0.0.2", port);
  const Endpoint goes = endpoint("127.0.0.3", port);
  const ListenPlan now = plan_of({stays, goes}, {goes});
  const auto held = open_added({}, now, 1);
  REQUIRE(held);
  const auto changes = open_added(now, plan_of({stays, comes}), 1);
  REQUIRE(changes);
  const ListenChange& change = changes->front();
  REQUIRE(change.added.gateway.size() == 1);
  CHECK(net::local_endpoint(change.added.gateway[0]).value() == comes);
  CHECK(change.gateway_removed == std::vector<Endpoint>{goes});
  CHECK(change.quic_removed == std::vector<Endpoint>{goes});
  CHECK(change.dns_removed.empty());
}

TEST_CASE("QUIC is refused only where TLS is served") {
  const Endpoint dns = endpoint("127.0.0.1", 53);
  const ListenPlan plan = listen_plan({dns}, site_with(80, 0, true));
  REQUIRE(plan.dns.size() == 1);
  CHECK(plan.dns[0].key == "dns.listen");
  REQUIRE(plan.gateway.size() == 2);
  CHECK(plan.gateway[1].endpoint == endpoint("::1", 80));
  CHECK(plan.gateway[1].key == "gateway.listener \"internal\"");
  CHECK(plan.quic.empty());
}

}  // namespace postern::server
