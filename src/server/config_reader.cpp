#include "server/config_reader.h"

#include <algorithm>
#include <tuple>

namespace postern::server {
namespace {

std::string quoted(std::span<const std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) {
    text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", word);
  }
  return text;
}

bool is_array_of_tables(const Node& node) {
  return node.kind == Node::Kind::kArray && !node.items.empty() &&
         std::all_of(node.items.begin(), node.items.end(),
                     [](const Node& item) { return item.kind == Node::Kind::kTable; });
}

}  // namespace

std::uint32_t Reader::add_file(std::string file) {
  files_.push_back(std::move(file));
  return static_cast<std::uint32_t>(files_.size() - 1);
}

std::string Reader::place_text(const Place& place) const {
  return fmt::format("{}:{}:{}", files_[place.file], place.line, place.column);
}

std::string Reader::line_text(const Place& place) const {
  return fmt::format("{}:{}", files_[place.file], place.line);
}

void Reader::error(const Place& place, std::string text) {
  ++error_count_;
  if (problems_.size() >= kProblemsMax) return;
  problems_.push_back(
      {place.file, {files_[place.file], place.line, place.column, std::move(text), false}});
}

void Reader::warning(const Place& place, std::string text) {
  if (problems_.size() >= kProblemsMax) return;
  problems_.push_back(
      {place.file, {files_[place.file], place.line, place.column, std::move(text), true}});
}

std::vector<ConfigProblem> Reader::take_problems() {
  std::stable_sort(problems_.begin(), problems_.end(), [](const Found& a, const Found& b) {
    return std::tie(a.file_order, a.problem.line, a.problem.column) <
           std::tie(b.file_order, b.problem.line, b.problem.column);
  });
  std::vector<ConfigProblem> sorted;
  sorted.reserve(problems_.size());
  for (Found& found : problems_) sorted.push_back(std::move(found.problem));
  problems_.clear();
  return sorted;
}

void Reader::wrong_type(const Node& node, std::string_view wanted) {
  error(node.place, fmt::format("{} is {}; write {}", path_, kind_text(node.kind), wanted));
}

void Reader::given_twice(const Node& entry, const Place& first) {
  error(entry.place, fmt::format("{}: '{}' is given twice, first at {}; keep one of them", path_,
                                 entry.text, place_text(first)));
}

void Reader::unknown_key(const Member& member, std::span<const std::string_view> known) {
  const std::string_view near = nearest_word(member.key, known);
  const std::string where = path_.empty() ? "" : " in " + path_;
  error(member.place, near.empty() ? fmt::format("unknown key '{}'{}; allowed: {}", member.key,
                                                 where, fmt::join(known, ", "))
                                   : fmt::format("unknown key '{}'{}; did you mean '{}'?",
                                                 member.key, where, near));
}

bool Reader::first_time(const Member& member) {
  if (path_ == "include") return true;  // of each file its own
  if (in_element_ || member.value.kind == Node::Kind::kTable || is_array_of_tables(member.value)) {
    return true;
  }
  const auto [at, added] = first_.try_emplace(path_, member.place);
  if (added) return true;
  error(member.place, fmt::format("{} is given twice, first at {}; keep one of them", path_,
                                  place_text(at->second)));
  return false;
}

void Reader::say(std::string type, std::string allowed, std::string fallback) {
  if (facts_->empty() || !facts_->back().type.empty()) return;
  facts_->back().type = std::move(type);
  facts_->back().allowed = std::move(allowed);
  facts_->back().fallback = std::move(fallback);
}

void Reader::say_list(std::string_view fallback) {
  facts_->back().type = "list of " + facts_->back().type;
  facts_->back().fallback = fmt::format("[{}]", fallback);
}

Reader::Within::Within(Reader& reader, std::string_view key)
    : reader_(reader), path_size_(reader.path_.size()), in_element_(reader.in_element_) {
  if (!reader.path_.empty()) reader.path_ += '.';
  reader.path_ += key;
}

Reader::Within::Within(Reader& reader)
    : reader_(reader), path_size_(reader.path_.size()), in_element_(reader.in_element_) {
  reader.in_element_ = true;
}

Reader::Within::~Within() {
  reader_.path_.resize(path_size_);
  reader_.in_element_ = in_element_;
}

bool read_text(Reader& reader, const Node& node, std::string* out) {
  if (reader.listing()) {
    reader.say("text", {}, value_text(*out));
    return false;
  }
  if (node.kind != Node::Kind::kString) {
    reader.wrong_type(node, "a string in quotes");
    return false;
  }
  *out = node.text;
  return true;
}

