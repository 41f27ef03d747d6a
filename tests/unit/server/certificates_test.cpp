#include "server/certificates.h"

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "certificate_files.h"
#include "folder.h"
#include "server/snapshot.h"

namespace postern::server {
namespace {

using test::Folder;
using test::make_pair;
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
  make_pair(lab.folder, "other", "DNS:x.test", -1);
  shell(lab.folder, "cp x.key lan.key");
  const auto problems = lab.problems();
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].starts_with("postern.toml:3:1: tls.certificate \"lan\": lan.key"));
  CHECK(problems[1].starts_with("postern.toml:7:1: tls.certificate \"other\": other.crt"));
  CHECK(problems[1].find("expired") != std::string::npos);
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
  shell(lab.folder,
        "printf '[ca]\\ndefault_ca=d\\n[d]\\nnew_certs_dir=.\\ndatabase=index\\nserial=serial\\n"
        "default_md=sha256\\npolicy=p\\nx509_extensions=e\\n[p]\\ncommonName=supplied\\n"
        "[e]\\nsubjectAltName=DNS:*.lan.test,DNS:*.other.test\\n' > ca.cnf; "
        "touch index; echo 01 > serial; "
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout lan.key "
        "-out lan.csr -subj /CN=test; "
        "openssl ca -batch -config ca.cnf -selfsign -keyfile lan.key -in lan.csr -out lan.crt "
        "-startdate 20900101000000Z -enddate 20910101000000Z -notext");
  const auto problems = lab.problems();
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].starts_with("postern.toml:3:1: warning: tls.certificate \"lan\""));
  CHECK(problems[0].find("not valid before 2090-01-01") != std::string::npos);
}

TEST_CASE("when a certificate expires is said in days") {
  constexpr std::int64_t kNoon = 1'800'000'000;  // 2027-01-15
  CHECK(expiry_text(kNoon + std::int64_t{3} * 86'400 + 60, kNoon) ==
        "expires in 3 days, on 2027-01-18");
  CHECK(expiry_text(kNoon + 86'400, kNoon) == "expires in 1 day, on 2027-01-16");
  CHECK(expiry_text(kNoon, kNoon) == "has expired on 2027-01-15");
}

}  // namespace postern::server
