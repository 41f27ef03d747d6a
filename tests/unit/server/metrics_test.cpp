#include "server/metrics.h"

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

#include "certificate_files.h"
#include "folder.h"
#include "server/metrics_table.h"

namespace postern::server {
namespace {

using test::Folder;

constexpr std::string_view kZone =
    "$TTL 60\n@ IN SOA ns admin 7 3600 600 86400 60\n  IN NS ns\nns IN A 192.0.2.1\n";

constexpr std::string_view kConfig = R"(
[server]
user = ""
[dns]
listen = ["127.0.0.1:5353"]
[[dns.view]]
name = "lan"
clients = ["10.0.0.0/8"]
[[dns.view]]
name = "guests"
clients = ["192.168.9.0/24"]
[[dns.zone]]
name = "home.arpa"
file = "inside.zone"
views = ["lan"]
[[dns.zone]]
name = "home.arpa"
file = "outside.zone"
views = ["guests"]
[[tls.certificate]]
name = "lan"
cert = "lan.crt"
key = "lan.key"
[[gateway.listener]]
name = "internal"
address = ["127.0.0.1"]
certificates = ["lan"]
[[gateway.route]]
hostnames = ["a.example"]
respond = { status = 200 }
)";

/// A configuration that has one of everything, read from files.
class Whole {
 public:
  Whole() {
    folder_.write("inside.zone", kZone);
    folder_.write("outside.zone", kZone);
    test::make_pair(folder_, "lan", "DNS:a.example");
    result_ = load_snapshot(folder_.write("postern.toml", kConfig), nullptr);
    for (const ConfigProblem& problem : result_.problems) problems_ += problem.to_string() + "\n";
    REQUIRE_MESSAGE(result_.snapshot != nullptr, problems_);
    state_.snapshot = result_.snapshot.get();
    state_.rejected = &rejected_;
    state_.certificates_rejected = &certificates_rejected_;
    fill();
  }

  std::string page() const { return metrics_text(counts_, state_); }
  WorkerCounts& counts() { return counts_; }
  ServerState& state() { return state_; }

 private:
  void fill() {
    counts_.resolver.queries.use(*result_.snapshot->resolver->policy);
    counts_.resolver.queries.count(nameserver::Transport::kUdp, {});
    counts_.resolver.answer_time[3].observe(7, 64);
    nameserver::UpstreamStatus upstream;
    upstream.text = "udp://192.0.2.53";
    upstream.round_trips.observe(12'000);
    counts_.upstreams = {upstream};
    counts_.gateway.backends = {{.backend = "http://a:80"}};
    counts_.gateway.requests = {{"internal", "a.example/", "http://a:80", {0, 0, 5, 0, 0, 0}}};
    gateway::RouteTimes times{"a.example/", {}, {}};
    times.duration.observe(3'000);
    times.first_byte.observe(2'000);
    counts_.gateway.routes = {times};
  }

  Folder folder_;
  SnapshotResult result_;
  std::string problems_;
  std::vector<ZoneRejection> rejected_;
  std::vector<CertificateRejection> certificates_rejected_;
  WorkerCounts counts_;
  ServerState state_;
};

/// As a scraper reads it, by the text format's own words.
struct Read {
  std::map<std::string, std::string> types, helps;
  std::map<std::string, std::set<std::string>> labels;  ///< sets of names, as in the table
  std::set<std::string> series;
  std::vector<std::string> strange;

  explicit Read(const std::string& page) {
    std::istringstream lines(page);
    for (std::string line; std::getline(lines, line);) take(line);
  }

  void take(const std::string& line) {
    static const std::regex kMeta("# (HELP|TYPE) ([a-z0-9_]+) (.+)");
    static const std::regex kSample(R"(([a-z0-9_]+)(?:\{(.*)\})? (\S+))");
    std::smatch found;
    if (std::regex_match(line, found, kMeta)) {
      (found[1] == "TYPE" ? types : helps)[found[2]] = found[3];
    } else if (std::regex_match(line, found, kSample)) {
      if (!series.insert(found[1].str() + '{' + found[2].str() + '}').second)
        strange.push_back("twice: " + line);
      take_labels(base_name(found[1]), found[2]);
    } else {
      strange.push_back(line);
    }
  }

  std::string base_name(const std::string& name) const {
    static const std::regex kSuffix("(.*)_(bucket|sum|count)");
    std::smatch found;
    const bool is_part = std::regex_match(name, found, kSuffix) && types.count(found[1]) != 0;
    return is_part ? found[1].str() : name;
  }

  void take_labels(const std::string& name, const std::string& text) {
    static const std::regex kLabel("([a-z_]+)=\"");
    std::string names;
    for (std::sregex_iterator at(text.begin(), text.end(), kLabel), end; at != end; ++at) {
      if ((*at)[1] == "le") continue;
      names += (names.empty() ? "" : ",") + (*at)[1].str();
    }
    labels[name].insert(names);
  }
};

}  // namespace

TEST_CASE("every metric of the page is in the table, and every one of the table on the page") {
  const Read read(Whole().page());
  CHECK(read.strange.empty());
  std::set<std::string> table;
  for (const MetricInfo& info : metrics_table()) {
    const std::string name(info.name);
    CAPTURE(name);
    CHECK(table.insert(name).second);
    REQUIRE(read.types.count(name) == 1);
    CHECK(read.types.at(name) == metric_kind_text(info.kind));
    CHECK(read.helps.at(name) == info.help);
    CHECK(read.labels.at(name) == std::set<std::string>{std::string(info.labels)});
  }
  for (const auto& metric : read.labels) {
    CHECK_MESSAGE(table.count(metric.first) == 1, metric.first);
  }
}

TEST_CASE("a histogram's ranges add up, and end in one without a bound") {
  const Read read(Whole().page());
  const std::string start = "postern_dns_upstream_rtt_seconds_bucket{upstream=\"udp://192.0.2.53\"";
  CHECK(read.series.count(start + ",le=\"0.025\"}") == 1);
  CHECK(read.series.count(start + ",le=\"+Inf\"}") == 1);
  const std::string page = Whole().page();
  CHECK(page.find(start + ",le=\"0.01\"} 0\n") != std::string::npos);
  CHECK(page.find(start + ",le=\"0.025\"} 1\n") != std::string::npos);
  CHECK(page.find(start + ",le=\"+Inf\"} 1\n") != std::string::npos);
  CHECK(page.find("postern_dns_upstream_rtt_seconds_sum{upstream=\"udp://192.0.2.53\"} 0.012\n") !=
        std::string::npos);
}

TEST_CASE("a text from the configuration cannot break out of its label") {
  Whole whole;
  whole.counts().gateway.requests[0].route = "a\"} 7\npostern_forged 1\n\\";
  const std::string page = whole.page();
  CHECK(page.find(R"(route="a\"} 7\npostern_forged 1\n\\",)") != std::string::npos);
  CHECK(page.find("\npostern_forged") == std::string::npos);
}

}  // namespace postern::server
