#include "http/h1_request.h"

#include <algorithm>

#include "http/authority.h"
#include "http/h1_target.h"
#include "http/h1_text.h"

namespace postern::http::h1 {
namespace {

constexpr std::string_view kVersionStart = "HTTP/";
constexpr std::size_t kVersionSize = 8;  // "HTTP/1.1"

bool is_version(std::string_view text) {
  return text.size() == kVersionSize && text.starts_with(kVersionStart) && is_digit(text[5]) &&
         text[6] == '.' && is_digit(text[7]);
}

std::string_view line_problem(char c) {
  if (c == '\n') return "bare LF";
  if (c == '\r') return "bare CR";
  return is_control(c) ? "control in the request line" : "non-ASCII in the request line";
}

}  // namespace

RequestReader::RequestReader(const HeadLimits& limits) : limits_(limits) { start(); }

void RequestReader::start() {
  part_ = Part::kBegin;
  minor_version_ = 1;
  expects_continue_ = false;
  line_ = at_ = method_size_ = target_size_ = 0;
  framing_.clear();
  body_ = {};
  fault_ = {};
}

Progress RequestReader::refuse(Fault fault) {
  fault_ = fault;
  part_ = Part::kFault;
  return Progress::kFault;
}

Progress RequestReader::read(Bytes input, RequestHead* head) {
  if (part_ == Part::kFault) return Progress::kFault;
  if (part_ == Part::kDone) return Progress::kDone;
  const std::string_view text =
      as_text(input.first(std::min(input.size(), limits_.header_bytes_max)));
  Progress progress = Progress::kDone;
  if (part_ == Part::kBegin) progress = begin(text);
  if (part_ == Part::kLine) progress = read_line(text);
  if (part_ == Part::kFields) progress = read_fields(text);
  return progress == Progress::kDone ? finish(text, head) : progress;
}

// One empty line may stand before a request (RFC 9112 section 2.2).
Progress RequestReader::begin(std::string_view text) {
  if (text.empty()) return Progress::kMore;
  if (text[0] == '\r') {
    if (text.size() == 1) return Progress::kMore;
    if (text[1] != '\n') return refuse({400, line_problem('\r')});
    line_ = 2;
  }
  at_ = line_;
  part_ = Part::kLine;
  return Progress::kMore;
}

Progress RequestReader::read_line(std::string_view text) {
  const std::size_t line_end_max = line_ + limits_.request_line_bytes_max + 2;  // with CRLF
  const std::size_t window_max = std::min(line_end_max, limits_.header_bytes_max);
  const std::string_view window = text.substr(0, window_max);
  at_ = skip_ascii(window, at_);
  const bool ends = at_ + 1 < window.size();
  if (at_ == window.size() || (window[at_] == '\r' && !ends)) {
    if (window.size() < window_max) return Progress::kMore;
    return refuse({414, "request line too long"});
  }
  if (window[at_] != '\r') return refuse({400, line_problem(window[at_])});
  if (window[at_ + 1] != '\n') return refuse({400, line_problem('\r')});
  return parse_line(text.substr(line_, at_ - line_));
}

// method SP request-target SP HTTP-version (RFC 9112 section 3)
Progress RequestReader::parse_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) {
    return refuse({400, line.empty() ? "empty request line" : "malformed request line"});
  }
  const std::string_view version = line.substr(second + 1);
  if (!is_token(line.substr(0, first)) || second == first + 1 || !is_version(version)) {
    return refuse({400, "malformed request line"});
  }
  if (version[5] != '1' || version[7] > '1')
    return refuse({505, "HTTP version other than 1.0 and 1.1"});
  minor_version_ = version[7] == '1' ? 1 : 0;
  method_size_ = first;
  target_size_ = second - first - 1;
  fields_.start(at_ + 2, limits_.fields_max);
  part_ = Part::kFields;
  return Progress::kMore;
}

Progress RequestReader::read_fields(std::string_view text) {
  const Progress progress = fields_.read(text);
  if (progress == Progress::kFault) return refuse(fields_.fault());
  if (progress == Progress::kMore && text.size() == limits_.header_bytes_max) {
    return refuse({431, kHeadTooLong});
  }
  return progress;
}

Progress RequestReader::finish(std::string_view text, RequestHead* head) {
  head->clear();
  head->method = text.substr(line_, method_size_);
  const std::string_view wrong =
      parse_target(text.substr(line_ + method_size_ + 1, target_size_), head);
  if (!wrong.empty()) return refuse({400, wrong});
  if (take_fields(text, head) == Progress::kFault) return Progress::kFault;
  const Fault fault = framing_.problem(minor_version_);
  if (fault.status != 0) return refuse(fault);
  if (framing_.has_coding()) {
    body_ = {BodyLength::Kind::kUnknown, 0};
  } else if (framing_.has_length()) {
    body_ = {BodyLength::Kind::kKnown, framing_.length()};
  }
  const bool has_body = framing_.has_coding() || framing_.length() != 0;
  // HTTP/1.0 has neither (RFC 9110 sections 7.8 and 10.1.1).
  expects_continue_ = expects_continue_ && has_body && minor_version_ == 1;
  if (minor_version_ == 1) head->protocol = framing_.upgrade();
  part_ = Part::kDone;
  return Progress::kDone;
}

// All fields but those of which the head or the body's length tells.
Progress RequestReader::take_fields(std::string_view text, RequestHead* head) {
  unsigned hosts = 0;
  std::string_view host;
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const Field field = fields_.field(text, i);
    const KnownField known = known_field(field.name);
    framing_.note(known, field.value);
    switch (known) {
      case KnownField::kHost:
        ++hosts;
        host = field.value;
        break;
      case KnownField::kExpect:
        expects_continue_ = expects_continue_ || has_token(field.value, "100-continue");
        [[fallthrough]];
      case KnownField::kConnection:
      case KnownField::kOther:
        head->fields.add(field.name, field.value);
        break;
      default:
        break;
    }
  }
  return take_host(hosts, host, head);
}

// Exactly one Host, which HTTP/1.0 may leave out (RFC 9112 section 3.2); it has to be valid even
// where an absolute target overrules it (section 3.2.2).
Progress RequestReader::take_host(unsigned hosts, std::string_view host, RequestHead* head) {
  if (hosts > 1) return refuse({400, "several Host lines"});
  if (hosts == 0) {
    return minor_version_ == 0 ? Progress::kDone : refuse({400, "no Host"});
  }
  const auto authority = parse_authority(host);
  if (!authority) return refuse({400, "bad Host"});
  if (head->authority.empty()) head->authority = authority->text;
  return Progress::kDone;
}

}  // namespace postern::http::h1
