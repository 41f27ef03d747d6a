#include "server/host_resolver.h"

#include <condition_variable>
#include <map>
#include <mutex>

#include <doctest/doctest.h>

#include "../sockets.h"
#include "dns/cache.h"
#include "dns/name.h"
#include "dns/policy.h"
#include "nameserver/forwarder.h"
#include "nameserver/resolver.h"

namespace postern::server {
namespace {

using namespace std::string_literals;
using test::run_until;

using Addresses = SystemLookup::Addresses;

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

/// The question of `query` with these records behind it.
std::string reply_to(Bytes query, int rcode, int answers, const std::string& records) {
  return "\0\0\x81"s + static_cast<char>(0x80 | rcode) + "\0\1\0"s + static_cast<char>(answers) +
         "\0\0\0\0"s + std::string(as_text(query.subspan(12))) + records;
}

const std::string kTtl300 = "\0\0\x01\x2c"s;
const std::string kV4 = "\xc0\x0c\0\1\0\1"s + kTtl300 + "\0\4\x0a\1\2\3"s;
const std::string kV6 = "\xc0\x0c\0\x1c\0\1\0\0\0\2\0\x10\xfd"s + std::string(14, '\0') + "\7"s;
// www.<name>.: a CNAME to the name itself, with a TTL of one minute.
const std::string kAlias = "\3www\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c"s;

/// Answers A and AAAA with what the test wants: rcode, count and records; later, when told to.
class StubNameserver final : public nameserver::QueryHandler {
 public:
  struct Reply {
    int rcode = 0, answers = 0;
    std::string records;
    bool later = false;
  };
  std::map<int, Reply> replies{{1, {}}, {28, {}}};  // by type
  std::vector<std::pair<std::string, std::unique_ptr<nameserver::ReplyPath>>> waiting;
  int calls = 0;
  bool internal = true;
  bool silent = false;

  std::size_t handle(Bytes query, const nameserver::Client& client, MutableBytes reply,
                     nameserver::ReplyLater& later) override {
    ++calls;
    internal = internal && client.internal;
    if (silent) return 0;
    const Reply& wanted = replies.at(query[query.size() - 3]);
    const std::string bytes = reply_to(query, wanted.rcode, wanted.answers, wanted.records);
    if (wanted.later) {
      waiting.emplace_back(bytes, later.keep());
      return 0;
    }
    std::copy(bytes.begin(), bytes.end(), reply.begin());
    return bytes.size();
  }
};

struct Bench {
  net::Loop loop;
  StubNameserver nameserver;
  HostResolverSettings settings;
  std::unique_ptr<HostResolver> resolver;
  Result<gateway::ResolvedHost> result = fail(Code::kNotBuiltYet);
  int times = 0;
  std::unique_ptr<gateway::HostResolver::Ticket> ticket;

