// Master file text to entries: the tokens of one record or directive, whatever lines it spans
// (RFC 1035 section 5.1: parentheses, quotes, escapes, comments). Nothing is copied: tokens point
// into the text. CRLF, a UTF-8 byte order mark and a missing final newline are accepted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern::dns {

struct TextPosition {
  std::uint32_t line = 1;
  std::uint32_t column = 1;  ///< in bytes
};

struct ZoneToken {
  std::string_view text;  ///< as written, escapes kept; of a quoted token what is in the quotes
  bool quoted = false;
  TextPosition position;
};

struct ZoneEntry {
  std::vector<ZoneToken> tokens;
  bool indented = false;  ///< begins with a blank: the owner is the one before
  std::string fault;      ///< not empty: the text is broken at fault_position
  TextPosition fault_position;
};

class ZoneLexer {
 public:
  explicit ZoneLexer(std::string_view text);

  /// The next entry that is not empty; false at the end of the text. After a fault it goes on with
  /// the next line.
  bool next(ZoneEntry* entry);

 private:
  TextPosition position() const;
  void skip_line();
  void take_token(ZoneEntry* entry);
  void take_quoted(ZoneEntry* entry);
  bool take_quotes_in_token();
  void fault(ZoneEntry* entry, TextPosition where, std::string text);

  const char* at_;
  const char* end_;
  const char* line_start_;
  std::uint32_t line_ = 1;
};

}  // namespace postern::dns
