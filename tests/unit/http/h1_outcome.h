// Everything a reader says of its input, as values that can be compared; and the ways in which
// input can arrive: whole, byte by byte, split at every position. All have to come to the same.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "http/h1_body.h"
#include "http/h1_request.h"
#include "http/h1_response.h"

namespace postern::http::h1 {

using FieldTexts = std::vector<std::pair<std::string, std::string>>;

inline FieldTexts texts_of(const Fields& fields) {
  FieldTexts texts;
  for (const Field& field : fields) texts.emplace_back(field.name, field.value);
  return texts;
}

/// What a reader of heads said; what does not belong to its kind of head stays empty.
struct HeadOutcome {
  Progress progress = Progress::kMore;
  unsigned fault = 0;
  std::string reason;
  std::size_t consumed = 0;
  std::string method, scheme, authority, path, protocol;
  unsigned status = 0;
  FieldTexts fields;
  BodyLength::Kind body = BodyLength::Kind::kNone;
  std::uint64_t body_bytes = 0;
  unsigned minor_version = 0;
  bool keep_alive = false;
  bool expects_continue = false;

  friend bool operator==(const HeadOutcome&, const HeadOutcome&) = default;
};

/// Copies of the first `size` bytes in memory of their own: a head must not refer to an old one.
class GrowingInput {
 public:
  explicit GrowingInput(std::string_view text) : text_(text) {}
  Bytes first(std::size_t size) {
    auto moved = std::make_unique<std::uint8_t[]>(size);
    std::copy_n(text_.begin(), size, moved.get());
    bytes_ = std::move(moved);
    return {bytes_.get(), size};
  }

 private:
  std::string_view text_;
  std::unique_ptr<std::uint8_t[]> bytes_;
};

template <class Reader>
void take_common(const Reader& reader, Progress progress, const Fields& fields, HeadOutcome* out) {
  out->progress = progress;
  out->fault = reader.fault().status;
  out->reason = reader.fault().reason;
  if (progress != Progress::kDone) return;
  out->consumed = reader.consumed();
  out->fields = texts_of(fields);
  out->body = reader.body().kind;
  out->body_bytes = reader.body().bytes;
  out->minor_version = reader.minor_version();
  out->keep_alive = reader.keep_alive();
}

/// `sizes`: how much of the text is there at each call.
inline HeadOutcome read_request_at(std::string_view text, const std::vector<std::size_t>& sizes,
                                   const HeadLimits& limits) {
  RequestReader reader(limits);
  RequestHead head;
  GrowingInput input(text);
  HeadOutcome out;
  for (const std::size_t size : sizes) {
    const Progress progress = reader.read(input.first(size), &head);
    take_common(reader, progress, head.fields, &out);
    if (progress == Progress::kMore) continue;
    if (progress == Progress::kDone) {
      out.method = head.method;
      out.scheme = head.scheme;
      out.authority = head.authority;
      out.path = head.path;
      out.protocol = head.protocol;
      out.expects_continue = reader.expects_continue();
    }
    break;
  }
  return out;
}

inline HeadOutcome read_response_at(std::string_view text, const std::vector<std::size_t>& sizes,
                                    const HeadLimits& limits, bool to_head) {
  ResponseReader reader(limits);
  reader.start(to_head);
  ResponseHead head;
  GrowingInput input(text);
  HeadOutcome out;
  for (const std::size_t size : sizes) {
    const Progress progress = reader.read(input.first(size), &head);
    take_common(reader, progress, head.fields, &out);
    if (progress == Progress::kMore) continue;
    if (progress == Progress::kDone) {
      out.status = head.status;
      out.protocol = head.protocol;
    }
    break;
  }
  return out;
}

/// Splits more positions than a long text is worth: every one of a short text, some of a long one.
inline std::size_t split_step(std::string_view text) { return text.size() / 2000 + 1; }

/// `read(sizes)` in all ways; checks that they agree.
template <class Read>
HeadOutcome read_all_ways(std::string_view text, Read read) {
  INFO("input: ", std::string(text.substr(0, 300)));
  HeadOutcome whole = read(std::vector<std::size_t>{text.size()});
  std::vector<std::size_t> every;
  for (std::size_t i = 1; i <= text.size(); i += split_step(text)) every.push_back(i);
  every.push_back(text.size());
  CHECK((read(every) == whole));
  for (std::size_t i = 0; i < text.size(); i += split_step(text)) {
    INFO("split at ", i);
    CHECK((read(std::vector<std::size_t>{i, text.size()}) == whole));
  }
  return whole;
}

inline HeadOutcome read_request(std::string_view text, const HeadLimits& limits = {}) {
  return read_all_ways(text, [&](const std::vector<std::size_t>& sizes) {
    return read_request_at(text, sizes, limits);
  });
}

inline HeadOutcome read_response(std::string_view text, bool to_head = false,
                                 const HeadLimits& limits = {}) {
  return read_all_ways(text, [&](const std::vector<std::size_t>& sizes) {
    return read_response_at(text, sizes, limits, to_head);
  });
}

struct BodyOutcome {
  Progress progress = Progress::kMore;
  unsigned fault = 0;
  std::string reason;
  std::string payload;
  std::size_t consumed = 0;
  FieldTexts trailers;

  friend bool operator==(const BodyOutcome&, const BodyOutcome&) = default;
};

/// Feeds `text` in pieces that end at these offsets.
inline BodyOutcome read_body_at(std::string_view text, const std::vector<std::size_t>& ends,
                                BodyLength length, const BodyLimits& limits) {
  BodyReader reader(limits);
  reader.start(length);
  BodyOutcome out;
  if (reader.done()) out.progress = Progress::kDone;
  std::size_t from = 0;
  for (const std::size_t end : ends) {
    const std::string copy(text.substr(from, end - from));
    std::string_view left = copy;
    while (!left.empty() && out.progress == Progress::kMore) {
      const BodyPiece piece = reader.feed(as_bytes(left));
      REQUIRE(piece.consumed <= left.size());
      REQUIRE((piece.consumed > 0 || piece.progress != Progress::kMore));
      out.payload += as_text(piece.payload);
      out.progress = piece.progress;
      if (piece.progress != Progress::kFault) out.consumed += piece.consumed;
      left.remove_prefix(piece.consumed);
    }
    from = end;
  }
  out.fault = reader.fault().status;
  out.reason = reader.fault().reason;
  if (out.progress == Progress::kFault) out.consumed = 0;
  out.trailers = texts_of(reader.trailers());
  return out;
}

inline BodyOutcome read_body(std::string_view text, BodyLength length,
                             const BodyLimits& limits = {}) {
  INFO("input: ", std::string(text.substr(0, 300)));
  BodyOutcome whole = read_body_at(text, {text.size()}, length, limits);
  std::vector<std::size_t> every;
  for (std::size_t i = 1; i <= text.size(); ++i) every.push_back(i);
  CHECK((read_body_at(text, every, length, limits) == whole));
  for (std::size_t i = 0; i < text.size(); i += split_step(text)) {
    INFO("split at ", i);
    CHECK((read_body_at(text, {i, text.size()}, length, limits) == whole));
  }
  return whole;
}

inline BodyOutcome read_chunked(std::string_view text, const BodyLimits& limits = {}) {
  return read_body(text, {BodyLength::Kind::kUnknown, 0}, limits);
}

}  // namespace postern::http::h1
