#include "server/certificates.h"

#include <array>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/chrono.h>

#include "certificate_files.h"
#include "folder.h"
#include "server/change.h"
#include "server/snapshot.h"

namespace postern::server {
namespace {

using test::Folder;
using test::make_pair;
using test::make_pair_of_dates;
using test::shell;

constexpr std::string_view kConfig = R"([dns]
listen = []
[[tls.certificate]]
name = "lan"
cert = "lan.crt"
key  = "lan.key"
[[tls.certificate]]
name = "other"
cert = "other.crt"
key  = "other.key"
[[gateway.listener]]
name = "internal"
address = ["127.0.0.1"]
certificates = ["lan"]
hsts = "1d"
[[gateway.listener]]
name = "second"
address = ["127.0.0.2"]
certificates = ["other"]
publish_dns = false
[[gateway.route]]
hostnames = ["a.lan.test"]
respond = { body = "a" }
)";

struct Lab {
  Lab() {
    make_pair(folder, "lan", "DNS:*.lan.test,DNS:*.other.test");
    make_pair(folder, "other", "DNS:*.lan.test,DNS:*.other.test");
    config = folder.write("postern.toml", kConfig);
  }
  std::shared_ptr<const Snapshot> load(const Snapshot* previous = nullptr) const {
    const SnapshotResult result = load_snapshot(config, previous);
    for (const ConfigProblem& problem : result.problems) INFO(problem.to_string());
    REQUIRE(result.snapshot != nullptr);
    return result.snapshot;
  }
  std::vector<std::string> problems() const {
    std::vector<std::string> lines;
    for (const ConfigProblem& problem : load_snapshot(config, nullptr).problems) {
      lines.push_back(folder.shorten(problem.to_string()));
    }
    return lines;
  }

  Folder folder;
  std::string config;
};

constexpr std::string_view kZone =
    "@ 60 SOA ns hostmaster 1 60 60 60 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n";
constexpr std::string_view kZoneSettings =
    "[[dns.zone]]\nname = \"home.arpa\"\nfile = \"home.zone\"\n";

/// Changes of configuration, zone and certificates, as a server sees them.
struct Changes : Lab {
  Changes() {
    folder.write("home.zone", kZone);
    write_config("");
    served = load();
  }
  void write_config(std::string_view more) const {
    folder.write("postern.toml",
                 std::string(kConfig) + std::string(kZoneSettings) + std::string(more));
  }
  void renew(const std::string& name) const {
    make_pair(folder, name, "DNS:*.lan.test,DNS:*.other.test");
  }
  /// What is held from now on.
  std::vector<std::size_t> refused() {
    SnapshotResult result = load_snapshot(config, served.get());
    REQUIRE(result.snapshot == nullptr);
    return note_refused(*served, std::move(result.parts), &refusals);
  }
  /// What the look at certificates takes up.
  std::vector<std::size_t> taken_up() {
    CertificateRefresh refresh = refresh_certificates(*served, refusals.certificates);
    for (const std::size_t index : refresh.changes.reloaded) {
      std::erase_if(refusals.certificates,
                    [&](const CertificateRejection& one) { return one.index == index; });
    }
    if (refresh.snapshot != nullptr) served = refresh.snapshot;
    return refresh.changes.reloaded;
  }

  std::shared_ptr<const Snapshot> served;
  Refusals refusals;
};

using Indexes = std::vector<std::size_t>;

const std::string& leaf(const Snapshot& snapshot, std::size_t index) {
  return snapshot.gateway->certificates[index].identity->fingerprint();
}

const net::TlsServer* offer(const Snapshot& snapshot, std::size_t listener) {
  return snapshot.site().listeners[listener].tls.get();
}

}  // namespace

