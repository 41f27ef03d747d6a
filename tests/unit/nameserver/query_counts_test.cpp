#include "nameserver/query_counts.h"

#include <map>
#include <memory>
#include <set>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace postern::nameserver {
namespace {

std::unique_ptr<const dns::Policy> policy_with(const std::vector<std::string>& views) {
  dns::PolicySettings settings;
  for (const std::string& view : views) settings.views.push_back({view, {}});
  return dns::compile_policy(settings, {});
}

dns::Decision reply(dns::Source source, int type, int rcode, const dns::ViewPolicy* view) {
  dns::Decision decision;
  decision.verdict = dns::Decision::Verdict::kReply;
  decision.source = source;
  decision.type = static_cast<dns::RrType>(type);
  decision.rcode = static_cast<dns::Rcode>(rcode);
  decision.view = view;
  return decision;
}

// "view proto type rcode source", and how often.
std::map<std::string, std::uint64_t> shown(const QueryCounts& counts) {
  std::map<std::string, std::uint64_t> all;
  for (const ViewQueries& one : counts.views()) {
    for (std::size_t cell = 0; cell < one.cells.size(); ++cell) {
      if (one.cells[cell] == 0) continue;
      const auto labels = ViewQueries::labels(cell);
      all[fmt::format("{} {} {} {} {}", one.view, labels.transport, labels.type, labels.rcode,
                      labels.source)] = one.cells[cell];
    }
  }
  return all;
}

using Shown = std::map<std::string, std::uint64_t>;

}  // namespace

TEST_CASE("a query is counted by transport, view, type, response code and source") {
  const auto policy = policy_with({"lan", "guests"});
  QueryCounts counts;
  counts.use(*policy);
  const auto& lan = policy->views[0].policy;
  counts.count(Transport::kUdp, reply(dns::Source::kCache, 1, 0, &lan));
  counts.count(Transport::kUdp, reply(dns::Source::kCache, 1, 0, &lan));
  counts.count(Transport::kTcp, reply(dns::Source::kUpstream, 65, 3, &policy->views[1].policy));
  counts.count(Transport::kTls, reply(dns::Source::kError, 28, 2, &policy->everyone));
  counts.count(Transport::kHttps, reply(dns::Source::kZone, 257, 0, &lan));
  CHECK(shown(counts) == Shown{{"lan udp A NOERROR cache", 2},
                               {"guests tcp HTTPS NXDOMAIN upstream", 1},
                               {"default tls AAAA SERVFAIL error", 1},
                               {"lan https CAA NOERROR zone", 1}});
}

TEST_CASE("types and codes that are not in the list are other, what gets no reply is none") {
  const auto policy = policy_with({});
  QueryCounts counts;
  counts.use(*policy);
  for (const int type : {0, 99, 258, 65280, 65535}) {
    counts.count(Transport::kUdp, reply(dns::Source::kCache, type, 23, &policy->everyone));
  }
  counts.count(Transport::kUdp, reply(dns::Source::kError, 1, 16, nullptr));
  counts.count(Transport::kUdp, {});
  CHECK(shown(counts) == Shown{{"default udp other other cache", 5},
                               {"none udp A BADVERS error", 1},
                               {"none udp other none none", 1}});
}

TEST_CASE("no two combinations share a place") {
  std::set<std::size_t> cells;
  for (std::uint8_t transport = 0; transport < 4; ++transport) {
    for (std::uint8_t source = 0; source < 9; ++source) {
      for (const int type : {1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 43, 48, 64, 65, 255, 257, 999}) {
        for (const int rcode : {0, 1, 2, 3, 4, 5, 16, 9}) {
          const auto decision = reply(static_cast<dns::Source>(source), type, rcode, nullptr);
          const std::size_t cell = ViewQueries::cell(static_cast<Transport>(transport), decision);
          REQUIRE(cell < ViewQueries::kCells);
          cells.insert(cell);
        }
      }
    }
  }
  CHECK(cells.size() == 4 * 9 * 17 * 8);
}

TEST_CASE("numbers of a view outlive a reload, wherever the view stands then") {
  const auto before = policy_with({"lan", "guests"});
  const auto after = policy_with({"guests"});
  QueryCounts counts;
  counts.use(*before);
  counts.count(Transport::kUdp, reply(dns::Source::kCache, 1, 0, &before->views[1].policy));
  counts.use(*after);
  counts.count(Transport::kUdp, reply(dns::Source::kCache, 1, 0, &after->views[0].policy));
  counts.count_former(Transport::kUdp, reply(dns::Source::kCache, 1, 0, &before->views[0].policy));
  CHECK(shown(counts) == Shown{{"guests udp A NOERROR cache", 2}, {"lan udp A NOERROR cache", 1}});
}

TEST_CASE("views that come and go for ever end in one place") {
  QueryCounts counts;
  for (int i = 0; i < 200; ++i) {
    const auto policy = policy_with({fmt::format("view{}", i)});
    counts.use(*policy);
    counts.count(Transport::kUdp, reply(dns::Source::kCache, 1, 0, &policy->views[0].policy));
  }
  CHECK(counts.views().size() == QueryCounts::kViewsMax);
  const Shown all = shown(counts);
  CHECK(all.at("view0 udp A NOERROR cache") == 1);
  CHECK(all.at("other udp A NOERROR cache") == 200 - (QueryCounts::kViewsMax - 3));
}

TEST_CASE("the workers' numbers add up by the name of the view") {
  const auto one_policy = policy_with({"lan"});
  const auto two_policy = policy_with({"guests", "lan"});
  QueryCounts one;
  one.use(*one_policy);
  one.count(Transport::kUdp, reply(dns::Source::kCache, 1, 0, &one_policy->views[0].policy));
  QueryCounts two;
  two.use(*two_policy);
  two.count(Transport::kUdp, reply(dns::Source::kCache, 1, 0, &two_policy->views[1].policy));
  QueryCounts sum;
  sum += one;
  sum += two;
  CHECK(shown(sum) == Shown{{"lan udp A NOERROR cache", 2}});
}

}  // namespace postern::nameserver
