#include "cli/reference.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "server/config_facts.h"
#include "server/log_events.h"
#include "server/metrics_table.h"

namespace postern::cli {
namespace {

constexpr std::string_view kMade =
    "Made by `sh packaging/reference.sh` from the tables of the program; a test compares.\n";

// Inside a cell of a table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '*' || c == '<') out += '\\';
    out += c;
  }
  return out;
}

std::string code(std::string_view text) {
  return text.empty() ? std::string() : fmt::format("`{}`", text);
}

bool is_word(std::string_view text) {
  return text == "required" || text == "none" || text == "any" || text == "as asked" ||
         text == "of the scheme" || text.find(", required") != std::string_view::npos;
}

std::string key_row(const server::KeyFacts& key, std::string_view name) {
  std::string kind = key.type;
  if (!key.allowed.empty()) kind += fmt::format(": {}", code(key.allowed));
  return fmt::format("| `{}` | {} | {} | {} |\n", name, kind,
                     is_word(key.fallback) ? key.fallback : code(key.fallback), cell(key.meaning));
}

std::string heading(const server::KeyFacts& table) {
  return table.type == "table" ? fmt::format("[{}]", table.path)
                               : fmt::format("[[{}]]", table.path);
}

// The keys of one table, without those of tables inside it.
std::string keys_of(const std::vector<server::KeyFacts>& keys, std::string_view table) {
  std::string rows;
  for (const server::KeyFacts& key : keys) {
    const auto dot = key.path.rfind('.');
    const std::string_view parent =
        dot == std::string::npos ? std::string_view() : std::string_view(key.path).substr(0, dot);
    if (parent != table || key.is_table()) continue;
    rows += key_row(key, std::string_view(key.path).substr(dot + 1));
  }
  if (rows.empty()) return rows;
  return "| key | type | default | meaning |\n|---|---|---|---|\n" + rows + '\n';
}

std::string config_reference() {
  const auto keys = server::config_keys();
  std::string text = fmt::format(
      "# Every key of the configuration\n\n{}\n[configuration.md](../configuration.md) explains "
      "them with examples. `[x]` is a table, `[[x]]` an array of tables, one for each.\n\n",
      kMade);
  text += "## The file\n\n" + keys_of(keys, "");
  for (const server::KeyFacts& key : keys) {
    if (!key.is_table()) continue;
    text += fmt::format("## {}\n\n{}\n\n{}", heading(key), key.meaning, keys_of(keys, key.path));
  }
  text.pop_back();
  return text;
}

// A key without a line in the table of meanings, or the other way round, ends the build's test.
int say_out_of_step() {
  const auto wrong = server::keys_out_of_step();
  for (const std::string& what : wrong)
    fmt::print(stderr, "src/server/config_facts.cpp: {}\n", what);
  return wrong.empty() ? 0 : 1;
}

std::string option_text(const OptionFacts& option) {
  if (option.long_name.empty()) return option.argument;
  std::string text = option.short_name;
  if (!text.empty()) text += ", ";
  text += option.long_name;
  return option.argument.empty() ? text : fmt::format("{} {}", text, option.argument);
}

std::string commands_reference(const CLI::App& app) {
  std::string text = fmt::format(
      "# Every command\n\n{}\nExit status: 0 good, 1 bad input or a finding, 2 wrong "
      "use. `postern --version` says which version it is.\n",
      kMade);
  for (const CommandFacts& command : commands_of(app)) {
    text += fmt::format("\n## postern {}\n\n{}\n", command.name, command.meaning);
    if (command.options.empty()) continue;
    text += "\n| option | default | meaning |\n|---|---|---|\n";
    for (const OptionFacts& option : command.options) {
      text +=
          fmt::format("| `{}` | {} | {} |\n", option_text(option),
                      option.required ? "required" : code(option.fallback), cell(option.meaning));
    }
  }
  return text;
}

std::string events_reference() {
  std::string text = fmt::format(
      "# Every log event\n\n{}\nA line on standard error is time, level, event and message; with "
      "`server.log.format = \"json\"` the same are members.\n\n"
      "| event | level | meaning | what to do |\n|---|---|---|---|\n",
      kMade);
  for (const server::LogEvent& event : server::log_events()) {
    text += fmt::format("| `{}` | {} | {} | {} |\n", event.name, event.levels, cell(event.meaning),
                        cell(event.remedy));
  }
  return text;
}

