#include "http/h1_fields.h"

#include "http/h1_text.h"

namespace postern::http::h1 {
namespace {

std::string_view name_problem(char c, bool first) {
  if (is_blank(c)) {
    // RFC 9112 sections 2.2 and 5.2; between name and colon: section 5.1
    return first ? "folded line or white space before the first field"
                 : "white space in or behind a field name";
  }
  if (c == ':') return "empty field name";
  if (c == '\n') return "bare LF";
  if (c == '\r') return "line without a colon";
  return "byte that no field name has";
}

std::string_view value_problem(char c) {
  if (c == '\n') return "bare LF";
  if (c == '\r') return "bare CR";
  return c == '\0' ? "NUL in a field value" : "control in a field value";
}

}  // namespace

void FieldSection::start(std::size_t offset, std::size_t fields_max) {
  lines_.clear();
  fields_max_ = fields_max;
  line_ = at_ = offset;
  part_ = Part::kName;
  fault_ = {};
}

Progress FieldSection::refuse(std::string_view reason, std::uint16_t status) {
  fault_ = {status, reason};
  return Progress::kFault;
}

Progress FieldSection::read(std::string_view text) {
  if (fault_.status != 0) return Progress::kFault;
  while (at_ < text.size()) {
    if (part_ == Part::kName) {
      if (at_ == line_ && read_line(text)) continue;
      if (text[line_] == '\r') return read_last_line(text);
      if (read_name(text) == Progress::kFault) return Progress::kFault;
    } else {
      const Progress progress = read_value(text);
      if (progress != Progress::kDone) return progress;
    }
  }
  return Progress::kMore;
}

// A line that is here whole and has no fault, which is nearly every one. Otherwise false, and
// nothing has changed.
bool FieldSection::read_line(std::string_view text) {
  const char* const bytes = text.data();
  const std::size_t colon = skip_token(text, line_);
  if (colon == line_ || colon == text.size() || bytes[colon] != ':') return false;
  const std::size_t end = skip_value(text, colon + 1);
  if (text.size() - end < 2 || bytes[end] != '\r' || bytes[end + 1] != '\n') return false;
  if (lines_.size() == fields_max_) return false;
  add_line(bytes, colon, end);
  return true;
}

// Of the line under way, with its CR at `end`; the next one begins.
void FieldSection::add_line(const char* bytes, std::size_t colon, std::size_t end) {
  const std::size_t next = end + 2;
  std::size_t begin = colon + 1;
  while (begin < end && is_blank(bytes[begin])) ++begin;
  while (end > begin && is_blank(bytes[end - 1])) --end;
  lines_.push_back({static_cast<std::uint32_t>(line_), static_cast<std::uint32_t>(colon - line_),
                    static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end - begin)});
  line_ = at_ = next;
  part_ = Part::kName;
}

Progress FieldSection::read_name(std::string_view text) {
  at_ = skip_token(text, at_);
  if (at_ == text.size()) return Progress::kMore;
  if (text[at_] != ':' || at_ == line_) return refuse(name_problem(text[at_], at_ == line_));
  colon_ = at_;
  part_ = Part::kValue;
  ++at_;
  return Progress::kDone;
}

// Up to the end of the line.
Progress FieldSection::read_value(std::string_view text) {
  at_ = skip_value(text, at_);
  if (at_ == text.size()) return Progress::kMore;
  if (text[at_] != '\r') return refuse(value_problem(text[at_]));
  if (at_ + 1 == text.size()) return Progress::kMore;
  if (text[at_ + 1] != '\n') return refuse(value_problem('\r'));
  if (lines_.size() == fields_max_) return refuse(kTooManyFields, 431);
  add_line(text.data(), colon_, at_);
  return Progress::kDone;
}

Progress FieldSection::read_last_line(std::string_view text) {
  if (line_ + 1 == text.size()) return Progress::kMore;
  if (text[line_ + 1] != '\n') return refuse(value_problem('\r'));
  at_ = line_ + 2;
  return Progress::kDone;
}

}  // namespace postern::http::h1
