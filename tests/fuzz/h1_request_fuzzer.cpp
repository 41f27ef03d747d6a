// Requests of HTTP/1.1: a byte that chooses limits, two that say where the input is split, then
// what a client sends.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "check.h"
#include "h1.h"
#include "http/authority.h"
#include "http/h1_request.h"

namespace postern::fuzz {
namespace {

using http::BodyLength;
using http::RequestHead;
using http::h1::HeadLimits;
using http::h1::Progress;
using http::h1::RequestReader;
using http::h1::WriteStatus;

HeadLimits limits_of(std::uint8_t choice) {
  HeadLimits limits;
  if ((choice & 1) != 0) limits.header_bytes_max = 128;
  if ((choice & 2) != 0) limits.request_line_bytes_max = 40;
  if ((choice & 4) != 0) limits.fields_max = 4;
  return limits;
}

void take(const RequestReader& reader, Progress progress, const RequestHead& head, HeadTexts* out) {
  out->progress = progress;
  out->fault = reader.fault().status;
  out->reason = reader.fault().reason;
  if (progress != Progress::kDone) return;
  out->consumed = reader.consumed();
  out->parts.clear();
  for (const std::string_view part :
       {head.method, head.scheme, head.authority, head.path, head.protocol}) {
    out->parts.emplace_back(part);
  }
  out->parts.emplace_back(reader.keep_alive() ? "keep" : "close");
  out->parts.emplace_back(reader.expects_continue() ? "waits" : "sends");
  out->fields = texts_of(head.fields);
  out->body = reader.body().kind;
  out->body_bytes = reader.body().bytes;
}

HeadTexts read_request(Bytes input, const std::vector<std::size_t>& sizes,
                       const HeadLimits& limits) {
  RequestReader reader(limits);
  RequestHead head;
  HeadTexts out;
  read_growing(input, sizes, [&](Bytes bytes) {
    const Progress progress = reader.read(bytes, &head);
    take(reader, progress, head, &out);
    return progress;
  });
  return out;
}

void check_verdict(const HeadTexts& said, Bytes input, const HeadLimits& limits) {
  constexpr std::array<unsigned, 5> kStatuses{400, 414, 431, 501, 505};
  if (said.progress == Progress::kFault) {
    require(std::find(kStatuses.begin(), kStatuses.end(), said.fault) != kStatuses.end(),
            "a fault is one of the statuses it may be");
    require(!said.reason.empty(), "and has a reason");
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
  const std::string_view head = as_text(input.first(said.consumed));
  require(head.ends_with("\r\n\r\n"), "a head ends in an empty line");
  require(head.find("\r\n\r\n", 2) + 4 == head.size(), "the first one there is");
}

bool is_framing(std::string_view name) {
  constexpr std::array<std::string_view, 5> kNames{"host", "connection", "upgrade",
                                                   "content-length", "transfer-encoding"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [name](std::string_view known) { return http::same_name(name, known); });
}

// Writes the head anew and reads it again: for a backend it is what it was for us.
void check_written(RequestHead* head, BodyLength body) {
  head->fields.remove("Connection");
  for (const http::Field& field : head->fields) {
    require(!is_framing(field.name), "framing is not among the fields");
  }
  if (head->authority.empty()) head->authority = "a.example";  // HTTP/1.0
  require(http::parse_authority(head->authority).has_value(), "an authority is one");
  std::vector<std::uint8_t> room(http::h1::request_size_max(*head));
  const auto written = http::h1::write_request(*head, body, room);
  if (head->method == "CONNECT") {
    require(written.status == WriteStatus::kRefused, "CONNECT is not passed on");
    return;
  }
  require(written.status == WriteStatus::kWritten, "a head that was read can be written");
  RequestReader reader({1 << 20, 1 << 20, 1000});
  RequestHead again;
  require(reader.read(Bytes(room).first(written.bytes), &again) == Progress::kDone,
          "what was written can be read");
  require(reader.consumed() == written.bytes, "all of it");
  require(again.method == head->method && again.path == head->path &&
              again.authority == head->authority && again.protocol == head->protocol,
          "it says the same");
  again.fields.remove("Connection");
  require(texts_of(again.fields) == texts_of(head->fields), "in the same fields");
  const bool empty = body.kind == BodyLength::Kind::kNone && reader.body().bytes == 0;
  require(reader.body().bytes == body.bytes && (empty || reader.body().kind == body.kind),
          "with a body of the same length");
}

void run(Input input) {
  const HeadLimits limits = limits_of(input.take_u8());
  const std::size_t split = input.take_u16();
  const Bytes text = input.rest();
  const HeadTexts whole = read_request(text, {text.size()}, limits);
  check_verdict(whole, text, limits);
  const std::size_t first = text.empty() ? 0 : split % text.size();
  require(read_request(text, {first, text.size()}, limits) == whole,
          "a head that comes in two pieces is read as one that comes whole");
  require(read_request(text, every_size(text.size()), limits) == whole,
          "and so is one that comes in small pieces");
  if (whole.progress != Progress::kDone) {
    check_body(text, {BodyLength::Kind::kUnknown, 0}, split, {});
    return;
  }
  const ExactCopy copy(text);
  RequestReader reader(limits);
  RequestHead head;
  reader.read(copy.bytes(), &head);
  check_written(&head, reader.body());
  check_body(copy.bytes().subspan(reader.consumed()), reader.body(), split, {});
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run({data, size});
  return 0;
}
