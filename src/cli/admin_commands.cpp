#include "cli/admin_commands.h"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/text.h"

namespace postern::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::seconds kTryAgain{1};

int wrong(std::string_view command, std::string_view text) {
  fmt::print(stderr, "postern {}: {}\n", command, one_line(text));
  return 1;
}

/// The answer as JSON; what is wrong is said, and null returned.
Json ask(std::string_view command, const AdminOptions& where, std::string_view method,
         std::string_view path, const Parameters& parameters, int* status) {
  const auto client = AdminClient::find(where);
  if (!client) return wrong(command, client.error().detail), Json();
  const auto answer = client->ask(method, path, parameters);
  if (!answer) return wrong(command, answer.error().detail), Json();
  Json json = Json::parse(answer->body, nullptr, false);
  *status = answer->status;
  if (json.is_object() && !json.contains("error")) return json;
  wrong(command, json.is_object() ? json["error"].get<std::string>()
                                  : fmt::format("the server says {}", answer->status));
  return {};
}

std::string time_text(std::uint64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:02}:{:02}:{:02}.{:03}", local.tm_hour, local.tm_min, local.tm_sec,
                     unix_ms % 1000);
}

std::string text_of(const Json& json, const char* key) {
  return one_line(json.value(key, std::string()));
}

std::string line_text(const Json& event) {
  const std::string time = time_text(event.value("time", std::uint64_t{0}));
  const double ms = event.value("ms", 0.0);
  if (text_of(event, "kind") == "query") {
    return fmt::format("{} query   {} {} {} {} {} {} {:.3f} ms", time, text_of(event, "client"),
                       text_of(event, "name"), text_of(event, "type"), text_of(event, "transport"),
                       text_of(event, "source"), text_of(event, "status"), ms);
  }
  const std::string failure = text_of(event, "failure");
  return fmt::format("{} request {} {} {}{} {} {} bytes {:.3f} ms {}{}{}", time,
                     text_of(event, "client"), text_of(event, "method"), text_of(event, "host"),
                     text_of(event, "path"), text_of(event, "status"),
                     event.value("bytes_sent", std::uint64_t{0}), ms, text_of(event, "backend"),
                     failure.empty() ? "" : "; ", failure);
}

Parameters filters(const LogOptions& options) {
  Parameters parameters;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) parameters.emplace_back(name, value);
  };
  add("kind", options.kind);
  add("text", options.text);
  add("type", options.type);
  add("status", options.status);
  add("client", options.client);
  return parameters;
}

void print_line(const LogOptions& options, std::string_view data) {
  if (options.json) {
    fmt::print("{}\n", data);
  } else {
    const Json event = Json::parse(data, nullptr, false);
    if (event.is_object()) fmt::print("{}\n", line_text(event));
  }
  std::fflush(stdout);
}

void say(std::string_view text) { fmt::print(stderr, "postern log: {}\n", text); }

struct Following {
  std::uint64_t printed = 0;
  bool began = false;  ///< the server has answered once
  bool lost = false;
};

/// Until the server ends, or enough is printed.
Result<void> follow_once(const AdminClient& client, const LogOptions& options, Following* state) {
  bool missed = false;
  return client.follow("/api/v1/log", filters(options), [&](std::string_view line) {
    state->began = true;
    if (std::exchange(state->lost, false)) say("the server is here again");
    if (line == "event: missed") missed = true;
    if (!line.starts_with("data: ")) return true;
    line.remove_prefix(6);
    if (std::exchange(missed, false)) {
      say(fmt::format("{} lines were left out: too many at a time", line));
      return true;
    }
    print_line(options, line);
    return ++state->printed != options.lines;
  });
}

}  // namespace

int follow_log(const LogOptions& options) {
  auto client = AdminClient::find(options.where);
  if (!client) return wrong("log", client.error().detail);
  Following state;
  for (;;) {
    const auto done = follow_once(*client, options, &state);
    if (options.lines != 0 && state.printed == options.lines) return 0;
    if (!done && (!state.began || done.error().code != Code::kIo)) {
      return wrong("log", done.error().detail);
    }
    if (options.lines != 0) return wrong("log", "the server ended the log");
    if (!std::exchange(state.lost, true)) say("the server ended the log; trying again each second");
    std::this_thread::sleep_for(kTryAgain);
    auto found = AdminClient::find(options.where);  // its address may be another one now
    if (found) client = std::move(found);
  }
}

int reload(const AdminOptions& where) {
  int status = 0;
  const Json said = ask("reload", where, "POST", "/api/v1/reload", {}, &status);
  if (said.is_null()) return 1;
  for (const Json& problem : said["problems"]) {
    const auto line = problem["line"].get<std::uint64_t>();
    fmt::print("{}{}: {}{}\n", text_of(problem, "file"),
               line == 0 ? "" : fmt::format(":{}:{}", line, problem["column"].get<int>()),
               problem["warning"].get<bool>() ? "warning: " : "", text_of(problem, "text"));
  }
  if (status == 200) {
    fmt::print("reloaded\n");
    return 0;
  }
  fmt::print("refused, {}; what was served goes on being served\n", text_of(said, "detail"));
  return 1;
}

int flush_cache(const CacheOptions& options) {
  int status = 0;
  Parameters parameters;
  if (!options.name.empty()) parameters.emplace_back("name", options.name);
  const Json said =
      ask("cache flush", options.where, "POST", "/api/v1/cache/flush", parameters, &status);
  if (said.is_null()) return 1;
  fmt::print("{} forgotten\n", counted(said["flushed"].get<std::size_t>(), "answer"));
  return 0;
}

int show_cache(const CacheOptions& options) {
  int status = 0;
  const Json said =
      ask("cache show", options.where, "GET", "/api/v1/cache", {{"name", options.name}}, &status);
  if (said.is_null()) return 1;
  if (options.json) {
    fmt::print("{}\n", said.dump(2));
    return 0;
  }
  fmt::print("{}: {}\n", text_of(said, "name"), counted(said["answers"].size(), "answer"));
  for (const Json& one : said["answers"]) {
    std::string views;
    for (const Json& view : one["views"]) {
      const std::string name = one_line(view.get<std::string>());
      views += fmt::format(" {}", name.empty() ? "(no view)" : name);
    }
    fmt::print("  {} {}{}, {} s left, {} s old,{}{}{}\n", text_of(one, "type"),
               text_of(one, "status"), one["stale"].get<bool>() ? ", stale" : "",
               one["ttl_s"].get<std::uint64_t>(), one["age_s"].get<std::uint64_t>(),
               views.empty() ? " of an earlier configuration" : views,
               one["dnssec_ok"].get<bool>() ? ", DO" : "",
               one["checking_disabled"].get<bool>() ? ", CD" : "");
    for (const Json& record : one["records"]) {
      fmt::print("    {}\n", one_line(record.get<std::string>()));
    }
  }
  return 0;
}

}  // namespace postern::cli
