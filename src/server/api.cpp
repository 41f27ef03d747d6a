#include "server/api.h"

#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace postern::server {
namespace {

std::string address_text(const std::string& key) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(key.data());
  if (key.size() == 4) return IpAddress::v4(bytes).to_string();
  return key.size() == 16 ? IpAddress::v6(bytes).to_string() : std::string();
}

std::string name_of(const std::string& wire) {
  std::string text = dns::name_text(dns::NameView(as_bytes(wire)));
  if (text.size() > 1) text.pop_back();
  return text;
}

template <class Text>
Json tops_json(const std::vector<TopEntry>& all, std::string_view key, Text text) {
  Json list = Json::array();
  for (const TopEntry& entry : merged_tops(all, kApiTopMax)) {
    list.push_back(
        {{std::string(key), text(entry.key)}, {"count", entry.count}, {"excess", entry.excess}});
  }
  return list;
}

Json strays_json(const std::vector<TopEntry>& all, ClientEvent event, const ClientLog& log) {
  Json list = Json::array();
  for (const TopEntry& entry : merged_tops(all, kApiTopMax)) {
    list.push_back({{"client", address_text(entry.key)},
                    {"host", log.host(event, entry.key)},
                    {"count", entry.count},
                    {"excess", entry.excess}});
  }
  return list;
}

Json places_json(const ListenPlan& plan) {
  Json list = Json::array();
  const auto add = [&](std::string_view kind, const std::vector<ListenPlace>& places) {
    for (const ListenPlace& place : places) {
      list.push_back({{"kind", kind}, {"address", place.endpoint.to_string()}, {"key", place.key}});
    }
  };
  add("dns", plan.dns);
  add("gateway", plan.gateway);
  add("quic", plan.quic);
  return list;
}

Json columns(const std::vector<TrafficPoint>& points, std::uint64_t step_s) {
  Json result = {{"step_s", step_s}, {"from", points.empty() ? 0 : points.front().time * step_s}};
  const auto add = [&](const char* name, std::uint64_t TrafficPoint::*member) {
    Json& column = result[name] = Json::array();
    for (const TrafficPoint& point : points) column.push_back(point.*member);
  };
  add("queries", &TrafficPoint::queries);
  add("cached", &TrafficPoint::cached);
  add("local", &TrafficPoint::local);
  add("upstream", &TrafficPoint::upstream);
  add("failed", &TrafficPoint::failed);
  add("requests", &TrafficPoint::requests);
  add("errors", &TrafficPoint::errors);
  add("bytes", &TrafficPoint::bytes);
  return result;
}

}  // namespace

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string fingerprint_text(std::uint64_t fingerprint) {
  return fmt::format("{:016x}", fingerprint);
}

Json reload_json(const ReloadRecord& reload) {
  Json problems = Json::array();
  for (const ConfigProblem& problem : reload.problems) {
    problems.push_back({{"file", problem.file},
                        {"line", problem.line},
                        {"column", problem.column},
                        {"text", problem.text},
                        {"warning", problem.warning}});
  }
  return {{"time", reload.time_s},
          {"good", reload.good},
          {"detail", reload.detail},
          {"problems", std::move(problems)}};
}

Json status_json(const ServerState& server, const ListenPlan& listening, const ApiState& api) {
  const Config& config = server.snapshot->config;
  const auto now = static_cast<std::uint64_t>(std::time(nullptr));
  return {{"version", POSTERN_VERSION},
          {"now", now},
          {"started", server.started_s},
          {"uptime_s", now > server.started_s ? now - server.started_s : 0},
          {"workers", server.workers},
          {"config",
           {{"file", config.file},
            {"files", config.files},
            {"fingerprint", fingerprint_text(config.fingerprint)}}},
          {"in_sync", api.drift.empty()},
          {"drift", api.drift},
          {"last_reload", api.reload.time_s == 0 ? Json() : reload_json(api.reload)},
          {"reloads",
           {{"taken", server.reloads},
            {"refused", server.reloads_refused},
            {"zones_taken", server.zone_reloads},
            {"zones_refused", server.zone_edits_refused},
            {"certificates_taken", server.certificate_reloads},
            {"certificates_refused", server.certificates_refused}}},
          {"listening", places_json(listening)},
          {"admin", config.server.admin ? config.server.admin->to_string() : ""},
          {"live_log", {{"followers", api.followers}, {"dropped", api.follow_dropped}}}};
}

Json clients_json(const WorkerCounts& counts, const WorkerTops& tops, const ClientLog& log) {
  return {{"names", tops_json(tops.names, "name", name_of)},
          {"clients", tops_json(tops.clients, "client", address_text)},
          {"quic", strays_json(tops.quic_clients, ClientEvent::kQuicRefused, log)},
          {"ech", strays_json(tops.ech_clients, ClientEvent::kEchSeen, log)},
          {"quic_refused", counts.gateway.quic_refused},
          {"ech_seen", counts.gateway.ech_outer_sni}};
}

Json traffic_json(const TrafficHistory& history, std::uint64_t unix_s) {
  return {{"now", unix_s},
          {"seconds", columns(history.seconds(unix_s), 1)},
          {"minutes", columns(history.minutes(unix_s), 60)}};
}

Json explanation_json(const Explanation& explanation) {
  Json lines = Json::array();
  for (const ExplainLine& line : explanation.lines) {
    lines.push_back({{"what", line.what}, {"text", line.text}});
  }
  return {{"title", explanation.title}, {"lines", std::move(lines)}};
}

}  // namespace postern::server
