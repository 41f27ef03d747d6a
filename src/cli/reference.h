// `postern reference PART`: what the tables of the code say, as Markdown (docs/reference), as
// manuals, and as completions of shells. Hidden: it is for building and for tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's
class App;
}

namespace postern::cli {

/// The command, and where the part goes that is wanted.
const CLI::App* add_reference(CLI::App& app, std::string* part);
/// The exit status.
int print_reference(const CLI::App& app, std::string_view part);

/// One option or argument of a command.
struct OptionFacts {
  std::string long_name;   ///< "--config"; "" for an argument
  std::string short_name;  ///< "-c"
  std::string argument;    ///< "FILE"; "" for a flag
  std::string meaning;
  std::string fallback;
  std::vector<std::string> choices = {};  ///< all values there are; none: any
  bool required = false;
  bool repeated = false;
};

struct CommandFacts {
  std::string name;  ///< "check", "cache flush"
  std::string meaning;
  std::vector<OptionFacts> options;
  std::vector<std::string> inner = {};  ///< of "cache": "show", "flush"
};

/// What people are shown, in the order of --help.
std::vector<CommandFacts> commands_of(const CLI::App& app);

/// postern(1) and postern.toml(5), in mdoc(7).
std::string command_manual(const std::vector<CommandFacts>& commands);
std::string config_manual();

/// For bash, zsh and fish.
std::string bash_completion(const std::vector<CommandFacts>& commands);
std::string zsh_completion(const std::vector<CommandFacts>& commands);
std::string fish_completion(const std::vector<CommandFacts>& commands);

}  // namespace postern::cli
