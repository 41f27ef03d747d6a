#include "cli/check_format.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>

#include <fmt/format.h>

namespace postern::cli {
namespace {

namespace fs = std::filesystem;

/// How many bytes the UTF-8 sequence at the front of `text` has, 0 when it is none (RFC 3629).
std::size_t sequence_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  const std::size_t size = first < 0x80   ? 1
                           : first < 0xc2 ? 0
                           : first < 0xe0 ? 2
                           : first < 0xf0 ? 3
                           : first < 0xf5 ? 4
                                          : 0;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  }
  if (size == 1) return 1;
  const std::uint8_t second = byte(1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second > 0x9f;
  const bool too_large = first == 0xf4 && second > 0x8f;
  return overlong || surrogate || too_large ? 0 : size;
}

std::string relative_path(const std::string& file, const std::string& directory) {
  const fs::path path(file);
  if (!path.is_absolute()) return path.lexically_normal().string();
  const fs::path relative = path.lexically_relative(directory);
  const bool outside = relative.empty() || *relative.begin() == "..";
  return outside ? file : relative.string();
}

/// "what is wrong; what is allowed" as its two parts.
std::pair<std::string_view, std::string_view> halves(std::string_view text) {
  const std::size_t at = text.find("; ");
  if (at == std::string_view::npos) return {text, {}};
  return {text.substr(0, at), text.substr(at + 2)};
}

/// What a workflow command cannot have in its text, or in a property.
std::string github_escaped(std::string_view text, bool property) {
  std::string out;
  for (const char c : text) {
    const bool escape = c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ','));
    if (escape) {
      out += fmt::format("%{:02X}", static_cast<unsigned>(static_cast<std::uint8_t>(c)));
    } else {
      out += c;
    }
  }
  return out;
}

/// The same problem in the next run, wherever its line has gone: FNV-1a over file and text.
std::uint64_t fingerprint_of(const std::string& file, std::string_view text, std::size_t times) {
  std::uint64_t hash = 0xcbf29ce484222325ULL + times;
  for (const std::string_view part : {std::string_view(file), text}) {
    for (const char c : part) {
      hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3ULL;
    }
    hash *= 0x100000001b3ULL;
  }
  return hash;
}

}  // namespace

std::string json_text(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t size = sequence_size(text);
    const auto byte = static_cast<std::uint8_t>(text[0]);
    if (size == 0) {
      out += "\\ufffd";
    } else if (text[0] == '"' || text[0] == '\\') {
      out += '\\';
      out += text[0];
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out + "\"";
}

std::string problems_as_json(const std::vector<server::ConfigProblem>& problems,
                             const std::string& directory) {
  std::string out = "[";
  for (const server::ConfigProblem& problem : problems) {
    const auto [message, hint] = halves(problem.text);
    out += fmt::format(
        R"({}{{"file":{},"line":{},"column":{},"severity":"{}","message":{},"hint":{}}})",
        out.size() > 1 ? ",\n " : "\n ", json_text(relative_path(problem.file, directory)),
        problem.line, problem.column, problem.warning ? "warning" : "error", json_text(message),
        json_text(hint));
  }
  return out + (problems.empty() ? "]\n" : "\n]\n");
}

std::string problems_as_github(const std::vector<server::ConfigProblem>& problems,
                               const std::string& directory) {
  std::string out;
  for (const server::ConfigProblem& problem : problems) {
    out += fmt::format("::{} file={}", problem.warning ? "warning" : "error",
                       github_escaped(relative_path(problem.file, directory), true));
    if (problem.line != 0) out += fmt::format(",line={},col={}", problem.line, problem.column);
    out += fmt::format("::{}\n", github_escaped(problem.text, false));
  }
  return out;
}

std::string problems_as_gitlab(const std::vector<server::ConfigProblem>& problems,
                               const std::string& directory) {
  std::string out = "[";
  std::vector<std::uint64_t> known;
  for (const server::ConfigProblem& problem : problems) {
    const std::string file = relative_path(problem.file, directory);
    std::uint64_t fingerprint = fingerprint_of(file, problem.text, 0);
    for (std::size_t times = 1; std::find(known.begin(), known.end(), fingerprint) != known.end();
         ++times) {
      fingerprint = fingerprint_of(file, problem.text, times);
    }
    known.push_back(fingerprint);
    out += fmt::format(
        R"({}{{"description":{},"check_name":"postern-check","fingerprint":"{:016x}",)"
        R"("severity":"{}","location":{{"path":{},"lines":{{"begin":{}}}}}}})",
        out.size() > 1 ? ",\n " : "\n ", json_text(problem.text), fingerprint,
        problem.warning ? "minor" : "major", json_text(file), std::max(problem.line, 1U));
  }
  return out + (problems.empty() ? "]\n" : "\n]\n");
}

}  // namespace postern::cli
