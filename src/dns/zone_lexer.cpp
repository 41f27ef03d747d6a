#include "dns/zone_lexer.h"

#include <array>
#include <cstring>

namespace postern::dns {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// Characters that end a token that is not quoted.
constexpr std::array<bool, 256> make_delimiters() {
  std::array<bool, 256> table{};
  for (const char c : {' ', '\t', '\r', '\n', ';', '(', ')', '\0'}) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}

constexpr std::array<bool, 256> kDelimiters = make_delimiters();

bool is_delimiter(char c) { return kDelimiters[static_cast<unsigned char>(c)]; }

}  // namespace

ZoneLexer::ZoneLexer(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  at_ = line_start_ = text.data();
  end_ = text.data() + text.size();
}

TextPosition ZoneLexer::position() const {
  return {line_, static_cast<std::uint32_t>(at_ - line_start_) + 1};
}

void ZoneLexer::skip_line() {
  const void* newline =
      at_ == end_ ? nullptr : std::memchr(at_, '\n', static_cast<std::size_t>(end_ - at_));
  at_ = newline == nullptr ? end_ : static_cast<const char*>(newline);
}

void ZoneLexer::fault(ZoneEntry* entry, TextPosition where, std::string text) {
  if (!entry->fault.empty()) return;
  entry->fault = std::move(text);
  entry->fault_position = where;
}

// REQUIRES: *at_ == '"'. Leaves at_ behind the closing quote; false when the line ends before it.
bool ZoneLexer::take_quotes_in_token() {
  for (++at_; at_ < end_ && *at_ != '\n'; ++at_) {
    if (*at_ == '"') {
      ++at_;
      return true;
    }
    if (*at_ == '\\' && at_ + 1 < end_ && at_[1] != '\n') ++at_;
  }
  return false;
}

void ZoneLexer::take_quoted(ZoneEntry* entry) {
  const TextPosition start = position();
  const char* begin = at_ + 1;
  if (!take_quotes_in_token()) {
    fault(entry, start, "a quoted string has no closing quote in its line");
    return;
  }
  const auto size = static_cast<std::size_t>(at_ - 1 - begin);
  entry->tokens.push_back({std::string_view(begin, size), true, start});
}

void ZoneLexer::take_token(ZoneEntry* entry) {
  const TextPosition start = position();
  const char* begin = at_;
  while (at_ < end_ && !is_delimiter(*at_)) {
    if (*at_ == '\\' && at_ + 1 < end_ && at_[1] != '\n') {
      at_ += 2;
    } else if (*at_ == '"' && at_ > begin && at_[-1] == '=') {  // key="value", RFC 9460
      if (take_quotes_in_token()) continue;
      fault(entry, start, "a quoted value has no closing quote in its line");
      return;
    } else {
      ++at_;
    }
  }
  const auto size = static_cast<std::size_t>(at_ - begin);
  entry->tokens.push_back({std::string_view(begin, size), false, start});
}

bool ZoneLexer::next(ZoneEntry* entry) {
  entry->tokens.clear();
  entry->fault.clear();
  entry->indented = false;
  int depth = 0;
  TextPosition opened;
  while (at_ < end_) {
    switch (*at_) {
      case '\n':
        ++at_;
        ++line_;
        line_start_ = at_;
        if (depth == 0) {
          if (!entry->tokens.empty() || !entry->fault.empty()) return true;
          entry->indented = false;
        }
        break;
      case ' ':
      case '\t':
        if (at_ == line_start_ && depth == 0) entry->indented = true;
        ++at_;
        break;
      case '\r':
        ++at_;
        break;
      case ';':
        skip_line();
        break;
      case '(':
        if (depth == 0) opened = position();
        if (at_ == line_start_ && depth == 0) entry->indented = true;
        ++depth;
        ++at_;
        break;
      case ')':
        if (depth == 0) fault(entry, position(), "a closing parenthesis without an opening one");
        if (depth > 0) --depth;
        ++at_;
        break;
      case '"':
        take_quoted(entry);
        break;
      case '\0':
        fault(entry, position(), "a NUL byte; a zone is text in ASCII or UTF-8");
        break;
      default:
        take_token(entry);
    }
    if (!entry->fault.empty()) {
      depth = 0;
      skip_line();
    }
  }
  if (depth > 0) fault(entry, opened, "an opening parenthesis is never closed");
  return !entry->tokens.empty() || !entry->fault.empty();
}

}  // namespace postern::dns
