// Responses of HTTP/1.1: a byte that chooses limits and the method that is answered, two that say
// where the input is split, then what a backend sends.
#include <string>
#include <vector>

#include "check.h"
#include "h1.h"
#include "http/h1_response.h"

namespace postern::fuzz {
namespace {

using http::BodyLength;
using http::ResponseHead;
using http::h1::BodyLimits;
using http::h1::HeadLimits;
using http::h1::Progress;
using http::h1::ResponseReader;
using http::h1::WriteStatus;

HeadLimits limits_of(std::uint8_t choice) {
  HeadLimits limits;
  if ((choice & 1) != 0) limits.header_bytes_max = 128;
  if ((choice & 2) != 0) limits.fields_max = 4;
  return limits;
}

BodyLimits body_limits_of(std::uint8_t choice) {
  BodyLimits limits;
  if ((choice & 16) == 0) return limits;
  limits.chunk_extension_bytes_max = 10;
  limits.extension_excess_bytes_max = 20;
  limits.trailer_bytes_max = 40;
  limits.trailers_max = 2;
  return limits;
}

void take(const ResponseReader& reader, Progress progress, const ResponseHead& head,
          HeadTexts* out) {
  out->progress = progress;
  out->fault = reader.fault().status;
  out->reason = reader.fault().reason;
  if (progress != Progress::kDone) return;
  out->consumed = reader.consumed();
  out->parts = {std::to_string(head.status), std::string(head.protocol),
                reader.keep_alive() ? "keep" : "close"};
  out->fields = texts_of(head.fields);
  out->body = reader.body().kind;
  out->body_bytes = reader.body().bytes;
}

HeadTexts read_response(Bytes input, const std::vector<std::size_t>& sizes,
                        const HeadLimits& limits, bool to_head) {
  ResponseReader reader(limits);
  reader.start(to_head);
  ResponseHead head;
  HeadTexts out;
  read_growing(input, sizes, [&](Bytes bytes) {
    const Progress progress = reader.read(bytes, &head);
    take(reader, progress, head, &out);
    return progress;
  });
  return out;
}

void check_verdict(const HeadTexts& said, Bytes input, const HeadLimits& limits) {
  if (said.progress == Progress::kFault) {
    require(said.fault == 502 && !said.reason.empty(), "a fault is a 502 with a reason");
    return;
  }
  require(said.fault == 0, "no fault, no status");
  if (said.progress == Progress::kMore) {
    require(input.size() < limits.header_bytes_max, "nobody waits for more than the limit");
    return;
  }
  require(said.consumed <= input.size() && said.consumed <= limits.header_bytes_max,
          "a head is not longer than its input or its limit");
  require(said.fields.size() <= limits.fields_max, "fields keep to their limit");
  require(as_text(input.first(said.consumed)).ends_with("\r\n\r\n"),
          "a head ends in an empty line");
}

// Writes the head anew and reads it again: for a client it is what it was for us.
void check_written(ResponseHead* head, BodyLength body, bool to_head) {
  head->fields.remove("Connection");
  std::vector<std::uint8_t> room(http::h1::response_size_max(*head));
  const auto written = http::h1::write_response(*head, body, to_head, "", room);
  require(written.status == WriteStatus::kWritten, "a head that was read can be written");
  ResponseReader reader({1 << 20, 1 << 20, 1000});
  reader.start(to_head);
  ResponseHead again;
  require(reader.read(Bytes(room).first(written.bytes), &again) == Progress::kDone,
          "what was written can be read");
  require(reader.consumed() == written.bytes, "all of it");
  require(again.status == head->status && again.protocol == head->protocol, "it says the same");
  again.fields.remove("Connection");
  require(texts_of(again.fields) == texts_of(head->fields), "in the same fields");
  require(reader.body().kind == body.kind && reader.body().bytes == body.bytes,
          "with a body of the same length");
  require(reader.keep_alive() == (body.kind != BodyLength::Kind::kToClose),
          "on a connection that is kept unless the body ends with it");
}

void run(Input input) {
  const std::uint8_t choice = input.take_u8();
  const HeadLimits limits = limits_of(choice);
  const bool to_head = (choice & 8) != 0;
  const std::size_t split = input.take_u16();
  const Bytes text = input.rest();
  const HeadTexts whole = read_response(text, {text.size()}, limits, to_head);
  check_verdict(whole, text, limits);
  const std::size_t first = text.empty() ? 0 : split % text.size();
  require(read_response(text, {first, text.size()}, limits, to_head) == whole,
          "a head that comes in two pieces is read as one that comes whole");
  require(read_response(text, every_size(text.size()), limits, to_head) == whole,
          "and so is one that comes in small pieces");
  if (whole.progress != Progress::kDone) {
    check_body(text, {BodyLength::Kind::kUnknown, 0}, split, body_limits_of(choice));
    return;
  }
  const ExactCopy copy(text);
  ResponseReader reader(limits);
  reader.start(to_head);
  ResponseHead head;
  reader.read(copy.bytes(), &head);
  check_written(&head, reader.body(), to_head);
  check_body(copy.bytes().subspan(reader.consumed()), reader.body(), split, body_limits_of(choice));
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run({data, size});
  return 0;
}