TEST_CASE("listeners get their certificates, routes and headers") {
  const Lab lab;
  const auto snapshot = lab.load();
  const gateway::Site& site = snapshot->site();
  REQUIRE(site.listeners.size() == 2);
  CHECK(site.listeners[0].hsts == "max-age=86400");
  CHECK(site.listeners[1].hsts.empty());
  CHECK(site.listeners[0].tls != nullptr);
  CHECK(site.listeners[0].routes.host_count() == 1);
  CHECK(site.backend_tls == nullptr);
  CHECK(gateway::tcp_endpoints(site).size() == 4);
  CHECK(gateway::quic_endpoints(site).size() == 2);
}

TEST_CASE("a reload keeps what did not change, down to the object") {
  const Lab lab;
  const auto first = lab.load();
  make_pair(lab.folder, "other", "DNS:*.lan.test,DNS:*.other.test");
  const auto second = lab.load(first.get());
  CHECK(second->gateway->tickets == first->gateway->tickets);
  CHECK(second->gateway->certificates[0].identity == first->gateway->certificates[0].identity);
  CHECK(offer(*second, 0) == offer(*first, 0));
  CHECK(leaf(*second, 1) != leaf(*first, 1));
  CHECK(offer(*second, 1) != offer(*first, 1));
}

TEST_CASE("a renewed pair is taken over, and only its listener is another") {
  const Lab lab;
  const auto first = lab.load();
  CHECK(refresh_certificates(*first, {}).snapshot == nullptr);
  make_pair(lab.folder, "lan", "DNS:*.lan.test,DNS:*.other.test");
  const CertificateRefresh refresh = refresh_certificates(*first, {});
  REQUIRE(refresh.snapshot != nullptr);
  CHECK(refresh.changes.reloaded == std::vector<std::size_t>{0});
  CHECK(refresh.changes.rejected.empty());
  CHECK(leaf(*refresh.snapshot, 0) != leaf(*first, 0));
  CHECK(offer(*refresh.snapshot, 0) != offer(*first, 0));
  CHECK(offer(*refresh.snapshot, 1) == offer(*first, 1));
  CHECK(refresh.snapshot->resolver == first->resolver);
  CHECK(refresh_certificates(*refresh.snapshot, {}).snapshot == nullptr);
}

TEST_CASE("hosts that a renewed certificate covered, and none covers now, are lost") {
  const Lab lab;
  const auto first = lab.load();
  CHECK(first->gateway->uncovered.empty());
  make_pair(lab.folder, "lan", "DNS:*.lan.test");  // of a name that nothing here has
  const auto narrow = refresh_certificates(*first, {});
  REQUIRE(narrow.snapshot != nullptr);
  CHECK(narrow.lost.empty());
  make_pair(lab.folder, "lan", "DNS:b.lan.test");
  const auto second = refresh_certificates(*narrow.snapshot, {});
  REQUIRE(second.snapshot != nullptr);
  REQUIRE(second.lost.size() == 1);
  CHECK(second.lost[0].certificate == 0);
  CHECK(second.lost[0].listener == "internal");
  CHECK(second.lost[0].hosts == std::vector<std::string>{"a.lan.test"});
  REQUIRE(second.snapshot->gateway->uncovered.size() == 1);
  CHECK(second.snapshot->gateway->uncovered[0].host == "a.lan.test");
  make_pair(lab.folder, "lan", "DNS:c.lan.test");  // no better, no worse
  const auto third = refresh_certificates(*second.snapshot, {});
  REQUIRE(third.snapshot != nullptr);
  CHECK(third.lost.empty());
  make_pair(lab.folder, "lan", "DNS:a.lan.test");
  const auto mended = refresh_certificates(*third.snapshot, {});
  REQUIRE(mended.snapshot != nullptr);
  CHECK(mended.lost.empty());
  CHECK(mended.snapshot->gateway->uncovered.empty());
}

