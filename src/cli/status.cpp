// `postern status`: the status page for a terminal.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include <fmt/format.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/text.h"
#include "cli/admin_commands.h"

namespace postern::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kTopShown = 5;
constexpr std::size_t kOverridesShown = 20;

/// Lines with a word in front; colors only on a terminal.
class Sheet {
 public:
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
  Sheet() : colors_(::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr) {}

  std::string good(std::string_view text) const { return color("32", text); }
  std::string bad(std::string_view text) const { return color("1;31", text); }
  std::string dim(std::string_view text) const { return color("2", text); }

  /// `what` stands in front of the first of the lines it belongs to.
  void line(std::string_view what, std::string_view text) {
    fmt::print("{}{}\n", color("1", fmt::format("{:<13}", what == last_ ? "" : what)), text);
    last_ = what;
  }

 private:
  std::string color(std::string_view code, std::string_view text) const {
    return colors_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
  }

  bool colors_;
  std::string last_;
};

/// What all the answers say together.
struct Answers {
  Json status, dns, gateway, clients, traffic;
};

std::string text_of(const Json& json, const char* key) {
  return one_line(json.value(key, std::string()));
}

std::uint64_t number_of(const Json& json, const char* key) {
  return json.value(key, std::uint64_t{0});
}

std::string joined(const Json& list) {
  std::string text;
  for (const Json& one : list) text += (text.empty() ? "" : " ") + one_line(one.get<std::string>());
  return text;
}

std::string shortened(const Json& list) {
  std::string text;
  for (std::size_t i = 0; i < std::min(list.size(), kTopShown); ++i) {
    text += (text.empty() ? "" : " ") + one_line(list[i].get<std::string>());
  }
  if (list.size() > kTopShown) text += fmt::format(" and {} more", list.size() - kTopShown);
  return text;
}

std::string uptime_text(std::uint64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} days", seconds / 86'400);
}