bool read_boolean(Reader& reader, const Node& node, bool* out) {
  if (reader.listing()) {
    reader.say("boolean", {}, *out ? "true" : "false");
    return false;
  }
  if (node.kind != Node::Kind::kBoolean) {
    reader.wrong_type(node, "true or false, without quotes");
    return false;
  }
  *out = node.boolean;
  return true;
}

bool read_integer(Reader& reader, const Node& node, std::int64_t least, std::int64_t most,
                  std::int64_t* out) {
  if (reader.listing()) {
    reader.say("integer", fmt::format("{} to {}", least, most), fmt::format("{}", *out));
    return false;
  }
  if (node.kind != Node::Kind::kInteger) {
    reader.wrong_type(node, fmt::format("an integer from {} to {}, without quotes", least, most));
    return false;
  }
  if (node.integer < least || node.integer > most) {
    reader.error(node.place, fmt::format("{}: {} is out of range; allowed: {} to {}", reader.path(),
                                         node.integer, least, most));
    return false;
  }
  *out = node.integer;
  return true;
}

bool read_duration(Reader& reader, const Node& node, std::uint64_t least_ms, std::uint64_t most_ms,
                   std::uint64_t* out) {
  if (reader.listing()) {
    reader.say("duration",
               fmt::format("\"{}\" to \"{}\"", duration_text(least_ms), duration_text(most_ms)),
               fmt::format("\"{}\"", duration_text(*out)));
    return false;
  }
  if (node.kind != Node::Kind::kString) {
    reader.wrong_type(node, "a duration in quotes, like \"30s\" or \"5m\"");
    return false;
  }
  const auto value = parse_duration(node.text);
  if (!value) {
    reader.error(node.place, fmt::format("{}: {}", reader.path(), value.error().detail));
    return false;
  }
  if (*value < least_ms || *value > most_ms) {
    reader.error(node.place,
                 fmt::format("{}: '{}' is out of range; allowed: \"{}\" to \"{}\"", reader.path(),
                             node.text, duration_text(least_ms), duration_text(most_ms)));
    return false;
  }
  *out = *value;
  return true;
}

bool read_bytes(Reader& reader, const Node& node, std::uint64_t least, std::uint64_t most,
                std::uint64_t* out) {
  if (reader.listing()) {
    reader.say("size", fmt::format("\"{}\" to \"{}\"", size_text(least), size_text(most)),
               fmt::format("\"{}\"", size_text(*out)));
    return false;
  }
  if (node.kind != Node::Kind::kString) {
    reader.wrong_type(node, "a size in quotes, like \"64MiB\"");
    return false;
  }
  const auto value = parse_size(node.text);
  if (!value) {
    reader.error(node.place, fmt::format("{}: {}", reader.path(), value.error().detail));
    return false;
  }
  if (*value < least || *value > most) {
    reader.error(node.place,
                 fmt::format("{}: '{}' is out of range; allowed: \"{}\" to \"{}\"", reader.path(),
                             node.text, size_text(least), size_text(most)));
    return false;
  }
  *out = *value;
  return true;
}

bool read_choice(Reader& reader, const Node& node, std::span<const std::string_view> words,
                 std::size_t* index) {
  if (reader.listing()) {
    reader.say("choice", quoted(words), fmt::format("\"{}\"", words[*index]));
    return false;
  }
  if (node.kind != Node::Kind::kString) {
    reader.wrong_type(node, fmt::format("one of {}", quoted(words)));
    return false;
  }
  const auto found = std::find(words.begin(), words.end(), node.text);
  if (found == words.end()) {
    const std::string_view near = nearest_word(node.text, words);
    reader.error(node.place,
                 fmt::format("{}: no such choice '{}'; allowed: {}{}", reader.path(), node.text,
                             quoted(words),
                             near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
    return false;
  }
  *index = static_cast<std::size_t>(found - words.begin());
  return true;
}

bool read_pairs(Reader& reader, const Node& node, std::vector<http::HeaderValue>* out) {
  if (reader.listing()) {
    reader.say("table of text", {}, "{}");
    return false;
  }
  if (node.kind != Node::Kind::kTable) {
    reader.wrong_type(node, "a table { name = \"value\" }");
    return false;
  }
  out->clear();
  for (const Member& member : node.members) {
    const Reader::Within within(reader, member.key);
    http::HeaderValue pair{member.key, {}};
    if (read_text(reader, member.value, &pair.value)) out->push_back(std::move(pair));
  }
  return true;
}

}  // namespace postern::server