TEST_CASE("a host that another certificate of the listener still covers is not lost") {
  Lab lab;
  std::string text(kConfig);
  text.replace(text.find("[\"lan\"]"), 7, "[\"lan\", \"other\"]");
  lab.config = lab.folder.write("postern.toml", text);
  const auto first = lab.load();
  make_pair(lab.folder, "lan", "DNS:b.lan.test");
  const auto second = refresh_certificates(*first, {});
  REQUIRE(second.snapshot != nullptr);
  CHECK(second.lost.empty());
  make_pair(lab.folder, "other", "DNS:b.lan.test");
  const auto third = refresh_certificates(*second.snapshot, {});
  REQUIRE(third.snapshot != nullptr);
  REQUIRE(third.lost.size() == 2);  // of both listeners
  CHECK(third.lost[0].certificate == 1);
  CHECK(third.lost[0].listener == "internal");
  CHECK(third.lost[1].listener == "second");
}

TEST_CASE("a key that is not the certificate's is refused once, and the old pair stays") {
  const Lab lab;
  const auto first = lab.load();
  make_pair(lab.folder, "new", "DNS:*.lan.test");
  shell(lab.folder, "cp lan.key old.key; cp new.key lan.key");
  const CertificateRefresh refused = refresh_certificates(*first, {});
  CHECK(refused.snapshot == nullptr);
  REQUIRE(refused.changes.rejected.size() == 1);
  CHECK(refused.changes.rejected[0].index == 0);
  CHECK(refused.changes.rejected[0].reason.find("lan.key") != std::string::npos);

  const auto& known = refused.changes.rejected;
  const CertificateRefresh again = refresh_certificates(*first, known);
  CHECK(again.snapshot == nullptr);
  CHECK(again.changes.rejected.empty());
  CHECK(again.changes.mended.empty());

  SUBCASE("the old key comes back") {
    shell(lab.folder, "cp old.key lan.key");
    const CertificateRefresh mended = refresh_certificates(*first, known);
    CHECK(mended.snapshot == nullptr);
    CHECK(mended.changes.mended == std::vector<std::size_t>{0});
  }
  SUBCASE("the certificate follows its key") {
    shell(lab.folder, "cp new.crt lan.crt");
    const CertificateRefresh renewed = refresh_certificates(*first, known);
    REQUIRE(renewed.snapshot != nullptr);
    CHECK(renewed.changes.reloaded == std::vector<std::size_t>{0});
  }
}

TEST_CASE("a renewal that has expired already, or is gone, leaves the old pair") {
  const Lab lab;
  const auto first = lab.load();
  SUBCASE("expired") { make_pair(lab.folder, "lan", "DNS:*.lan.test", -1); }
  SUBCASE("gone") { shell(lab.folder, "rm lan.crt"); }
  SUBCASE("half written") { shell(lab.folder, "head -c 100 lan.crt > x; mv x lan.crt"); }
  const CertificateRefresh refresh = refresh_certificates(*first, {});
  CHECK(refresh.snapshot == nullptr);
  REQUIRE(refresh.changes.rejected.size() == 1);
  CHECK(refresh.changes.rejected[0].reason.find("lan.crt") != std::string::npos);
}

TEST_CASE("a pair mounted by Kubernetes is swapped as one, by a symlink above it") {
  const Lab lab;
  shell(lab.folder,
        "mkdir ..first ..second; mv lan.crt lan.key ..first/; ln -s ..first ..data; "
        "ln -s ..data/lan.crt lan.crt; ln -s ..data/lan.key lan.key");
  make_pair(lab.folder, "..second/lan", "DNS:*.lan.test,DNS:*.other.test");
  const auto first = lab.load();
  shell(lab.folder, "ln -s ..second ..data_tmp; mv -T ..data_tmp ..data");
  const CertificateRefresh refresh = refresh_certificates(*first, {});
  REQUIRE(refresh.snapshot != nullptr);
  CHECK(leaf(*refresh.snapshot, 0) != leaf(*first, 0));
}

