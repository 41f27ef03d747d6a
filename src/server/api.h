// The answers of the API as JSON: what the status page, `postern status` and other programs read.
// docs/openapi.json describes them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "dns/cache.h"
#include "server/api_host.h"
#include "server/explanation.h"
#include "server/traffic_history.h"

namespace postern::server {

using Json = nlohmann::ordered_json;

/// What of the API's own the answers tell.
struct ApiState {
  ReloadRecord reload;
  std::vector<std::string> drift;  ///< what runs is not what the files say; empty: it is
  std::size_t followers = 0;
  std::uint64_t follow_dropped = 0;
};

inline constexpr std::size_t kApiListMax = 5000;  ///< overrides, routes, zones in one answer
inline constexpr std::size_t kApiNamesMax = 20;   ///< of one override; block lists have many
inline constexpr std::size_t kApiTopMax = 25;

/// In one line; what is no UTF-8 is replaced.
std::string json_text(const Json& json);
/// "ffffffffffffffff"
std::string fingerprint_text(std::uint64_t fingerprint);

Json status_json(const ServerState& server, const ListenPlan& listening, const ApiState& api);
Json reload_json(const ReloadRecord& reload);
Json dns_json(const ServerState& server, const WorkerCounts& counts);
Json gateway_json(const ServerState& server, const WorkerCounts& counts);
Json clients_json(const WorkerCounts& counts, const WorkerTops& tops, const ClientLog& log);
Json traffic_json(const TrafficHistory& history, std::uint64_t unix_s);
Json explanation_json(const Explanation& explanation);
/// `lines`: each answer's records as text.
Json cache_json(const Snapshot& snapshot, const std::string& name,
                const std::vector<dns::CachedAnswer>& answers,
                const std::vector<std::vector<std::string>>& lines);

}  // namespace postern::server
