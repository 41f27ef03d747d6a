#include "http/h1_response.h"

#include <algorithm>

#include "http/h1_text.h"

namespace postern::http::h1 {
namespace {

constexpr std::uint16_t kBadGateway = 502;
constexpr std::uint16_t kSwitchingProtocols = 101;
constexpr std::uint16_t kUpgradeRequired = 426;
constexpr std::uint16_t kNoContent = 204;
constexpr std::uint16_t kNotModified = 304;
constexpr std::size_t kVersionSize = 8;     // "HTTP/1.1"
constexpr std::size_t kStatusLineMin = 12;  // "HTTP/1.1 200"

// Three digits, 100 to 599 (RFC 9110 section 15); 0 when it is not.
std::uint16_t parse_status(std::string_view text) {
  if (text[0] < '1' || text[0] > '5' || !is_digit(text[1]) || !is_digit(text[2])) return 0;
  return static_cast<std::uint16_t>((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
}

}  // namespace

ResponseReader::ResponseReader(const HeadLimits& limits) : limits_(limits) { start(false); }

void ResponseReader::start(bool to_head) {
  part_ = Part::kLine;
  to_head_ = to_head;
  keep_alive_ = false;
  minor_version_ = 1;
  status_ = 0;
  at_ = 0;
  framing_.clear();
  body_ = {};
  fault_ = {};
}

Progress ResponseReader::refuse(std::string_view reason) {
  fault_ = {kBadGateway, reason};
  part_ = Part::kFault;
  return Progress::kFault;
}

Progress ResponseReader::read(Bytes input, ResponseHead* head) {
  if (part_ == Part::kFault) return Progress::kFault;
  if (part_ == Part::kDone) return Progress::kDone;
  const std::string_view text =
      as_text(input.first(std::min(input.size(), limits_.header_bytes_max)));
  Progress progress = Progress::kMore;
  if (part_ == Part::kLine) progress = read_line(text);
  if (part_ == Part::kFields) {
    progress = fields_.read(text);
    if (progress == Progress::kFault) return refuse(fields_.fault().reason);
  }
  if (progress == Progress::kMore && text.size() == limits_.header_bytes_max) {
    return refuse(kHeadTooLong);
  }
  return progress == Progress::kDone ? finish(text, head) : progress;
}

Progress ResponseReader::read_line(std::string_view text) {
  at_ = skip_value(text, at_);  // a reason phrase has the bytes of a field value
  if (at_ == text.size()) return Progress::kMore;
  if (text[at_] == '\n') return refuse("line feed without carriage return");
  if (text[at_] != '\r') return refuse("control in the status line");
  if (at_ + 1 == text.size()) return Progress::kMore;
  if (text[at_ + 1] != '\n') return refuse("bare CR");
  return parse_line(text.substr(0, at_));
}

// HTTP-version SP status-code SP [reason-phrase] (RFC 9112 section 4). A space is missing behind
// the code often enough where there is no reason; nothing else could be meant.
Progress ResponseReader::parse_line(std::string_view line) {
  if (line.size() < kStatusLineMin || !line.starts_with("HTTP/") || line[kVersionSize] != ' ' ||
      (line.size() > kStatusLineMin && line[kStatusLineMin] != ' ')) {
    return refuse("malformed status line");
  }
  const std::string_view version = line.substr(5, 3);
  if (version != "1.1" && version != "1.0") return refuse("HTTP version other than 1.0 and 1.1");
  status_ = parse_status(line.substr(kVersionSize + 1, 3));
  if (status_ == 0) return refuse("bad status code");
  minor_version_ = version == "1.1" ? 1 : 0;
  fields_.start(at_ + 2, limits_.fields_max);
  part_ = Part::kFields;
  return Progress::kMore;
}

bool ResponseReader::has_no_body() const {
  return to_head_ || status_ < 200 || status_ == kNoContent || status_ == kNotModified;
}

Progress ResponseReader::finish(std::string_view text, ResponseHead* head) {
  head->clear();
  head->status = status_;
  take_fields(text, head);
  const Fault fault = framing_.problem(minor_version_);
  if (fault.status != 0) return refuse(fault.reason);
  if (status_ == kSwitchingProtocols) {
    head->protocol = framing_.upgrade();  // RFC 9110 section 15.2.2
    if (head->protocol.empty() || minor_version_ == 0) return refuse("101 without an upgrade");
  }
  if (status_ == kUpgradeRequired) head->protocol = framing_.upgrade();
  set_body(has_no_body());
  part_ = Part::kDone;
  return Progress::kDone;
}

void ResponseReader::take_fields(std::string_view text, ResponseHead* head) {
  const bool tells_of_another =
      status_ >= 200 && status_ != kNoContent && (to_head_ || status_ == kNotModified);
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const Field field = fields_.field(text, i);
    const KnownField known = known_field(field.name);
    framing_.note(known, field.value);
    if (known == KnownField::kUpgrade || known == KnownField::kTransferEncoding) continue;
    if (known == KnownField::kContentLength && !tells_of_another) continue;
    head->fields.add(field.name, field.value);
  }
}

// RFC 9112 section 6.3
void ResponseReader::set_body(bool has_none) {
  keep_alive_ = framing_.keep_alive(minor_version_);
  if (has_none) {
    // Neither field may be there (RFC 9112 section 6.1, RFC 9110 section 8.6): who sends one may
    // send a body too, and the next response must not be read from that.
    const bool announces = framing_.has_coding() || framing_.length() != 0;
    if (announces && !to_head_ && status_ != kNotModified) keep_alive_ = false;
  } else if (framing_.has_coding()) {
    body_ = {BodyLength::Kind::kUnknown, 0};
  } else if (framing_.has_length()) {
    body_ = {BodyLength::Kind::kKnown, framing_.length()};
  } else {
    body_ = {BodyLength::Kind::kToClose, 0};
    keep_alive_ = false;
  }
}

}  // namespace postern::http::h1