TEST_CASE("every pair that cannot be served is an error at the line of its certificate") {
  const Lab lab;
  make_pair(lab.folder, "x", "DNS:x.test");
  shell(lab.folder, "cp x.key lan.key; : > other.crt");
  const auto problems = lab.problems();
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].starts_with("postern.toml:3:1: tls.certificate \"lan\": lan.key"));
  CHECK(problems[1].starts_with("postern.toml:7:1: tls.certificate \"other\": other.crt"));
  CHECK(problems[1].find("no certificate in it") != std::string::npos);
}

TEST_CASE("a certificate that has expired is served with a warning: the rest has to go on") {
  const Lab lab;
  const std::string names = "DNS:*.lan.test,DNS:*.other.test";
  make_pair(lab.folder, "lan", names, -1);
  const auto problems = lab.problems();
  REQUIRE(problems.size() == 1);
  CHECK(
      problems[0].starts_with("postern.toml:3:1: warning: tls.certificate \"lan\" (lan.crt) has "
                              "expired on 20"));
  const auto first = lab.load();
  CHECK(first->gateway->certificates[0].identity != nullptr);

  SUBCASE("another one that has expired is no worse") { make_pair(lab.folder, "lan", names, -1); }
  SUBCASE("a good one") { make_pair(lab.folder, "lan", names); }
  const CertificateRefresh refresh = refresh_certificates(*first, {});
  REQUIRE(refresh.snapshot != nullptr);
  CHECK(leaf(*refresh.snapshot, 0) != leaf(*first, 0));
  CHECK(leaf(*lab.load(first.get()), 0) == leaf(*refresh.snapshot, 0));
}

TEST_CASE("a reload does not put an expired certificate in place of a good one") {
  const Lab lab;
  const auto first = lab.load();
  make_pair(lab.folder, "lan", "DNS:*.lan.test,DNS:*.other.test", -1);
  const SnapshotResult result = load_snapshot(lab.config, first.get());
  CHECK(result.snapshot == nullptr);
  REQUIRE(result.problems.size() == 1);
  CHECK(result.problems[0].text.find("lan.crt: the certificate has expired on 20") !=
        std::string::npos);
}

TEST_CASE(
    "an expired certificate at the end of a chain is a warning, and may come with a renewal") {
  const Lab lab;
  const auto first = lab.load();
  make_pair(lab.folder, "old", "DNS:old.test", -1);
  make_pair(lab.folder, "lan", "DNS:*.lan.test,DNS:*.other.test");
  shell(lab.folder, "cat old.crt >> lan.crt");
  CHECK(refresh_certificates(*first, {}).snapshot != nullptr);
  const auto problems = lab.problems();
  REQUIRE(problems.size() == 1);
  CHECK(
      problems[0].starts_with("postern.toml:3:1: warning: tls.certificate \"lan\" (lan.crt): the "
                              "certificate of /CN=test in it has expired on 20"));
}

TEST_CASE("what ends within two weeks is told, of the chain as well") {
  const Lab lab;
  make_pair(lab.folder, "old", "DNS:old.test", 20);
  make_pair(lab.folder, "lan", "DNS:*.lan.test", 40);
  shell(lab.folder, "cat old.crt >> lan.crt");
  const auto served = lab.load();
  const CertificateSettings& settings = served->config.certificates[0];
  const net::TlsIdentity& identity = *served->gateway->certificates[0].identity;
  const auto after = [&](std::int64_t days) {
    const std::int64_t then_s = identity.not_before_s() + days * 86'400 + 60;
    return lab.folder.shorten(
        fmt::format("{}", fmt::join(expiry_warnings(settings, identity, then_s), "\n")));
  };
  const auto on = [](std::int64_t end_s) {
    const std::string text = expiry_text(end_s, end_s + 1);
    return text.substr(text.rfind(' ') + 1);
  };
  const std::string leaf = on(identity.not_after_s());
  const std::string issuer = on(identity.first_issuer_to_end().not_after_s);
  CHECK(after(0).empty());
  CHECK(after(5).empty());
  CHECK(after(7) ==
        "tls.certificate \"lan\" (lan.crt): the certificate of /CN=test in it expires in "
        "12 days, on " +
            issuer +
            "; some clients refuse the chain then: take it out, or "
            "put the new one there");
  const std::string ended =
      "tls.certificate \"lan\" (lan.crt): the certificate of /CN=test in it has "
      "expired on " +
      issuer +
      "; some clients refuse the chain for it: take it "
      "out, or put the new one there";
  CHECK(after(21) == ended);
  CHECK(after(27) == "tls.certificate \"lan\" (lan.crt) expires in 12 days, on " + leaf +
                         "; renew it\n" + ended);
  CHECK(after(41) ==
        "tls.certificate \"lan\" (lan.crt) has expired on " + leaf + "; renew it\n" + ended);
}

