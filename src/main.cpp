// The command line: what to do, with which configuration. Exit status: 0 good, 1 bad input or
// finding, 2 wrong use.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include "cli/admin_command_line.h"
#include "cli/check.h"
#include "cli/diff.h"
#include "cli/doctor.h"
#include "cli/explain.h"
#include "cli/import.h"
#include "cli/record_text.h"
#include "cli/reference.h"
#include "net/tls.h"
#include "server/config.h"
#include "server/config_values.h"
#include "server/example.h"
#include "server/server.h"

namespace {

using postern::server::Example;

constexpr int kWrongUse = 2;

/// The configuration at hand: the file named with -c, the default file, or the built-in example.
struct Chosen {
  std::string file;
  std::optional<Example> example;
};

std::optional<Chosen> choose(const std::string& named) {
  if (!named.empty()) return Chosen{named, std::nullopt};
  const char* usual = postern::server::kDefaultConfigFile;
  if (::access(usual, F_OK) == 0) return Chosen{usual, std::nullopt};
  if (errno != ENOENT && errno != ENOTDIR) {
    fmt::print(stderr, "postern: cannot look for {}: {}; name a configuration with -c\n", usual,
               std::generic_category().message(errno));
    return std::nullopt;
  }
  auto example = Example::write();
  if (!example) {
    fmt::print(stderr, "postern: {}\n", example.error().detail);
    return std::nullopt;
  }
  std::string file = example->config_file();
  return Chosen{std::move(file), std::move(*example)};
}

int run(Chosen& chosen) {
  const postern::server::Wording wording{postern::cli::explanation_of, postern::cli::answer_lines};
  if (!chosen.example) return postern::server::run({chosen.file, {}, [] {}, wording});
  return postern::server::run(
      {chosen.file, chosen.example->greeting(), [&chosen] { chosen.example->remove(); }, wording});
}

void say_what_is_looked_at(const Chosen& chosen) {
  if (!chosen.example) return;
  fmt::print(stderr, "postern: there is no {} and no -c was given: this is the built-in example\n",
             postern::server::kDefaultConfigFile);
}

// The word in place of a command, when it is none.
std::optional<std::string> wrong_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return std::nullopt;
  std::vector<std::string_view> known;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == argv[1]) return std::nullopt;
    if (!command->get_group().empty()) known.push_back(command->get_name());
  }
  const std::string_view near = postern::server::nearest_word(argv[1], known);
  return fmt::format("no such command '{}'; {}", argv[1],
                     near.empty() ? fmt::format("there are: {}", fmt::join(known, ", "))
                                  : fmt::format("did you mean '{}'?", near));
}

void add_config_option(CLI::App* command, std::string* file) {
  command->add_option(
      "-c,--config", *file,
      fmt::format("configuration; without it {} when it is there, else the built-in "
                  "example",
                  postern::server::kDefaultConfigFile));
}

CLI::App* add_diff_command(CLI::App& app, postern::cli::DiffOptions* options) {
  auto* command = app.add_subcommand(
      "diff",
      "say what a configuration would change in what is served; exit status 0: nothing, 1: "
      "something, 2: a file has errors");
  options->before = postern::server::kDefaultConfigFile;
  command->add_option("NEW", options->after, "the configuration that is to come")->required();
  command->add_option("--against", options->before, "the configuration as it is")
      ->capture_default_str();
  command->add_flag("--json", options->json, "for programs");
  return command;
}

CLI::App* add_import_command(CLI::App& app, postern::cli::ImportOptions* options) {
  auto* command = app.add_subcommand(
      "import", "print what another nameserver's configuration amounts to, as TOML");
  command->add_option("KIND", options->kind, "corefile, dnsmasq or hosts")
      ->required()
      ->check(CLI::IsMember({"corefile", "dnsmasq", "hosts"}));
  command->add_option("FILE", options->file, "its configuration")->required();
  command->add_option("--zones", options->zones,
                      "directory to write a zone file to, for domains that are to have no names");
  return command;
}

