// A gateway that goes while something is under way.
#include <doctest/doctest.h>

#include "gateway/gateway.h"
#include "relay_bench.h"

namespace postern::gateway {
namespace {

using test::endpoint;
using test::receive_now;
using test::run_until;
using test::TableResolver;
using test::TestBackend;
using test::TestSocket;

struct Followed final : RequestFollower {
  void seen(const AccessRecord& record) override {
    lines.push_back(fmt::format("{} {} {}", record.protocol, record.status, record.failure));
  }
  std::vector<std::string> lines;
};

std::unique_ptr<TestSocket> ask(const Endpoint& gateway, std::string_view text) {
  auto client = std::make_unique<TestSocket>(SOCK_STREAM);
  client->connect_to(gateway);
  client->send_all(text);
  return client;
}

}  // namespace

TEST_CASE("what is cut is told, and does not look complete") {
  std::signal(SIGPIPE, SIG_IGN);
  net::Loop loop;
  TableResolver resolver(loop);
  TestBackend backend;
  net::Fd http = net::listen_tcp(endpoint("127.0.0.1")).value();
  net::Fd tcp = net::listen_tcp(endpoint("127.0.0.1")).value();
  const Endpoint http_at = net::local_endpoint(http).value();
  const Endpoint tcp_at = net::local_endpoint(tcp).value();

  auto site = std::make_shared<Site>();
  site->log_requests = false;
  http::RouteSettings route;
  route.backends.push_back(
      {http::parse_backend_url(fmt::format("http://127.0.0.1:{}", backend.port())).value(), 1});
  site->routes.push_back(std::move(route));
  for (const Endpoint& at : {http_at, tcp_at}) {
    Listener& listener = site->listeners.emplace_back();
    listener.settings.addresses = {at.ip};
    listener.settings.http = at == http_at ? at.port : std::uint16_t{0};
    listener.settings.https = 0;
    listener.settings.tcp = at == tcp_at ? at.port : std::uint16_t{0};
    listener.settings.backends = {{"127.0.0.1", backend.port()}};
    listener.routes = http::RouteTable::compile(site->routes, "");
  }
  Followed followed;
  std::vector<std::unique_ptr<TestSocket>> asked;
  SharedByWorkers shared;
  auto gateway = std::make_unique<Gateway>(loop, resolver, site, shared);
  gateway->follow(&followed);
  REQUIRE(gateway->listen(std::move(http)));
  REQUIRE(gateway->listen(std::move(tcp)));
  const auto client = ask(http_at,
                          "GET / HTTP/1.0\r\n"
                          "Host: a\r\n\r\n");
  const auto relayed = ask(tcp_at, "hello");
  REQUIRE(run_until(loop, [&] {
    if (auto one = backend.take()) asked.push_back(std::move(one));
    return asked.size() == 2 && gateway->counts().tcp_bytes_in == 5;
  }));
  for (const auto& one : asked) one->send_all("HTTP/1.1 200 OK\r\n\r\nsome of it");
  REQUIRE(run_until(loop, [&] { return receive_now(*client).bytes.ends_with("some of it"); }));

  gateway->cut();
  CHECK(followed.lines ==
        std::vector<std::string>{"http/1.0 200 the gateway was stopped", "tcp 0 stopped"});
  gateway.reset();
  CHECK(receive_now(*client).reset);
  CHECK(followed.lines.size() == 2);
}

}  // namespace postern::gateway
