// The addresses of a backend and connections to it, without a gateway.
#include <doctest/doctest.h>

#include <bit>
#include <set>

#include "gateway/backend_addresses.h"
#include "gateway/backend_connection.h"
#include "relay_bench.h"

namespace postern::gateway {
namespace {

using test::endpoint;
using test::run_until;
using test::TableResolver;

struct Bench {
  net::Loop loop;
  TableResolver resolver{loop};
  SharedByWorkers shared;
  Context context{loop, resolver, shared};
  http::BackendUrl url = http::parse_backend_url("http://svc.example:80").value();
  int settled = 0;
  BackendAddresses addresses{context, url, [this] { ++settled; }};

  void look_up(const std::vector<std::string>& found) {
    ResolvedHost& host = resolver.hosts["svc.example"];
    host = {};
    for (const std::string& one : found) host.addresses.push_back(IpAddress::parse(one).value());
    const int before = settled;
    addresses.look_up();
    run_until(loop, [&] { return settled > before; });
  }
  BackendAddress& at(std::string_view address) {
    BackendAddress* const found =
        addresses.find(Endpoint{IpAddress::parse(address).value(), url.port});
    REQUIRE(found != nullptr);
    return *found;
  }
};

struct Owner final : ConnectionOwner {
  void connected(BackendConnection&) override { ++told; }
  void connect_failed(BackendConnection&, const Error&) override { ++told; }
  void available(BackendConnection&) override { ++told; }
  void request_over(bool) override { ++told; }
  void closed(BackendConnection&) override { ++closes; }
  int told = 0, closes = 0;
};

TEST_CASE("an address keeps its bit, and a new one gets none that somebody may have tried") {
  Bench bench;
  bench.look_up({"10.0.0.1", "10.0.0.2"});
  const std::uint64_t one = bench.at("10.0.0.1").bit;
  const std::uint64_t two = bench.at("10.0.0.2").bit;
  CHECK(std::popcount(one | two) == 2);
  bench.look_up({"10.0.0.3", "10.0.0.2"});
  CHECK(bench.at("10.0.0.2").bit == two);
  CHECK((bench.at("10.0.0.3").bit & (one | two)) == 0);
  BackendAddress* const left = bench.addresses.choose(one | two);
  REQUIRE(left != nullptr);
  CHECK(left->endpoint.ip.to_string() == "10.0.0.3");
  CHECK(bench.addresses.choose(one | two | left->bit) == nullptr);
}

TEST_CASE("32 addresses are used, each once, for as often as all of them change") {
  Bench bench;
  for (int turn = 0; turn < 10; ++turn) {
    std::vector<std::string> found;
    for (int i = 0; i < 40; ++i) found.push_back(fmt::format("10.0.{}.{}", turn, i / 2));
    for (int i = 20; i < 60; ++i) found.push_back(fmt::format("10.0.{}.{}", turn, i));
    bench.look_up(found);
    REQUIRE(bench.addresses.all().size() == 32);
    std::uint64_t bits = 0;
    std::set<std::string> different;
    for (const BackendAddress& one : bench.addresses.all()) {
      bits |= one.bit;
      different.insert(one.endpoint.to_string());
    }
    CHECK(std::popcount(bits) == 32);
    CHECK(different.size() == 32);
  }
}

TEST_CASE("the best address has the fewest connections, or the rest that ends first") {
  Bench bench;
  const std::uint64_t now = bench.loop.now_ms();
  bench.look_up({"10.0.0.1", "10.0.0.2", "10.0.0.3"});
  bench.at("10.0.0.1").connections = 2;
  bench.at("10.0.0.2").connections = 1;
  bench.at("10.0.0.3").refuses_until_ms = now + 60'000;
  CHECK(bench.addresses.choose(0) == &bench.at("10.0.0.2"));
  bench.at("10.0.0.2").silent_until_ms = now + 30'000;
  CHECK(bench.addresses.choose(0) == &bench.at("10.0.0.1"));
  bench.at("10.0.0.1").refuses_until_ms = now + 70'000;
  CHECK(bench.addresses.choose(0) == &bench.at("10.0.0.2"));
  CHECK(!bench.addresses.any_well());
  CHECK(!bench.addresses.all_sick());
}

TEST_CASE("what was known is used while nobody can say, and not when the name is gone") {
  Bench bench;
  CHECK(bench.addresses.are_old());
  CHECK(!bench.addresses.is_without());
  bench.look_up({"10.0.0.1"});
  CHECK(!bench.addresses.are_old());
  bench.resolver.hosts.clear();
  bench.resolver.otherwise = Code::kIo;
  bench.addresses.look_up();
  run_until(bench.loop, [&] { return bench.settled == 2; });
  CHECK(!bench.addresses.are_old());
  CHECK(bench.addresses.all().size() == 1);
  bench.resolver.otherwise = Code::kNotFound;
  bench.addresses.look_up();
  run_until(bench.loop, [&] { return bench.settled == 3; });
  CHECK(bench.addresses.is_without());
  CHECK(bench.addresses.lookup_error() == "svc.example: not in the table");
}

TEST_CASE("a connection that was given up tells its owner nothing more") {
  Bench bench;
  auto worker_site = std::make_shared<WorkerSite>();
  worker_site->site = std::make_shared<Site>();
  bench.context.site = worker_site;
  net::Fd listening = net::listen_tcp(endpoint("127.0.0.1")).value();
  Owner owner;
  const BackendPlace place{bench.url, net::local_endpoint(listening).value(), nullptr};
  auto connection = BackendConnection::open(bench.context, owner, place, {}).value();
  connection->close();
  CHECK(owner.closes == 1);
  // In one turn with the event that tells that it is there.
  connection->connected();
  connection->received({});
  connection->drained();
  connection->ended();
  connection->failed(Error{Code::kIo, "late"});
  connection->close();
  CHECK(owner.told == 0);
  CHECK(owner.closes == 1);
}

}  // namespace
}  // namespace postern::gateway
