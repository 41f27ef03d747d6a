#include "cli/corefile.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <map>
#include <system_error>

#include <fmt/format.h>
#include <fnmatch.h>

namespace postern::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlockDepthMax = 8;
constexpr std::size_t kImportDepthMax = 8;
constexpr std::size_t kLinesMax = 1'000'000;

struct Token {
  std::string text;
  ImportPlace place;
  bool quoted = false;

  bool is(std::string_view word) const { return !quoted && text == word; }
};

Error error_at(const ImportPlace& place, std::string_view what, Code code = Code::kMalformed) {
  return {code, fmt::format("{}: {}", place.to_string(), what)};
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Words, "quoted words" and comments; a '#' begins a comment where a word would.
Result<std::vector<Token>> tokens_of(std::string_view text, const std::string& file) {
  std::vector<Token> tokens;
  std::size_t line = 1;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '\n') ++line;
    if (is_blank(text[i])) {
      ++i;
    } else if (text[i] == '#') {
      while (i < text.size() && text[i] != '\n') ++i;
    } else if (text[i] == '"') {
      Token token{"", {file, line}, true};
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '"') ++i;
        if (text[i] == '\n') ++line;
        token.text += text[i];
      }
      if (i++ >= text.size()) {
        return tl::unexpected(error_at(token.place, "the quoted text does not end"));
      }
      tokens.push_back(std::move(token));
    } else {
      Token token{"", {file, line}, false};
      while (i < text.size() && !is_blank(text[i])) token.text += text[i++];
      tokens.push_back(std::move(token));
    }
  }
  return tokens;
}

/// A line with the number of blocks around it.
struct Line {
  ImportPlace place;
  std::vector<std::string> words;
  std::size_t depth = 0;
  std::size_t imports = 0;  ///< that led to it
};
using Lines = std::vector<Line>;

/// The words from `*at` on to the end of the line or a brace. A comma at the end of the keys of a
/// server block goes on with the next line.
Line read_line(const std::vector<Token>& tokens, std::size_t depth, std::size_t* at) {
  Line line{tokens[*at].place, {}, depth, 0};
  bool goes_on = false;
  while (*at < tokens.size() && (goes_on || tokens[*at].place.line == line.place.line)) {
    const Token& token = tokens[*at];
    if (token.is("{") || token.is("}")) break;
    goes_on = depth == 0 && token.text.ends_with(',');
    if (goes_on) line.place.line = token.place.line;
    line.words.push_back(token.text);
    ++*at;
  }
  return line;
}

Result<Lines> lines_of_tokens(const std::vector<Token>& tokens) {
  Lines lines;
  std::vector<ImportPlace> open;
  for (std::size_t at = 0; at < tokens.size();) {
    const Token& first = tokens[at];
    if (first.is("}") && !open.empty()) {
      open.pop_back();
      ++at;
      continue;
    }
    Line line = read_line(tokens, open.size(), &at);
    if (line.words.empty()) {
      return tl::unexpected(error_at(first.place, fmt::format("unexpected '{}'", first.text)));
    }
    if (at < tokens.size() && tokens[at].is("{")) {
      if (open.size() >= kBlockDepthMax) {
        return tl::unexpected(error_at(first.place, "blocks too deep", Code::kLimit));
      }
      open.push_back(first.place);
      ++at;
    }
    lines.push_back(std::move(line));
  }
  if (!open.empty()) {
    return tl::unexpected(error_at(open.back(), "the block that begins here does not end"));
  }
  return lines;
}

bool is_pattern(std::string_view text) { return text.find_first_of("*?[") != text.npos; }

/// The files that a pattern in the last part of the path stands for, sorted. No such directory:
/// none.
Result<std::vector<std::string>> files_like(const fs::path& path) {
  const std::string pattern = path.filename();
  const fs::path directory = path.parent_path();
  if (is_pattern(directory.string())) {
    return fail(Code::kInvalid,
                fmt::format("{}: a pattern can stand in the name of the file only", path.string()));
  }
  std::vector<std::string> files;
  std::error_code error;
  fs::directory_iterator entry(directory.empty() ? fs::path(".") : directory, error);
  if (error == std::errc::no_such_file_or_directory) return files;
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    std::error_code is_no_file;
    if (::fnmatch(pattern.c_str(), name.c_str(), 0) == 0 && !entry->is_directory(is_no_file)) {
      files.push_back((directory / name).string());
    }
  }
  if (error) return fail(Code::kIo, fmt::format("{}: {}", directory.string(), error.message()));
  std::sort(files.begin(), files.end());
  return files;
}

class Parser {
 public:
  Result<std::vector<CorefileBlock>> read(const std::string& path);