int serve_command_line(int argc, char** argv) {
  CLI::App app("Postern: the nameserver of a LAN that serves some of its public names itself.",
               "postern");
  app.set_version_flag("--version", std::string("postern ") + POSTERN_VERSION);
  app.require_subcommand(1);
  std::string file;
  auto* run_command = app.add_subcommand("run", "serve until SIGTERM; SIGHUP reloads");
  auto* check_command =
      app.add_subcommand("check", "read everything that run would, list all problems");
  postern::cli::CheckOptions checked;
  check_command
      ->add_option("--format", checked.format, "of the problems: text, json, github or gitlab")
      ->check(CLI::IsMember({"text", "json", "github", "gitlab"}))
      ->capture_default_str();
  auto* explain_command =
      app.add_subcommand("explain", "say what would be answered, and which line says so");
  postern::server::ExplainQuestion options;
  explain_command->add_option("NAME", options.name, "a domain name, or a URL")->required();
  explain_command->add_option("TYPE", options.type, "a record type, such as A or HTTPS")
      ->capture_default_str();
  explain_command->add_option("--client", options.client, "the address that asks")
      ->capture_default_str();
  explain_command->add_option("--method", options.method, "of the request, for a URL")
      ->capture_default_str();
  auto* doctor_command = app.add_subcommand(
      "doctor", "ask the running server what a browser would, say what is broken");
  postern::cli::DoctorOptions examined;
  doctor_command->add_option("NAME", examined.names, "domain names; without any, all of the file");
  doctor_command->add_option("--resolver", examined.resolvers, "another nameserver of the LAN")
      ->allow_extra_args(false);
  doctor_command->add_option("--server", examined.server,
                             "Postern, when it is not to be asked at its dns.listen; with names "
                             "this needs no configuration");
  doctor_command->add_option("--resolv-conf", examined.resolv_conf, "in place of /etc/resolv.conf")
      ->check(CLI::ExistingFile);
  doctor_command
      ->add_option("--cacert", examined.ca_file,
                   "PEM file of the authorities to trust, in place of the system's")
      ->check(CLI::ExistingFile);
  doctor_command->add_flag("--json", examined.json, "for programs");
  doctor_command->add_option("--timeout", examined.timeout_s, "seconds to wait for each answer")
      ->check(CLI::Range(0.1, 60.0))
      ->capture_default_str();
  postern::cli::DiffOptions compared;
  auto* diff_command = add_diff_command(app, &compared);
  postern::cli::ImportOptions imported;
  auto* import_command = add_import_command(app, &imported);
  for (CLI::App* command : {run_command, check_command, explain_command, doctor_command}) {
    add_config_option(command, &file);
  }
  postern::cli::AdminCommandLine admin_commands(app);
  std::string wanted;
  const auto* reference_command = postern::cli::add_reference(app, &wanted);
  if (const auto wrong = wrong_command(app, argc, argv)) {
    fmt::print(stderr, "postern: {}\n", *wrong);
    return kWrongUse;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongUse;
  }
  if (const auto done = admin_commands.run()) return *done;
  if (diff_command->parsed()) return postern::cli::diff(compared);
  if (import_command->parsed()) return postern::cli::import(imported);
  if (reference_command->parsed()) return postern::cli::print_reference(app, wanted);
  std::optional<Chosen> chosen = choose(file);
  if (!chosen) return 1;
  if (run_command->parsed()) return run(*chosen);
  if (doctor_command->parsed() && chosen->example && !examined.server.empty() &&
      !examined.names.empty()) {
    return postern::cli::doctor(examined);
  }
  say_what_is_looked_at(*chosen);
  if (check_command->parsed()) {
    checked.config_file = chosen->file;
    return postern::cli::check(checked);
  }
  if (doctor_command->parsed()) {
    examined.config_file = chosen->file;
    return postern::cli::doctor(examined);
  }
  return postern::cli::explain(options, chosen->file);
}

}  // namespace

int main(int argc, char** argv) {
  postern::net::recycle_tls_memory();
  return serve_command_line(argc, argv);
}