  Bench() {
    settings.system = [](const std::string&) -> Result<Addresses> {
      return fail(Code::kNotFound, "unheard of");
    };
  }
  void begin(const std::string& host) {
    if (!resolver) resolver = std::make_unique<HostResolver>(loop, nameserver, settings);
    ticket = resolver->resolve(host, [this](Result<gateway::ResolvedHost> r) {
      ++times;
      result = std::move(r);
    });
    CHECK(times == 0);  // never from inside resolve()
  }
  const Result<gateway::ResolvedHost>& resolve(const std::string& host) {
    begin(host);
    REQUIRE(run_until(loop, [&] { return times > 0; }));
    CHECK(times == 1);
    return result;
  }
  void answer_waiting() {
    for (const auto& [bytes, path] : nameserver.waiting) path->send(as_bytes(bytes));
    nameserver.waiting.clear();
  }
};

}  // namespace

TEST_CASE("addresses of both families come with the smallest TTL, IPv4 first") {
  Bench bench;
  bench.nameserver.replies[1] = {0, 1, kV4, false};
  bench.nameserver.replies[28] = {0, 1, kV6, true};
  bench.begin("db.home.arpa");
  bench.answer_waiting();
  REQUIRE(run_until(bench.loop, [&] { return bench.times > 0; }));
  REQUIRE(bench.result);
  CHECK(bench.result->addresses == Addresses{ip("10.1.2.3"), ip("fd00::7")});
  CHECK(bench.result->ttl_s == HostResolver::kTtlMinS);  // 2 s is too little
  CHECK(bench.nameserver.internal);
}

TEST_CASE("the TTL of an alias on the way counts") {
  Bench bench;
  bench.nameserver.replies[1] = {0, 2, kAlias + kV4, false};
  bench.nameserver.replies[28] = {0, 0, "", false};
  REQUIRE(bench.resolve("www.home.arpa."));
  CHECK(bench.result->addresses == Addresses{ip("10.1.2.3")});
  CHECK(bench.result->ttl_s == 60);
}

TEST_CASE("a slow AAAA does not hold up what A has") {
  Bench bench;
  bench.settings.second_family_ms = 5;
  bench.nameserver.replies[1] = {0, 1, kV4, true};
  bench.nameserver.replies[28].later = true;
  bench.begin("db.home.arpa");
  REQUIRE(bench.nameserver.waiting.size() == 2);
  bench.nameserver.waiting[0].second->send(as_bytes(bench.nameserver.waiting[0].first));
  REQUIRE(run_until(bench.loop, [&] { return bench.times > 0; }));
  REQUIRE(bench.result);
  CHECK(bench.result->ttl_s == 300);
  bench.nameserver.waiting[1].second->send(as_bytes(bench.nameserver.waiting[1].first));
  bench.loop.run_once(false);
  CHECK(bench.times == 1);
}

TEST_CASE("what our nameserver does not know is the system's") {
  Bench bench;
  bench.settings.system = SystemLookup::look_up_now;
  bench.nameserver.replies[1].rcode = 3;
  bench.nameserver.replies[28].rcode = 3;
  REQUIRE(bench.resolve("127.1"));  // getaddrinfo knows this old form of 127.0.0.1
  CHECK(bench.result->addresses == Addresses{ip("127.0.0.1")});
  CHECK(bench.result->ttl_s == HostResolver::kSystemTtlS);
  CHECK(bench.nameserver.calls == 2);
}

TEST_CASE("localhost and names without a dot are asked at the system only") {
  Bench bench;
  bench.settings.system = SystemLookup::look_up_now;
  REQUIRE(bench.resolve("localhost"));
  for (const IpAddress& address : bench.result->addresses) CHECK(address.is_loopback());
  CHECK(bench.nameserver.calls == 0);
}

TEST_CASE("names below localhost are not asked at our nameserver") {
  Bench bench;
  CHECK_FALSE(bench.resolve("app.localhost"));
  CHECK(bench.result.error().detail == "app.localhost: the system says: unheard of");
  CHECK(bench.nameserver.calls == 0);
}

TEST_CASE("an address needs no asking") {
  Bench bench;
  REQUIRE(bench.resolve("fd00::7"));
  CHECK(bench.result->addresses == Addresses{ip("fd00::7")});
  CHECK(bench.nameserver.calls == 0);
}

TEST_CASE("an error says who was asked and what he said") {
  Bench bench;
  bench.nameserver.replies[1].rcode = 2;
  CHECK_FALSE(bench.resolve("db.example.com"));
  CHECK(bench.result.error().code == Code::kNotFound);
  CHECK(bench.result.error().detail ==
        "db.example.com: our nameserver says SERVFAIL (A) and no address (AAAA), the system says: "
        "unheard of");
}

TEST_CASE("a query that is dropped does not keep anybody waiting") {
  Bench bench;
  bench.nameserver.silent = true;
  CHECK_FALSE(bench.resolve("db.example.com"));
  CHECK(bench.result.error().detail.find("no reply (A)") != std::string::npos);
}

TEST_CASE("a malformed reply is not used") {
  Bench bench;
  bench.nameserver.replies[1] = {0, 2, kV4, false};
  CHECK_FALSE(bench.resolve("db.example.com"));
  CHECK(bench.result.error().detail.find("an unreadable reply (A)") != std::string::npos);
}

TEST_CASE("our nameserver's silence leads to the system, and its silence to an error") {
  Bench bench;
  std::mutex mutex;
  std::condition_variable over;
  bool end = false, ended = false;
  bench.settings.nameserver_ms = 10;
  bench.settings.limit_ms = 30;
  bench.settings.system = [&](const std::string&) -> Result<Addresses> {
    std::unique_lock lock(mutex);
    over.wait(lock, [&] { return end; });
    ended = true;
    over.notify_all();
    return Addresses{ip("192.0.2.1")};
  };
  bench.nameserver.replies[1].later = bench.nameserver.replies[28].later = true;
  CHECK_FALSE(bench.resolve("db.example.com"));
  CHECK(bench.result.error().code == Code::kLimit);
  CHECK(bench.result.error().detail ==
        "db.example.com: our nameserver says no answer in time (A) and no answer in time (AAAA), "
        "the system says: no answer in time");
  bench.ticket.reset();
  bench.resolver.reset();  // does not wait for the thread
  bench.answer_waiting();  // to a look-up that is gone
  std::unique_lock lock(mutex);
  CHECK_FALSE(ended);
  end = true;
  over.notify_all();
  over.wait(lock, [&] { return ended; });
}

TEST_CASE("dropping the ticket cancels, also from inside done") {
  Bench bench;
  bench.begin("db.example.com");
  bench.ticket.reset();
  bench.begin("10.0.0.1");
  REQUIRE(run_until(bench.loop, [&] { return bench.times > 0; }));
  CHECK(bench.times == 1);
  CHECK(bench.result);
  bool done = false;
  bench.ticket = bench.resolver->resolve("10.0.0.2", [&](const Result<gateway::ResolvedHost>&) {
    bench.ticket.reset();
    done = true;
  });
  CHECK(run_until(bench.loop, [&] { return done; }));
}

TEST_CASE("the number of look-ups at a time has a limit") {
  Bench bench;
  bench.settings.lookups_max = 1;
  bench.nameserver.replies[1].later = true;
  bench.begin("db.example.com");
  const auto first = std::move(bench.ticket);
  CHECK_FALSE(bench.resolve("web.example.com"));
  CHECK(bench.result.error().code == Code::kLimit);
}

TEST_CASE("overrides hold for backends, whatever dns.allow and the rate limit say") {
  dns::PolicySettings settings;
  dns::OverrideSettings override_settings;
  override_settings.names.push_back(dns::Name::parse("db.example.com").value());
  override_settings.addresses = {ip("192.168.10.60")};
  settings.overrides.push_back(override_settings);
  REQUIRE(settings.allow.empty());
  auto snapshot = std::make_shared<nameserver::ResolverSnapshot>();
  snapshot->policy = dns::compile_policy(settings, {});

  Bench bench;
  dns::Cache cache{dns::CacheSettings{}};
  nameserver::Forwarder forwarder(bench.loop, cache, {});
  nameserver::ResolverSettings limits;
  limits.qps_per_client = 1;
  nameserver::Resolver nameserver(bench.loop, cache, forwarder, limits, snapshot);
  for (int i = 0; i < 4; ++i) {
    bench.times = 0;
    bench.resolver = std::make_unique<HostResolver>(bench.loop, nameserver, bench.settings);
    REQUIRE(bench.resolve("db.example.com"));
    CHECK(bench.result->addresses == Addresses{ip("192.168.10.60")});
    CHECK(bench.result->ttl_s == 60);
    bench.ticket.reset();
  }
}

}  // namespace postern::server
