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

std::vector<std::string> words_of(const CommandFacts& command) {
  std::vector<std::string> words = command.inner;
  for (const OptionFacts& option : command.options) {
    if (!option.short_name.empty()) words.push_back(option.short_name);
    if (!option.long_name.empty()) words.push_back(option.long_name);
  }
  return words;
}

bool takes_file(const OptionFacts& option) { return option.argument == "FILE"; }

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
  return fmt::format(":{}:{}", option.argument, takes_file(option) ? "_files" : "");
}

std::string zsh_option(const OptionFacts& option) {
  const std::string star = option.repeated ? "*" : "";
  if (option.long_name.empty()) return fmt::format("'{}{}'", star, zsh_action(option));
  std::string text;
  for (const std::string& name : {option.short_name, option.long_name}) {
    if (name.empty()) continue;
    text +=
        fmt::format("{}'{}{}[{}]{}'", text.empty() ? "" : " ", star, name, zsh_text(option.meaning),
                    option.argument.empty() ? "" : zsh_action(option));
  }
  return text;
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
    std::vector<std::string> files;
    for (const OptionFacts& option : command.options) {
      if (!takes_file(option)) continue;
      for (const std::string& name : {option.short_name, option.long_name}) {
        if (!name.empty()) files.push_back(command.name + ':' + name);
      }
    }
    if (files.empty()) continue;
    text += fmt::format("    {}) mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return ;;\n",
                        fmt::join(files, "|"));
  }
  text += "  esac\n  case ${COMP_WORDS[1]} in\n";
  for (const CommandFacts& command : commands) {
    text += fmt::format("    {}) mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\") ;;\n",
                        command.name, fmt::join(words_of(command), " "));
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
    for (const OptionFacts& option : command.options) {
      if (option.long_name.empty()) continue;
      text += fmt::format(
          "complete -c postern -n '__fish_seen_subcommand_from {}'{} -l {}{} "
          "-d '{}'\n",
          command.name, option.short_name.empty() ? "" : " -s " + option.short_name.substr(1),
          option.long_name.substr(2),
          takes_file(option)        ? " -r -F"
          : option.argument.empty() ? ""
                                    : " -x",
          in_quotes(option.meaning));
    }
  }
  return text;
}

}  // namespace postern::cli