TEST_CASE("HTTPS records follow the names of a renewed certificate") {
  const Lab lab;
  const auto first = lab.load();
  const auto told = [](const Snapshot& snapshot) {
    const dns::Name name = dns::Name::parse("a.lan.test.").value();
    const dns::LookupName asked(name.view());
    const auto match =
        snapshot.resolver->policy->everyone.overrides.find(asked, dns::RrType::kHttps);
    return match && match.rule->service_for(asked.name(), 0) != nullptr;
  };
  CHECK(told(*first));
  make_pair(lab.folder, "lan", "DNS:b.lan.test");
  const auto second = refresh_certificates(*first, {}).snapshot;
  REQUIRE(second != nullptr);
  CHECK_FALSE(told(*second));
  make_pair(lab.folder, "lan", "DNS:a.lan.test");
  const auto third = refresh_certificates(*second, {}).snapshot;
  REQUIRE(third != nullptr);
  CHECK(told(*third));
}

TEST_CASE("a certificate that expires within two weeks is a warning") {
  const Lab lab;
  CHECK(lab.problems().empty());
  make_pair(lab.folder, "lan", "DNS:*.lan.test,DNS:*.other.test", 13);
  const auto problems = lab.problems();
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].starts_with("postern.toml:3:1: warning: tls.certificate \"lan\""));
}

TEST_CASE("a certificate that is not valid yet is a warning") {
  const Lab lab;
  make_pair_of_dates(lab.folder, "lan", "DNS:*.lan.test,DNS:*.other.test", "20900101000000Z",
                     "20910101000000Z");
  const auto problems = lab.problems();
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].starts_with("postern.toml:3:1: warning: tls.certificate \"lan\""));
  CHECK(problems[0].find("not valid before 2090-01-01") != std::string::npos);
}

