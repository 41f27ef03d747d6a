#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/reference.h"

namespace postern::cli {
namespace {

// In single quotes of a shell; fish knows \' in them, the others do not.
std::string in_quotes(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '\'' ? std::string("’") : std::string(1, c);
  return out;
}

// "cache" and all that begins with it as one: with the options of each.
std::vector<CommandFacts> by_first_word(const std::vector<CommandFacts>& commands) {
  std::vector<CommandFacts> merged;
  for (const CommandFacts& command : commands) {
    if (command.name.find(' ') == std::string::npos) {
      merged.push_back(command);
      continue;
    }
    std::vector<OptionFacts>& options = merged.back().options;
    for (const OptionFacts& option : command.options) {
      const bool there = std::any_of(options.begin(), options.end(), [&](const OptionFacts& one) {
        return one.long_name == option.long_name;
      });
      if (!there && !option.long_name.empty()) options.push_back(option);
    }
  }
  return merged;
}

std::vector<std::string> names_of(const std::vector<CommandFacts>& commands) {
  std::vector<std::string> names;
  names.reserve(commands.size());
  for (const CommandFacts& command : commands) names.push_back(command.name);
  return names;
}

bool is_argument(const OptionFacts& option) { return option.long_name.empty(); }

std::vector<std::string> words_of(const CommandFacts& command) {
  std::vector<std::string> words = command.inner;
  for (const OptionFacts& option : command.options) {
    if (!option.short_name.empty()) words.push_back(option.short_name);
    if (!option.long_name.empty()) words.push_back(option.long_name);
    if (is_argument(option))
      words.insert(words.end(), option.choices.begin(), option.choices.end());
  }
  return words;
}

bool takes_file(const OptionFacts& option) {
  return option.argument == "FILE" || option.argument == "NEW" || option.argument == "DIRECTORY";
}

bool has_file_argument(const CommandFacts& command) {
  return std::any_of(command.options.begin(), command.options.end(), [](const OptionFacts& option) {
    return is_argument(option) && takes_file(option);
  });
}

// In _arguments, ':', '[' and ']' have a meaning.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : in_quotes(text)) {
    if (c == ':' || c == '[' || c == ']') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_action(const OptionFacts& option) {
  // An argument without completions shows a message, and then no option is completed in its place.
  std::string values = is_argument(option) ? "false" : "";
  if (takes_file(option)) values = "_files";
  if (!option.choices.empty()) values = fmt::format("({})", fmt::join(option.choices, " "));
  return fmt::format(":{}:{}", option.argument, values);
}

std::string zsh_option(const OptionFacts& option) {
  const std::string star = option.repeated ? "*" : "";
  if (is_argument(option)) return fmt::format("'{}{}'", star, zsh_action(option));
  std::string text;
  for (const std::string& name : {option.short_name, option.long_name}) {
    if (name.empty()) continue;
    text +=
        fmt::format("{}'{}{}[{}]{}'", text.empty() ? "" : " ", star, name, zsh_text(option.meaning),
                    option.argument.empty() ? "" : zsh_action(option));
  }
  return text;
}

// What follows an option, for `compgen`; "" when it is free.
std::string bash_values(const OptionFacts& option) {
  if (takes_file(option)) return "-f";
  return option.choices.empty() ? "" : fmt::format("-W '{}'", fmt::join(option.choices, " "));
}

std::string fish_values(const OptionFacts& option) {
  if (takes_file(option)) return " -r -F";
  if (option.argument.empty()) return "";
  return option.choices.empty() ? " -x"
                                : fmt::format(" -x -a '{}'", fmt::join(option.choices, " "));
}

}  // namespace

std::string bash_completion(const std::vector<CommandFacts>& all) {
  const std::vector<CommandFacts> commands = by_first_word(all);
  std::string text = fmt::format(
      R"(# bash completion for postern
_postern() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W '{} --help --version' -- "$word")
    return
  fi
  case ${{COMP_WORDS[1]}}:$before in
)",
      fmt::join(names_of(commands), " "));
  for (const CommandFacts& command : commands) {
    for (const OptionFacts& option : command.options) {
      const std::string values = bash_values(option);
      if (is_argument(option) || option.argument.empty()) continue;
      std::string names = command.name + ':' + option.long_name;
      if (!option.short_name.empty()) names += '|' + command.name + ':' + option.short_name;
      text += values.empty() ? fmt::format("    {}) return ;;\n", names)
                             : fmt::format(
                                   "    {}) mapfile -t COMPREPLY < <(compgen {} -- "
                                   "\"$word\"); return ;;\n",
                                   names, values);
    }
  }
  text += "  esac\n  case ${COMP_WORDS[1]} in\n";
  for (const CommandFacts& command : commands) {
    text += fmt::format("    {}) mapfile -t COMPREPLY < <(compgen -W '{}'{} -- \"$word\") ;;\n",
                        command.name, fmt::join(words_of(command), " "),
                        has_file_argument(command) ? " -f" : "");
  }
  return text + "  esac\n}\ncomplete -o filenames -F _postern postern\n";
}

std::string zsh_completion(const std::vector<CommandFacts>& all) {
  const std::vector<CommandFacts> commands = by_first_word(all);
  std::string text =
      "#compdef postern\n_postern() {\n  if (( CURRENT == 2 )); then\n    local -a commands=(\n";
  for (const CommandFacts& command : commands) {
    text += fmt::format("      '{}:{}'\n", command.name, zsh_text(command.meaning));
  }
  text +=
      "    )\n    _describe command commands\n    return\n  fi\n"
      "  local command=$words[2]\n  shift words\n  (( CURRENT -= 1 ))\n  case $command in\n";
  for (const CommandFacts& command : commands) {
    text += fmt::format("    {})\n      _arguments", command.name);
    if (!command.inner.empty()) {
      text += fmt::format(" \\\n        '1:command:({})'", fmt::join(command.inner, " "));
    }
    for (const OptionFacts& option : command.options) text += " \\\n        " + zsh_option(option);
    text += "\n      ;;\n";
  }
  return text +
         "  esac\n}\n"
         "if [ \"$funcstack[1]\" = _postern ]; then\n  _postern \"$@\"\nelse\n"
         "  compdef _postern postern\nfi\n";
}

std::string fish_completion(const std::vector<CommandFacts>& all) {
  const std::vector<CommandFacts> commands = by_first_word(all);
  std::string text = "# fish completion for postern\ncomplete -c postern -f\n";
  for (const CommandFacts& command : commands) {
    text += fmt::format("complete -c postern -n __fish_use_subcommand -a {} -d '{}'\n",
                        command.name, in_quotes(command.meaning));
    if (!command.inner.empty()) {
      text += fmt::format("complete -c postern -n '__fish_seen_subcommand_from {}' -a '{}'\n",
                          command.name, fmt::join(command.inner, " "));
    }
    const std::string seen =
        fmt::format("complete -c postern -n '__fish_seen_subcommand_from {}'", command.name);
    if (has_file_argument(command)) text += seen + " -F\n";
    for (const OptionFacts& option : command.options) {
      if (is_argument(option)) {
        if (!option.choices.empty())
          text += fmt::format("{} -a '{}'\n", seen, fmt::join(option.choices, " "));
        continue;
      }
      text +=
          fmt::format("{}{} -l {}{} -d '{}'\n", seen,
                      option.short_name.empty() ? "" : " -s " + option.short_name.substr(1),
                      option.long_name.substr(2), fish_values(option), in_quotes(option.meaning));
    }
  }
  return text;
}

}  // namespace postern::cli
