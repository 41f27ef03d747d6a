#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "cli/reference.h"
#include "server/config_facts.h"
#include "server/log_events.h"

namespace postern::cli {
namespace {

// Text in a line of mdoc(7): nothing of it is a request or an escape.
std::string plain(std::string_view text) {
  std::string out;
  if (text.starts_with('.') || text.starts_with('\'')) out += "\\&";
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

// Each sentence on a line of its own, no line longer than 78 bytes where there is a blank.
std::string folded(std::string_view text) {
  std::string out, line;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string word = plain(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && (line.ends_with('.') || line.size() + 1 + word.size() > 78)) {
      out += line + '\n';
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
  }
  return out + line;
}

// An argument of a macro: in quotes, those inside doubled; words that are macros are no macros.
std::string argument(std::string_view text) {
  std::string out = "\"\\&";
  for (const char c : plain(text)) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string sentence(std::string_view text) {
  std::string out(text);
  if (!out.empty() && out.front() >= 'a' && out.front() <= 'z') {
    out.front() = static_cast<char>(out.front() - 'a' + 'A');
  }
  if (!out.empty() && out.back() != '.') out += '.';
  return folded(out);
}

std::string title(std::string_view name, int section, std::string_view about) {
  return fmt::format(".Dd $Mdocdate$\n.Dt {} {}\n.Os\n.Sh NAME\n.Nm {}\n.Nd {}\n", name, section,
                     section == 1 ? "postern" : "postern.toml", about);
}

std::string synopsis_of(const CommandFacts& command) {
  std::string text = fmt::format(".Nm\n.Cm {}\n", command.name);
  for (const OptionFacts& option : command.options) {
    if (option.long_name == "--help") continue;
    std::string word;
    if (option.long_name.empty()) {
      word = fmt::format("Ar {}{}", option.argument, option.repeated ? " ..." : "");
    } else {
      const std::string& name = option.short_name.empty() ? option.long_name : option.short_name;
      word = "Fl " + plain(std::string_view(name).substr(1));
      if (!option.argument.empty()) word += " Ar " + option.argument;
    }
    text += fmt::format("{}{}\n", option.required ? "." : ".Op ", word);
  }
  return text;
}

std::string option_item(const OptionFacts& option) {
  std::string text = ".It ";
  if (option.long_name.empty()) {
    text += "Ar " + option.argument;
  } else {
    if (!option.short_name.empty()) {
      text += fmt::format("Fl {} , ", plain(std::string_view(option.short_name).substr(1)));
    }
    text += "Fl " + plain(std::string_view(option.long_name).substr(1));
    if (!option.argument.empty()) text += " Ar " + option.argument;
  }
  text += '\n' + sentence(option.meaning) + '\n';
  if (!option.fallback.empty()) {
    text += folded(fmt::format("The default is {}.", option.fallback)) + '\n';
  }
  return text;
}

std::string key_item(const server::KeyFacts& key) {
  const std::string name = key.type == "table"             ? fmt::format("[{}]", key.path)
                           : key.type == "array of tables" ? fmt::format("[[{}]]", key.path)
                                                           : key.path;
  std::string text = fmt::format(".It Ic {}\n", argument(name));
  if (!key.meaning.empty()) text += sentence(key.meaning) + '\n';
  if (key.is_table()) return text;
  std::string kind = key.type;
  if (!key.allowed.empty()) kind += ": " + key.allowed;
  text += sentence(kind) + '\n';
  if (key.fallback == "required") return text + "Required.\n";
  if (!key.fallback.empty()) text += folded(fmt::format("Default: {}.", key.fallback)) + '\n';
  return text;
}

}  // namespace

std::string command_manual(const std::vector<CommandFacts>& commands) {
  std::string text = title("POSTERN", 1, "nameserver and gateway of a home network");
  text += ".Sh SYNOPSIS\n";
  for (const CommandFacts& command : commands) text += synopsis_of(command);
  text +=
      ".Sh DESCRIPTION\n.Nm\n"
      "serves some public names of a network inside it, by DNS and HTTPS,\n"
      "forwards and caches the rest, and keeps browsers from trying HTTP/3 where\n"
      "there is none.\n";
  for (const CommandFacts& command : commands) {
    text += fmt::format(".Ss postern {}\n{}\n", command.name, sentence(command.meaning));
    text += ".Bl -tag -width Ds\n";
    for (const OptionFacts& option : command.options) text += option_item(option);
    text += ".El\n";
  }
  text +=
      ".Ss Signals\n"
      ".Dv SIGHUP\nreads everything again; when anything is wrong, nothing changes.\n"
      ".Dv SIGTERM\nand\n.Dv SIGINT\nfinish what is under way and stop; a second one stops at "
      "once.\n"
      ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/postern/postern.toml\n"
      "The configuration, see\n.Xr postern.toml 5 .\n.El\n"
      ".Sh EXIT STATUS\n.Bl -tag -width Ds\n.It 0\nGood.\n.It 1\nBad input, or a finding.\n"
      ".It 2\nWrong use.\n.El\n"
      ".Sh DIAGNOSTICS\nEvents that are logged to standard error, with their level:\n"
      ".Bl -tag -width Ds\n";
  for (const server::LogEvent& event : server::log_events()) {
    text += fmt::format(".It {} ({})\n{}\n", argument(event.name), event.levels,
                        sentence(event.meaning));
    if (!event.remedy.empty()) text += sentence(event.remedy) + '\n';
  }
  return text + ".El\n.Sh SEE ALSO\n.Xr dig 1 ,\n.Xr postern.toml 5\n";
}

std::string config_manual() {
  std::string text = title("POSTERN.TOML", 5, "configuration of postern");
  text +=
      ".Sh DESCRIPTION\n"
      "A file in TOML.\n"
      "Relative paths are relative to the file they stand in.\n"
      "Durations are text such as \"30s\", \"5m\" or \"1d\", sizes \"64MiB\".\n"
      "A key in [[x]] belongs to one of several such tables.\n"
      "A configuration with an error is never served;\n.Ic postern check\nlists them all.\n"
      ".Bl -tag -width Ds\n";
  for (const server::KeyFacts& key : server::config_keys()) text += key_item(key);
  text +=
      ".El\n.Sh EXAMPLES\n.Bd -literal\n"
      "[[dns.override]]\n"
      "names   = [\"vanillax.me\", \"*.vanillax.me\"]\n"
      "address = [\"192.168.10.50\"]\n.Ed\n"
      ".Sh SEE ALSO\n.Xr postern 1\n";
  return text;
}

}  // namespace postern::cli