TEST_CASE("a renewal that is not valid yet waits until it is") {
  const Changes changes;
  const auto at = [](std::int64_t later_s) {
    return fmt::format("{:%Y%m%d%H%M%SZ}", fmt::gmtime(unix_now_s() + later_s));
  };
  make_pair_of_dates(changes.folder, "lan", "DNS:*.lan.test,DNS:*.other.test", at(3), at(90'000));
  auto refresh = refresh_certificates(*changes.served, {});
  CHECK(refresh.snapshot == nullptr);
  REQUIRE(refresh.changes.rejected.size() == 1);
  const auto rejected = std::exchange(refresh.changes.rejected, {});
  CHECK(rejected[0].reason.find("the certificate is not valid before 20") != std::string::npos);
  CHECK(load_snapshot(changes.config, changes.served.get()).snapshot == nullptr);  // SIGHUP
  refresh = refresh_certificates(*changes.served, rejected);
  CHECK((refresh.changes.rejected.empty() && refresh.changes.reloaded.empty()));  // said once
  while (unix_now_s() < rejected[0].valid_from_s) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  refresh = refresh_certificates(*changes.served, rejected);
  CHECK(refresh.changes.reloaded == Indexes{0});
  CHECK(refresh.changes.overdue.empty());
}

TEST_CASE("one that is not valid yet takes the place of one that is not valid either") {
  Changes changes;
  const std::string names = "DNS:*.lan.test,DNS:*.other.test";
  make_pair(changes.folder, "lan", names, -1);
  changes.served = changes.load();
  make_pair_of_dates(changes.folder, "lan", names, "20900101000000Z", "20910101000000Z");
  CHECK(changes.taken_up() == Indexes{0});
}

TEST_CASE("certificates that come with a refused change wait, and renewals since then do not") {
  Changes changes;
  changes.write_config("nonsense = 1\n");
  changes.renew("lan");
  CHECK(is_news(*changes.served, changes.refusals));
  CHECK(changes.refused() == Indexes{0});
  CHECK(changes.refusals.certificates[0].held);
  CHECK(changes.taken_up().empty());
  CHECK_FALSE(is_news(*changes.served, changes.refusals));

  SUBCASE("another is renewed by itself") {
    changes.renew("other");
    CHECK(changes.refused().empty());  // the same change, as SIGHUP finds it
    CHECK(changes.taken_up() == Indexes{1});
    CHECK(changes.taken_up().empty());
  }
  SUBCASE("it is renewed itself") {
    changes.renew("lan");
    CHECK(changes.refused().empty());
    CHECK(changes.taken_up() == Indexes{0});
    CHECK(changes.refusals.certificates.empty());
  }
  SUBCASE("another change with another certificate is refused") {
    changes.write_config("other_nonsense = 1\n");
    changes.renew("other");
    CHECK(changes.refused() == Indexes{1});
    CHECK(changes.refusals.certificates.size() == 2);
    CHECK(changes.taken_up().empty());
  }
  SUBCASE("another change does not hold what was renewed before it") {
    changes.renew("lan");
    CHECK(changes.taken_up() == Indexes{0});
    changes.write_config("other_nonsense = 1\n");
    CHECK(changes.refused().empty());
    CHECK(changes.refusals.certificates.empty());
  }
  SUBCASE("it is mended") {
    changes.write_config("");
    CHECK(is_news(*changes.served, changes.refusals));
    const auto mended = changes.load(changes.served.get());
    CHECK(leaf(*mended, 0) != leaf(*changes.served, 0));
  }
}

TEST_CASE("a change is another by its zones, also when the configuration names none any more") {
  Changes changes;
  changes.write_config("not TOML\n");
  changes.renew("lan");
  CHECK(changes.refused() == Indexes{0});
  changes.renew("other");
  changes.folder.write("home.zone", std::string(kZone) + "x 60 A 192.0.2.2\n");
  CHECK(is_news(*changes.served, changes.refusals));
  CHECK(changes.refused() == Indexes{1});
  CHECK(changes.taken_up().empty());
}

TEST_CASE("certificates alone are no change: what is wrong with one holds no other") {
  Changes changes;
  changes.renew("other");
  shell(changes.folder, "echo nonsense > lan.crt");
  CHECK_FALSE(is_news(*changes.served, changes.refusals));
  CHECK(changes.refused().empty());  // as SIGHUP finds it
  CHECK(changes.taken_up() == Indexes{1});
}

TEST_CASE("zones with certificates are a change for a reload, each alone is not") {
  Changes changes;
  changes.renew("lan");
  CHECK_FALSE(is_news(*changes.served, changes.refusals));
  changes.folder.write("home.zone", "nonsense\n");
  CHECK(is_news(*changes.served, changes.refusals));
  SUBCASE("and refused as one") {
    CHECK(changes.refused() == Indexes{0});
    CHECK_FALSE(is_news(*changes.served, changes.refusals));
  }
  SUBCASE("the zone was refused before") {
    changes.refusals.zones = refresh_zones(*changes.served, {}).rejected;
    REQUIRE(changes.refusals.zones.size() == 1);
    CHECK_FALSE(is_news(*changes.served, changes.refusals));
    changes.folder.write("home.zone", "other nonsense\n");
    CHECK(is_news(*changes.served, changes.refusals));
  }
  SUBCASE("the certificate was refused before") {
    shell(changes.folder, "echo nonsense > lan.crt");
    changes.refusals.certificates = refresh_certificates(*changes.served, {}).changes.rejected;
    REQUIRE(changes.refusals.certificates.size() == 1);
    CHECK_FALSE(is_news(*changes.served, changes.refusals));
  }
}

TEST_CASE("a zone that includes what is not there is no news again and again") {
  Changes changes;
  changes.folder.write("home.zone", std::string(kZone) + "$INCLUDE hosts\n");
  changes.write_config("\n");
  CHECK(changes.refused().empty());
  CHECK_FALSE(is_news(*changes.served, changes.refusals));
  changes.folder.write("hosts", "");
  CHECK(is_news(*changes.served, changes.refusals));
}

TEST_CASE("a certificate that is held is taken up when the one that is served is about to end") {
  Changes changes;
  const std::string soon = fmt::format("{:%Y%m%d%H%M%SZ}", fmt::gmtime(std::time(nullptr) + 3600));
  const auto end_soon = [&](const std::string& name) {
    make_pair_of_dates(changes.folder, name, "DNS:*.lan.test,DNS:*.other.test", "20250101000000Z",
                       soon);
  };
  end_soon("lan");
  CHECK(changes.taken_up() == Indexes{0});
  changes.write_config("nonsense = 1\n");
  changes.renew("other");
  SUBCASE("taken up") {
    changes.renew("lan");
    CHECK(changes.refused() == Indexes{0, 1});
    const auto refresh = refresh_certificates(*changes.served, changes.refusals.certificates);
    CHECK(refresh.changes.reloaded == Indexes{0});
    CHECK(refresh.changes.overdue == Indexes{0});
  }
  SUBCASE("not when it ends as soon") {
    end_soon("lan");
    CHECK(changes.refused() == Indexes{0, 1});
    CHECK(changes.taken_up().empty());
  }
  SUBCASE("nor when it is no good: that is said once") {
    shell(changes.folder, "echo nonsense > lan.crt");
    CHECK(changes.refused() == Indexes{0, 1});
    const auto refresh = refresh_certificates(*changes.served, changes.refusals.certificates);
    REQUIRE(refresh.changes.rejected.size() == 1);
    CHECK_FALSE(refresh.changes.rejected[0].held);
    const auto again = refresh_certificates(*changes.served, refresh.changes.rejected);
    CHECK(again.changes.rejected.empty());
    CHECK(again.changes.reloaded == Indexes{1});
  }
}

TEST_CASE("a certificate is overdue in its last day, or in the last tenth of a shorter life") {
  constexpr std::int64_t kHourS = 3600, kDayS = 24 * kHourS;
  CHECK_FALSE(is_overdue(0, 90 * kDayS, 90 * kDayS - 25 * kHourS));
  CHECK(is_overdue(0, 90 * kDayS, 90 * kDayS - 23 * kHourS));
  CHECK(is_overdue(0, 90 * kDayS, 91 * kDayS));
  CHECK_FALSE(is_overdue(0, kDayS, 21 * kHourS));
  CHECK(is_overdue(0, kDayS, 22 * kHourS));
}

TEST_CASE("when a certificate expires is said in days") {
  constexpr std::int64_t kNoon = 1'800'000'000;  // 2027-01-15
  CHECK(expiry_text(kNoon + std::int64_t{3} * 86'400 + 60, kNoon) ==
        "expires in 3 days, on 2027-01-18");
  CHECK(expiry_text(kNoon + 86'400, kNoon) == "expires in 1 day, on 2027-01-16");
  CHECK(expiry_text(kNoon, kNoon) == "has expired on 2027-01-15");
}

}  // namespace postern::server
