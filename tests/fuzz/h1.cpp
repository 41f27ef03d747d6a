#include "h1.h"

#include <algorithm>

namespace postern::fuzz {
namespace {

using http::h1::BodyLimits;
using http::h1::BodyPiece;
using http::h1::BodyReader;
using http::h1::Progress;

struct BodyTexts {
  Progress progress = Progress::kMore;
  unsigned fault = 0;
  std::string reason;
  std::string payload;
  std::size_t consumed = 0;  // 0 with a fault
  FieldTexts trailers;

  friend bool operator==(const BodyTexts&, const BodyTexts&) = default;
};

// Feeds pieces that end at these offsets; the last one is all.
BodyTexts read_body(Bytes input, const std::vector<std::size_t>& ends, http::BodyLength length,
                    const BodyLimits& limits) {
  BodyReader reader(limits);
  reader.start(length);
  BodyTexts out;
  if (reader.done()) out.progress = Progress::kDone;
  std::size_t from = 0;
  for (const std::size_t end : ends) {
    const ExactCopy copy(input.subspan(from, end - from));
    Bytes left = copy.bytes();
    while (!left.empty() && out.progress == Progress::kMore) {
      const BodyPiece piece = reader.feed(left);
      require(piece.consumed <= left.size(), "no more is consumed than there is");
      require(piece.consumed > 0 || piece.progress != Progress::kMore, "every call goes on");
      require(piece.payload.empty() ||
                  (piece.payload.data() >= left.data() &&
                   piece.payload.data() + piece.payload.size() <= left.data() + piece.consumed),
              "payload stands in what was consumed");
      out.payload += as_text(piece.payload);
      out.progress = piece.progress;
      out.consumed += piece.consumed;
      left = left.subspan(piece.consumed);
    }
    from = end;
  }
  if (out.progress == Progress::kFault) out.consumed = 0;
  out.fault = reader.fault().status;
  out.reason = reader.fault().reason;
  out.trailers = texts_of(reader.trailers());
  require((out.progress == Progress::kFault) == (out.fault != 0), "a fault has a status");
  require(out.trailers.size() <= limits.trailers_max, "trailers keep to their limit");
  return out;
}

http::Fields fields_of(const FieldTexts& texts) {
  http::Fields fields;
  for (const auto& [name, value] : texts) fields.add(name, value);
  return fields;
}

// Pieces of 1, 2, 4... bytes as chunks.
std::string write_chunks(const BodyTexts& body) {
  std::string out;
  std::size_t size = 1;
  for (std::size_t at = 0; at < body.payload.size(); at += size, size *= 2) {
    const std::string piece = body.payload.substr(at, size);
    out += http::h1::ChunkSizeLine(piece.size()).text();
    out += piece;
    out += http::h1::kChunkEnd;
  }
  std::vector<std::uint8_t> room(65536);
  const http::h1::Written last = http::h1::write_last_chunk(fields_of(body.trailers), room);
  require(last.status == http::h1::WriteStatus::kWritten, "trailers that were read can be written");
  out += as_text(Bytes(room).first(last.bytes));
  return out;
}

void check_written(const BodyTexts& body) {
  const std::string text = write_chunks(body);
  const BodyTexts again =
      read_body(as_bytes(text), {text.size()}, {http::BodyLength::Kind::kUnknown, 0}, {});
  require(again.progress == Progress::kDone && again.consumed == text.size(),
          "chunks that were written can be read");
  require(again.payload == body.payload, "their payload is what was written");
  require(again.trailers == body.trailers, "their trailers too");
}

}  // namespace

FieldTexts texts_of(const http::Fields& fields) {
  FieldTexts texts;
  for (const http::Field& field : fields) texts.emplace_back(field.name, field.value);
  return texts;
}

std::vector<std::size_t> every_size(std::size_t size) {
  std::vector<std::size_t> sizes;
  const std::size_t step = size / 512 + 1;
  for (std::size_t i = 1; i < size; i += step) sizes.push_back(i);
  sizes.push_back(size);
  return sizes;
}

void check_body(Bytes input, http::BodyLength length, std::size_t split,
                const http::h1::BodyLimits& limits) {
  const BodyTexts whole = read_body(input, {input.size()}, length, limits);
  const std::size_t first = input.empty() ? 0 : split % input.size();
  require(read_body(input, {first, input.size()}, length, limits) == whole,
          "a body that comes in two pieces is read as one that comes whole");
  require(read_body(input, every_size(input.size()), length, limits) == whole,
          "and so is one that comes in small pieces");
  if (whole.progress == Progress::kDone) check_written(whole);
}

}  // namespace postern::fuzz
