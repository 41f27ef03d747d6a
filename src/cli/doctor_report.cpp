#include "cli/doctor_report.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/log.h"

namespace postern::cli {
namespace {

struct Look {
  std::string_view word, word_json, color;
};
constexpr std::array<Look, 3> kLooks{
    {{"ok", "ok", "\x1b[32m"}, {"warn", "warning", "\x1b[33m"}, {"RED", "red", "\x1b[1;31m"}}};

const Look& look_of(Verdict verdict) { return kLooks.at(static_cast<std::size_t>(verdict)); }

std::string quoted(std::string_view text) {
  fmt::memory_buffer out;
  append_json_string(out, text);
  return fmt::to_string(out);
}

}  // namespace

bool Report::bad() const {
  return std::any_of(findings_.begin(), findings_.end(),
                     [](const Finding& finding) { return finding.verdict == Verdict::kBad; });
}

std::string Report::table(bool color) const {
  std::string out;
  std::string_view name;
  std::array<std::size_t, kLooks.size()> counts{};
  for (const Finding& finding : findings_) {
    const Look& look = look_of(finding.verdict);
    ++counts.at(static_cast<std::size_t>(finding.verdict));
    if (finding.name != name) out += fmt::format("{}\n", finding.name);
    name = finding.name;
    out += fmt::format("  {}{:4}{} {:<11} {}\n", color ? look.color : "", look.word,
                       color ? "\x1b[0m" : "", finding.layer, finding.text);
    constexpr std::string_view kIndent = "                   ";
    if (!finding.effect.empty()) out += fmt::format("{}browsers: {}\n", kIndent, finding.effect);
    if (!finding.remedy.empty()) out += fmt::format("{}remedy: {}\n", kIndent, finding.remedy);
  }
  return out + fmt::format("{} ok, {} to look at, {} red\n", counts[0], counts[1], counts[2]);
}

std::string Report::json() const {
  std::string out = "[";
  for (const Finding& finding : findings_) {
    out += fmt::format("{}\n  {{\"verdict\": {}, \"layer\": {}, \"name\": {}, \"text\": {}, ",
                       out.size() > 1 ? "," : "", quoted(look_of(finding.verdict).word_json),
                       quoted(finding.layer), quoted(finding.name), quoted(finding.text));
    out += fmt::format("\"effect\": {}, \"remedy\": {}}}", quoted(finding.effect),
                       quoted(finding.remedy));
  }
  return out + "\n]\n";
}

}  // namespace postern::cli
