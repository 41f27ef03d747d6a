// The nameserver's part of the API.
#include <algorithm>
#include <numeric>
#include <utility>

#include "server/api.h"
#include "server/config_help.h"

namespace postern::server {
namespace {

template <class List, class Make>
Json list_json(const List& list, Make make, std::size_t limit = kApiListMax) {
  Json result = Json::array();
  for (const auto& one : list) {
    if (result.size() >= limit) break;
    result.push_back(make(one));
  }
  return result;
}

std::string_view https_text(dns::OverrideHttps https) {
  switch (https) {
    case dns::OverrideHttps::kNone:
      return "none";
    case dns::OverrideHttps::kEdit:
      return "edit";
    default:
      return "gateway";
  }
}

// The listeners that a client comes to by these addresses.
Json listeners_at(const Config& config, const dns::OverrideSettings& rule) {
  Json names = Json::array();
  for (const gateway::ListenerSettings& listener : config.listeners) {
    if (shares_address(listener, rule)) names.push_back(listener.name);
  }
  return names;
}

Json override_json(const Config& config, const dns::OverrideSettings& rule) {
  return {
      {"names", list_json(rule.names, without_dot, kApiNamesMax)},
      {"names_total", rule.names.size()},
      {"address", list_json(rule.addresses, [](const IpAddress& ip) { return ip.to_string(); })},
      {"cname", rule.cname ? Json(without_dot(*rule.cname)) : Json()},
      {"forward", rule.forward},
      {"ttl_s", rule.ttl_s},
      {"https", https_text(rule.https)},
      {"other", rule.other == dns::OverrideOther::kNone ? "none" : "forward"},
      {"views", rule.views},
      {"listeners", listeners_at(config, rule)},
      {"source", rule.source}};
}

Json zone_json(const ServerState& server, std::size_t i) {
  const dns::ZoneSettings& settings = server.snapshot->config.policy.zones[i];
  const dns::Zone& zone = *server.snapshot->zones[i].zone;
  Json problems = Json::array();
  for (const ZoneRejection& rejected : *server.rejected) {
    if (rejected.index != i) continue;
    for (const ConfigProblem& problem : rejected.problems) problems.push_back(problem.to_string());
  }
  return {{"name", without_dot(settings.name)},
          {"file", settings.file},
          {"views", settings.views},
          {"fallthrough", settings.fallthrough},
          {"serial", zone.serial()},
          {"records", zone.record_count()},
          {"rejected", !problems.empty()},
          {"problems", std::move(problems)},
          {"source", settings.source}};
}

Json upstream_json(const nameserver::UpstreamSettings& upstream, const WorkerCounts& counts) {
  nameserver::UpstreamStatus status;
  for (const nameserver::UpstreamStatus& one : counts.upstreams) {
    if (one.text == upstream.text) status = one;
  }
  return {{"upstream", upstream.text},
          {"healthy", !status.resting},
          {"rtt_ms", status.rtt_us == 0 ? Json() : Json(static_cast<double>(status.rtt_us) / 1000)},
          {"rest_left_ms", status.rest_left_ms},
          {"queries", status.queries},
          {"answers", status.answers},
          {"failures", status.failures}};
}

std::string_view policy_text(nameserver::UpstreamPolicy policy) {
  switch (policy) {
    case nameserver::UpstreamPolicy::kSequential:
      return "sequential";
    case nameserver::UpstreamPolicy::kRoundRobin:
      return "round_robin";
    default:
      return "fastest";
  }
}

Json forward_json(const nameserver::ForwardSettings& forward, const WorkerCounts& counts) {
  return {{"name", forward.name.view().is_root() ? "." : without_dot(forward.name)},
          {"policy", policy_text(forward.policy)},
          {"timeout_ms", forward.timeout_ms},
          {"upstreams", list_json(forward.upstreams,
                                  [&](const auto& one) { return upstream_json(one, counts); })},
          {"source", forward.source}};
}

Json cache_totals(const ServerState& server) {
  const dns::CacheStats& cache = server.cache;
  return {{"size_bytes", server.snapshot->config.cache.size_bytes},
          {"bytes", cache.bytes},
          {"entries", cache.entries},
          {"hits", cache.hits},
          {"stale_hits", cache.stale_hits},
          {"misses", cache.misses},
          {"insertions", cache.insertions},
          {"evictions", cache.evictions}};
}

// Those that have this in common; none: of an earlier configuration. "": clients of no view.
Json views_of(const dns::Policy& policy, std::uint64_t id) {
  Json names = Json::array();
  for (const dns::View& view : policy.views) {
    if (view.policy.id == id) names.push_back(view.policy.name);
  }
  if (policy.everyone.id == id) names.push_back("");
  return names;
}

template <class Counters>
std::uint64_t sum(const Counters& counters) {
  return std::accumulate(counters.begin(), counters.end(), std::uint64_t{0});
}

}  // namespace

Json dns_json(const ServerState& server, const WorkerCounts& counts) {
  const Config& config = server.snapshot->config;
  std::vector<std::size_t> zones(config.policy.zones.size());
  std::iota(zones.begin(), zones.end(), 0);
  return {{"queries", sum(counts.resolver.by_transport)},
          {"replies", sum(counts.resolver.by_rcode)},
          {"forwarded", counts.resolver.forwarded},
          {"pending", counts.pending},
          {"overrides", list_json(config.policy.overrides,
                                  [&](const auto& one) { return override_json(config, one); })},
          {"overrides_total", config.policy.overrides.size()},
          {"zones", list_json(zones, [&](std::size_t i) { return zone_json(server, i); })},
          {"views", list_json(config.policy.views,
                              [](const dns::ViewSettings& view) {
                                return Json{
                                    {"name", view.name},
                                    {"clients", list_json(view.clients, [](const Network& one) {
                                       return one.to_string();
                                     })}};
                              })},
          {"forwards",
           list_json(config.forwards, [&](const auto& one) { return forward_json(one, counts); })},
          {"cache", cache_totals(server)}};
}

Json cache_json(const Snapshot& snapshot, const std::string& name,
                const std::vector<dns::CachedAnswer>& answers,
                const std::vector<std::vector<std::string>>& lines) {
  Json list = Json::array();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const dns::CachedAnswer& one = answers[i];
    list.push_back({{"type", dns::type_text(one.type)},
                    {"status", dns::rcode_text(one.head.rcode())},
                    {"ttl_s", one.head.ttl_s},
                    {"age_s", one.age_s},
                    {"stale", one.stale},
                    {"failure", one.head.failure},
                    {"views", views_of(*snapshot.resolver->policy, one.policy_id)},
                    {"dnssec_ok", one.dnssec_ok},
                    {"checking_disabled", one.checking_disabled},
                    {"records", lines[i]}});
  }
  return {{"name", name}, {"answers", std::move(list)}};
}

}  // namespace postern::server