std::string metrics_reference() {
  std::string text = fmt::format(
      "# Every metric\n\n{}\nServed at `/metrics` of `server.admin`; [metrics.md](../metrics.md) "
      "says what to do with them.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n",
      kMade);
  for (const server::MetricInfo& metric : server::metrics_table()) {
    text +=
        fmt::format("| `{}` | {} | {} | {} |\n", metric.name, server::metric_kind_text(metric.kind),
                    code(metric.labels), cell(metric.help));
  }
  return text;
}

// "TEXT:{text,json}" is how the library speaks of a choice.
std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const auto begin = type.find('{'), end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return {};
  return CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
}

std::string argument_of(const std::string& option) {
  constexpr std::array<std::string_view, 4> kFiles{"config", "cacert", "resolv-conf", "against"};
  if (option == "zones") return "DIRECTORY";
  const bool is_file = std::find(kFiles.begin(), kFiles.end(), option) != kFiles.end();
  return is_file || option.ends_with("file") ? "FILE" : "VALUE";
}

OptionFacts facts_of(const CLI::Option& option) {
  OptionFacts facts;
  if (!option.get_lnames().empty()) facts.long_name = "--" + option.get_lnames().front();
  if (!option.get_snames().empty()) facts.short_name = "-" + option.get_snames().front();
  facts.meaning = option.get_description();
  facts.fallback = option.get_default_str();
  facts.required = option.get_required();
  facts.repeated = option.get_items_expected_max() > 1;
  if (option.get_positional()) {
    facts.argument = option.get_name(true);
  } else if (option.get_items_expected_max() > 0) {
    facts.argument = argument_of(option.get_lnames().front());
  }
  facts.choices = choices_of(option);
  return facts;
}

CommandFacts facts_of(const CLI::App& command, const std::string& outer) {
  CommandFacts facts{outer + command.get_name(), command.get_description(), {}};
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_group().empty()) facts.options.push_back(facts_of(*option));
  }
  // Arguments first, as in --help; --help itself last.
  std::stable_partition(facts.options.begin(), facts.options.end(),
                        [](const OptionFacts& option) { return option.long_name != "--help"; });
  std::stable_partition(facts.options.begin(), facts.options.end(),
                        [](const OptionFacts& option) { return option.long_name.empty(); });
  return facts;
}

// Two levels are all there are.
std::vector<const CLI::App*> inner_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); });
}

}  // namespace

std::vector<CommandFacts> commands_of(const CLI::App& app) {
  std::vector<CommandFacts> commands;
  for (const CLI::App* command : inner_of(app)) {
    CommandFacts facts = facts_of(*command, "");
    const auto inner = inner_of(*command);
    for (const CLI::App* one : inner) facts.inner.push_back(one->get_name());
    commands.push_back(std::move(facts));
    for (const CLI::App* one : inner) commands.push_back(facts_of(*one, command->get_name() + ' '));
  }
  return commands;
}

const CLI::App* add_reference(CLI::App& app, std::string* part) {
  CLI::App* command = app.add_subcommand("reference", "print what the tables of the program say");
  command->group("");
  command->add_option("PART", *part)
      ->required()
      ->check(CLI::IsMember({"config", "commands", "metrics", "events", "postern.1",
                             "postern.toml.5", "bash", "zsh", "fish"}));
  return command;
}

int print_reference(const CLI::App& app, std::string_view part) {
  std::string text;
  if (part == "config") text = config_reference();
  if (part == "commands") text = commands_reference(app);
  if (part == "metrics") text = metrics_reference();
  if (part == "events") text = events_reference();
  if (part == "postern.1") text = command_manual(commands_of(app));
  if (part == "postern.toml.5") text = config_manual();
  if (part == "bash") text = bash_completion(commands_of(app));
  if (part == "zsh") text = zsh_completion(commands_of(app));
  if (part == "fish") text = fish_completion(commands_of(app));
  fmt::print("{}", text);
  return part == "config" ? say_out_of_step() : 0;
}

}  // namespace postern::cli
