#include "http/h1_chunked.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "http/h1_text.h"

namespace postern::http::h1 {
namespace {

constexpr unsigned kSizeDigitsMax = 16;
constexpr std::uint64_t kSizeMax = INT64_MAX;

constexpr std::array<std::string_view, 42> kForbiddenTrailers{"accept-encoding",
                                                              "age",
                                                              "alt-svc",
                                                              "authorization",
                                                              "cache-control",
                                                              "connection",
                                                              "content-encoding",
                                                              "content-length",
                                                              "content-range",
                                                              "content-type",
                                                              "cookie",
                                                              "date",
                                                              "expect",
                                                              "expires",
                                                              "forwarded",
                                                              "host",
                                                              "if-match",
                                                              "if-modified-since",
                                                              "if-none-match",
                                                              "if-range",
                                                              "if-unmodified-since",
                                                              "keep-alive",
                                                              "location",
                                                              "max-forwards",
                                                              "pragma",
                                                              "proxy-authenticate",
                                                              "proxy-authorization",
                                                              "proxy-connection",
                                                              "range",
                                                              "retry-after",
                                                              "set-cookie",
                                                              "te",
                                                              "trailer",
                                                              "transfer-encoding",
                                                              "upgrade",
                                                              "vary",
                                                              "via",
                                                              "warning",
                                                              "www-authenticate",
                                                              "x-forwarded-for",
                                                              "x-forwarded-host",
                                                              "x-forwarded-proto"};

}  // namespace

bool is_forbidden_trailer(std::string_view name) {
  return std::any_of(kForbiddenTrailers.begin(), kForbiddenTrailers.end(),
                     [name](std::string_view forbidden) { return is_named(name, forbidden); });
}

void ChunkedReader::start() {
  part_ = Part::kSizeStart;
  digits_ = 0;
  left_ = 0;
  extension_ = excess_ = 0;
  trailer_text_.clear();
  trailers_.clear();
  fault_ = {};
}

bool ChunkedReader::refuse(std::string_view reason, std::uint16_t status) {
  fault_ = {status, reason};
  part_ = Part::kFault;
  return false;
}

BodyPiece ChunkedReader::feed(Bytes input) {
  const std::string_view text = as_text(input);
  std::size_t at = 0;
  while (part_ != Part::kDone && part_ != Part::kFault && at < text.size()) {
    if (part_ == Part::kPayload) {
      const std::size_t size = std::min<std::uint64_t>(left_, text.size() - at);
      left_ -= size;
      if (left_ == 0) part_ = Part::kPayloadCr;
      return {Progress::kMore, input.subspan(at, size), at + size};
    }
    if (part_ == Part::kTrailers) {
      const Progress progress = take_trailers(text, &at);
      if (progress != Progress::kMore) return {progress, {}, at};
    } else if (!take_byte(text, &at)) {
      break;
    }
  }
  if (part_ == Part::kFault) return {Progress::kFault, {}, at};
  return {part_ == Part::kDone ? Progress::kDone : Progress::kMore, {}, at};
}

// chunk-size [ chunk-ext ] CRLF and the CRLF behind a chunk; strictly CRLF.
bool ChunkedReader::take_byte(std::string_view text, std::size_t* at) {
  if (part_ == Part::kExtension) return take_extension(text, at);
  const char c = text[(*at)++];
  switch (part_) {
    case Part::kSizeLf:
      if (c != '\n') return refuse("chunk size line does not end in CRLF");
      begin_payload();
      return true;
    case Part::kPayloadCr:
      part_ = Part::kPayloadLf;
      return c == '\r' || refuse("chunk longer than its size");
    case Part::kPayloadLf:
      part_ = Part::kSizeStart;
      return c == '\n' || refuse("chunk does not end in CRLF");
    default:
      return take_size(c);
  }
}

bool ChunkedReader::take_size(char c) {
  const int digit = hex_digit(c);
  if (digit >= 0 && part_ != Part::kBlanks) {
    if (digits_ == kSizeDigitsMax) return refuse("chunk size of too many digits");
    ++digits_;
    left_ = left_ * 16 + static_cast<unsigned>(digit);
    part_ = Part::kSize;
    return left_ <= kSizeMax || refuse("chunk size too large");
  }
  if (part_ == Part::kSizeStart) return refuse("chunk without a size");
  if (is_blank(c)) {
    // Bad white space before an extension has to be taken (RFC 9112 section 7.1.1).
    part_ = Part::kBlanks;
    return ++extension_ <= limits_.chunk_extension_bytes_max || refuse("chunk extension too long");
  }
  if (c == ';') {
    part_ = Part::kExtension;
    return true;
  }
  if (c != '\r' || part_ == Part::kBlanks) return refuse("malformed chunk size");
  part_ = Part::kSizeLf;
  return true;
}

// Extensions are ignored (RFC 9112 section 7.1.1), but they end where the line ends.
bool ChunkedReader::take_extension(std::string_view text, std::size_t* at) {
  const std::size_t end = skip_value(text, *at);
  extension_ += end - *at;
  *at = end;
  if (extension_ > limits_.chunk_extension_bytes_max) return refuse("chunk extension too long");
  if (end == text.size()) return true;
  ++*at;
  if (text[end] != '\r') return refuse("control in a chunk extension");
  part_ = Part::kSizeLf;
  return true;
}

// The size line is complete.
void ChunkedReader::begin_payload() {
  excess_ += extension_;
  excess_ -= std::min<std::uint64_t>(excess_, left_);
  digits_ = 0;
  extension_ = 0;
  if (excess_ > limits_.extension_excess_bytes_max) {
    refuse("too many chunk extensions");
  } else if (left_ != 0) {
    part_ = Part::kPayload;
  } else {
    part_ = Part::kTrailers;
    section_.start(0, limits_.trailers_max);
  }
}

// Line by line, so that nothing behind the trailers is copied with them.
Progress ChunkedReader::take_trailers(std::string_view text, std::size_t* at) {
  const std::size_t line_end = text.find('\n', *at);
  const std::size_t line = (line_end == std::string_view::npos ? text.size() : line_end + 1) - *at;
  const std::size_t size = std::min(line, limits_.trailer_bytes_max - trailer_text_.size());
  const std::string_view piece = text.substr(*at, size);
  trailer_text_.insert(trailer_text_.end(), piece.begin(), piece.end());
  *at += size;
  const Progress progress = section_.read({trailer_text_.data(), trailer_text_.size()});
  if (progress == Progress::kDone) {
    keep_trailers();
    part_ = Part::kDone;
  } else if (progress == Progress::kFault) {
    refuse(section_.fault().reason, section_.fault().status);
  } else if (trailer_text_.size() == limits_.trailer_bytes_max) {
    refuse("trailers too long", 431);
    return Progress::kFault;
  }
  return progress;
}

void ChunkedReader::keep_trailers() {
  const std::string_view text(trailer_text_.data(), trailer_text_.size());
  for (std::size_t i = 0; i < section_.size(); ++i) {
    const Field field = section_.field(text, i);
    if (!is_forbidden_trailer(field.name)) trailers_.add(field.name, field.value);
  }
}

}  // namespace postern::http::h1