std::string size_of(std::uint64_t bytes) {
  constexpr std::uint64_t kMiB = 1U << 20U;
  if (bytes < kMiB) return fmt::format("{:.0f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / kMiB);
}

std::uint64_t sum(const Json& series, const char* key) {
  return std::accumulate(
      series[key].begin(), series[key].end(), std::uint64_t{0},
      [](std::uint64_t so_far, const Json& one) { return so_far + one.get<std::uint64_t>(); });
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return fmt::format("{} %", whole == 0 ? 0 : (part * 100 + whole / 2) / whole);
}

bool print_server(Sheet* sheet, const Json& status) {
  sheet->line("postern", fmt::format("{}, up {}, {}", text_of(status, "version"),
                                     uptime_text(number_of(status, "uptime_s")),
                                     counted(number_of(status, "workers"), "worker")));
  const Json& config = status["config"];
  const bool in_sync = status["in_sync"].get<bool>();
  sheet->line("config", fmt::format("{} {} {}", text_of(config, "file"),
                                    sheet->dim(text_of(config, "fingerprint")),
                                    in_sync ? sheet->good("is what runs") : ""));
  for (const Json& one : status["drift"]) {
    sheet->line("config", sheet->bad(one_line(one.get<std::string>())));
  }
  const Json& reload = status["last_reload"];
  if (reload.is_null()) return in_sync;
  const bool good = reload["good"].get<bool>();
  const std::string ago = uptime_text(
      number_of(status, "now") - std::min(number_of(status, "now"), number_of(reload, "time")));
  sheet->line("last reload",
              fmt::format("{} ago, {}", ago,
                          good ? sheet->good("good")
                               : sheet->bad("refused: " + text_of(reload, "detail"))));
  for (const Json& problem : reload["problems"]) {
    sheet->line("last reload", fmt::format("{}:{}: {}", text_of(problem, "file"),
                                           number_of(problem, "line"), text_of(problem, "text")));
  }
  return in_sync && good;
}

void print_overrides(Sheet* sheet, const Json& dns) {
  const Json& rules = dns["overrides"];
  for (std::size_t i = 0; i < std::min(rules.size(), kOverridesShown); ++i) {
    const Json& rule = rules[i];
    std::string to = joined(rule["address"]);
    if (!rule["cname"].is_null()) to = text_of(rule, "cname");
    if (rule["forward"].get<bool>()) to = "upstream";
    const std::size_t more = number_of(rule, "names_total") - rule["names"].size();
    sheet->line("overrides", fmt::format("{}{} to {}{}", joined(rule["names"]),
                                         more == 0 ? "" : fmt::format(" and {} more", more), to,
                                         rule["listeners"].empty()
                                             ? ""
                                             : sheet->dim(" by " + joined(rule["listeners"]))));
  }
  const std::uint64_t all = number_of(dns, "overrides_total");
  if (all > kOverridesShown) {
    sheet->line("overrides", fmt::format("and {} more", all - kOverridesShown));
  }
}

void print_dns(Sheet* sheet, const Json& dns, const Json& traffic) {
  const Json& hour = traffic["minutes"];
  const std::uint64_t queries = sum(hour, "queries");
  sheet->line("dns", fmt::format("{} {} in the last hour: {} from the cache, {} from here, {} "
                                 "from upstream, {} failed",
                                 queries, queries == 1 ? "query" : "queries",
                                 percent(sum(hour, "cached"), queries),
                                 percent(sum(hour, "local"), queries),
                                 percent(sum(hour, "upstream"), queries), sum(hour, "failed")));
  const Json& cache = dns["cache"];
  sheet->line("cache", fmt::format("{}, {} of {}", counted(number_of(cache, "entries"), "answer"),
                                   size_of(number_of(cache, "bytes")),
                                   size_of(number_of(cache, "size_bytes"))));
  print_overrides(sheet, dns);
  for (const Json& zone : dns["zones"]) {
    sheet->line(
        "zones",
        fmt::format("{} serial {}, {}{}", text_of(zone, "name"), number_of(zone, "serial"),
                    counted(number_of(zone, "records"), "record"),
                    zone["rejected"].get<bool>() ? sheet->bad("  the file has an error") : ""));
    for (const Json& problem : zone["problems"]) {
      sheet->line("zones", sheet->bad(one_line(problem.get<std::string>())));
    }
  }
  for (const Json& forward : dns["forwards"]) {
    for (const Json& one : forward["upstreams"]) {
      const std::string rtt =
          one["rtt_ms"].is_null() ? "" : fmt::format(", {:.1f} ms", one["rtt_ms"].get<double>());
      sheet->line(
          "upstreams",
          fmt::format("{} {} {}{}, {}, {} failed", text_of(forward, "name"),
                      text_of(one, "upstream"),
                      one["healthy"].get<bool>() ? sheet->good("good") : sheet->bad("rests"), rtt,
                      counted(number_of(one, "answers"), "answer"), number_of(one, "failures")));
    }
  }
}

std::string backend_state(const Sheet& sheet, const Json& backend) {
  if (!backend["healthy"].get<bool>()) return sheet.bad("down");
  const auto left_out = number_of(backend, "addresses_left_out");
  if (left_out == 0) return sheet.good("good");
  return sheet.bad(fmt::format("without {} of its addresses", left_out));
}

void print_backends(Sheet* sheet, std::string_view of, const Json& backends) {
  for (const Json& one : backends) {
    sheet->line("backends", fmt::format("{} to {} {}, {}, {} failed", of, text_of(one, "backend"),
                                        backend_state(*sheet, one),
                                        counted(number_of(one, "requests"), "request"),
                                        number_of(one, "failures")));
  }
}

/// "192.168.10.50 http 80 https 443"
std::string places_of(const Json& listener) {
  std::string text = joined(listener["address"]);
  for (const char* key : {"http", "https", "tcp"}) {
    if (const std::uint64_t port = number_of(listener, key); port != 0) {
      text += fmt::format(" {} {}", key, port);
    }
  }
  return text;
}

void print_gateway(Sheet* sheet, const Json& gateway, const Json& traffic) {
  if (gateway["listeners"].empty()) return;
  const Json& hour = traffic["minutes"];
  sheet->line("gateway", fmt::format("{} in the last hour, {} errors, {} now",
                                     counted(sum(hour, "requests"), "request"), sum(hour, "errors"),
                                     counted(number_of(gateway, "connections"), "connection")));
  for (const Json& one : gateway["listeners"]) {
    sheet->line("listeners", fmt::format("{} {}", text_of(one, "name"), places_of(one)));
    // A server of an older version does not say so.
    if (const Json uncovered = one.value("uncovered", Json::array()); !uncovered.empty()) {
      sheet->line("listeners",
                  sheet->bad(fmt::format("no certificate there covers {}", shortened(uncovered))));
    }
  }
  for (const Json& route : gateway["routes"]) {
    if (!text_of(route, "action").empty()) {
      sheet->line("routes",
                  fmt::format("{} {}", joined(route["hostnames"]), text_of(route, "action")));
    }
    print_backends(sheet, joined(route["hostnames"]), route["backends"]);
  }
  for (const Json& one : gateway["listeners"]) {
    print_backends(sheet, text_of(one, "name"), one["backends"]);
  }
  for (const Json& one : gateway["certificates"]) {
    const auto days = one["days_left"].get<std::int64_t>();
    const std::string left = days < 0 ? "has expired" : fmt::format("{} days left", days);
    sheet->line("certificates",
                fmt::format("{} ({}) {}", text_of(one, "name"), joined(one["names"]),
                            days < 14 ? sheet->bad(left) : sheet->good(left)));
    if (!text_of(one, "rejected").empty()) {
      sheet->line("certificates", sheet->bad("not as in its files: " + text_of(one, "rejected")));
    }
  }
}

void print_tops(Sheet* sheet, std::string_view what, const Json& list, const char* key) {
  for (std::size_t i = 0; i < std::min(list.size(), kTopShown); ++i) {
    sheet->line(what, fmt::format("{:>8} {}", number_of(list[i], "count"), text_of(list[i], key)));
  }
}

void print(const Answers& answers, Sheet* sheet) {
  print_dns(sheet, answers.dns, answers.traffic);
  print_gateway(sheet, answers.gateway, answers.traffic);
  print_tops(sheet, "names", answers.clients["names"], "name");
  print_tops(sheet, "clients", answers.clients["clients"], "client");
  print_tops(sheet, "try QUIC", answers.clients["quic"], "client");
  print_tops(sheet, "try ECH", answers.clients["ech"], "client");
}

Result<Json> get(const AdminClient& client, std::string_view path) {
  const auto answer = client.ask("GET", path);
  if (!answer) return tl::unexpected(answer.error());
  Json json = Json::parse(answer->body, nullptr, false);
  if (answer->status == 200 && json.is_object()) return json;
  return fail(Code::kInvalid, json.is_object() ? json.value("error", std::string("no answer"))
                                               : fmt::format("the server says {}", answer->status));
}

Result<Answers> get_all(const AdminOptions& where) {
  const auto client = AdminClient::find(where);
  if (!client) return tl::unexpected(client.error());
  Answers answers;
  for (const auto& [to, path] :
       {std::pair{&answers.status, "/api/v1/status"}, std::pair{&answers.dns, "/api/v1/dns"},
        std::pair{&answers.gateway, "/api/v1/gateway"},
        std::pair{&answers.clients, "/api/v1/clients"},
        std::pair{&answers.traffic, "/api/v1/traffic"}}) {
    auto json = get(*client, path);
    if (!json) return tl::unexpected(json.error());
    *to = std::move(*json);
  }
  return answers;
}

}  // namespace

int status(const StatusOptions& options) {
  const auto answers = get_all(options.where);
  if (!answers) {
    fmt::print(stderr, "postern status: {}\n", one_line(answers.error().detail));
    return 1;
  }
  if (options.json) {
    const Json all = {{"status", answers->status},
                      {"dns", answers->dns},
                      {"gateway", answers->gateway},
                      {"clients", answers->clients},
                      {"traffic", answers->traffic}};
    fmt::print("{}\n", all.dump(2));
    return answers->status["in_sync"].get<bool>() ? 0 : 1;
  }
  Sheet sheet;
  const bool good = print_server(&sheet, answers->status);
  print(*answers, &sheet);
  return good ? 0 : 1;
}

}  // namespace postern::cli