 private:
  Result<Lines> lines_of_file(const std::string& path);
  Result<Lines> lines_of_import(const fs::path& base, const fs::path& path);
  Result<Lines> imported(const Line& line);
  void keep_snippet(const std::string& name);
  Result<void> put(Line line);

  std::map<std::string, Lines> snippets_;
  std::deque<Line> waiting_;  // to be read, in this order
  std::vector<CorefileBlock> blocks_;
  std::size_t files_ = 0, lines_ = 0;
};

Result<Lines> Parser::lines_of_file(const std::string& path) {
  if (++files_ > kImportFilesMax) {
    return fail(Code::kLimit,
                fmt::format("{}: too many files; allowed: {} at most", path, kImportFilesMax));
  }
  auto text = read_import_file(path);
  if (!text) return tl::unexpected(text.error());
  auto tokens = tokens_of(*text, path);
  if (!tokens) return tl::unexpected(tokens.error());
  return lines_of_tokens(*tokens);
}

Result<Lines> Parser::lines_of_import(const fs::path& base, const fs::path& path) {
  if (!is_pattern(path.string())) return lines_of_file((base / path).string());
  if (is_pattern(path.parent_path().string())) {
    return fail(Code::kInvalid,
                fmt::format("{}: a pattern can stand in the name of the file only", path.string()));
  }
  const auto files = files_like(base / path);
  if (!files) return tl::unexpected(files.error());
  Lines lines;
  for (const std::string& file : *files) {
    auto read = lines_of_file(file);
    if (!read) return read;
    lines.insert(lines.end(), read->begin(), read->end());
  }
  return lines;
}

// The lines that an import stands for.
Result<Lines> Parser::imported(const Line& line) {
  if (line.words.size() < 2) {
    return tl::unexpected(error_at(line.place, "import: a file or snippet is wanted"));
  }
  if (line.imports >= kImportDepthMax) {
    return tl::unexpected(
        error_at(line.place, "import: files or snippets import each other", Code::kLimit));
  }
  Lines lines;
  if (const auto snippet = snippets_.find(line.words[1]); snippet != snippets_.end()) {
    lines = snippet->second;
  } else {
    auto read = lines_of_import(fs::path(line.place.file).parent_path(), line.words[1]);
    if (!read) {
      return tl::unexpected(error_at(line.place, fmt::format("import: {}", read.error().detail)));
    }
    lines = std::move(*read);
  }
  for (Line& one : lines) {
    one.depth += line.depth;
    one.imports = line.imports + 1;
  }
  return lines;
}

void Parser::keep_snippet(const std::string& name) {
  Lines& lines = snippets_[name];
  lines.clear();
  while (!waiting_.empty() && waiting_.front().depth > 0) {
    lines.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    --lines.back().depth;
  }
}

Result<void> Parser::put(Line line) {
  if (line.depth == 0) {
    blocks_.push_back({std::move(line.place), std::move(line.words), {}});
  } else if (line.depth == 1) {
    blocks_.back().plugins.push_back({std::move(line.place), std::move(line.words), {}});
  } else if (blocks_.back().plugins.empty()) {
    return tl::unexpected(error_at(line.place, "a block without a plugin"));
  } else {
    blocks_.back().plugins.back().block.push_back({std::move(line.place), std::move(line.words)});
  }
  return {};
}

Result<std::vector<CorefileBlock>> Parser::read(const std::string& path) {
  auto first = lines_of_file(path);
  if (!first) return tl::unexpected(first.error());
  waiting_.assign(first->begin(), first->end());
  while (!waiting_.empty()) {
    Line line = std::move(waiting_.front());
    waiting_.pop_front();
    if (++lines_ > kLinesMax) {
      return tl::unexpected(error_at(line.place, "too many lines", Code::kLimit));
    }
    const std::string& word = line.words[0];
    if (word == "import") {
      const auto lines = imported(line);
      if (!lines) return tl::unexpected(lines.error());
      waiting_.insert(waiting_.begin(), lines->begin(), lines->end());
    } else if (line.depth == 0 && word.size() > 2 && word.starts_with('(') && word.ends_with(')')) {
      keep_snippet(word.substr(1, word.size() - 2));
    } else if (line.depth > 0 && blocks_.empty()) {
      return tl::unexpected(error_at(line.place, "a line outside of a server block"));
    } else if (auto done = put(std::move(line)); !done) {
      return tl::unexpected(done.error());
    }
  }
  return std::move(blocks_);
}

}  // namespace

Result<std::vector<CorefileBlock>> read_corefile(const std::string& path) {
  return Parser().read(path);
}

}  // namespace postern::cli
