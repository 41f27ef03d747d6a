#include "http/h1_body.h"

#include <string>

#include <doctest/doctest.h>

#include "h1_outcome.h"

namespace postern::http::h1 {
namespace {

using Kind = BodyLength::Kind;
using namespace std::string_literals;

std::string reason_of(std::string_view text) {
  const BodyOutcome got = read_chunked(text);
  CHECK(got.fault == (got.progress == Progress::kFault ? 400 : 0));
  return got.reason;
}

std::string trailer_reason(std::string_view line) {
  return reason_of("0\r\n" + std::string(line) + "\r\n\r\n");
}

}  // namespace

TEST_CASE(
    "chunks are taken apart, and what is behind the last one is left (RFC 9112 section 7.1)") {
  const BodyOutcome got = read_chunked("5\r\nhello\r\n1\r\n \r\n6\r\nworld!\r\n0\r\n\r\nGET /");
  CHECK(got.progress == Progress::kDone);
  CHECK(got.payload == "hello world!");
  CHECK(got.consumed == 32);
  CHECK(got.trailers.empty());
  CHECK(read_chunked("0\r\n\r\n").progress == Progress::kDone);
  CHECK(read_chunked("000\r\n\r\n").progress == Progress::kDone);
}

TEST_CASE("payload may be any bytes, chunk framing and line ends too") {
  std::string payload = "\r\n0\r\n\r\n\n\r\0"s;
  for (int c = 0; c < 256; ++c) payload += static_cast<char>(c);
  const BodyOutcome got = read_chunked("109\r\n" + payload + "\r\n0\r\n\r\n");
  CHECK(payload.size() == 0x10a);
  CHECK(got.reason == "chunk longer than its size");
  CHECK(read_chunked("10a\r\n" + payload + "\r\n0\r\n\r\n").payload == payload);
  CHECK(read_chunked("10A\r\n" + payload + "\r\n0\r\n\r\n").payload == payload);
}

TEST_CASE("payload is not copied") {
  BodyReader reader;
  reader.start({Kind::kUnknown, 0});
  const std::string text = "5\r\nhello\r\n";
  const BodyPiece piece = reader.feed(as_bytes(text));
  CHECK(piece.payload.data() == as_bytes(text).data() + 3);
  CHECK(piece.payload.size() == 5);
  CHECK(piece.consumed == 8);
}

TEST_CASE("a chunk size is hexadecimal digits and nothing else (RFC 9112 section 7.1)") {
  CHECK(read_chunked("0000000000000005\r\nhello\r\n0\r\n\r\n").payload == "hello");
  CHECK(reason_of("00000000000000005\r\nhello\r\n") == "chunk size of too many digits");
  CHECK(reason_of("8000000000000000\r\n") == "chunk size too large");
  CHECK(reason_of("ffffffffffffffff\r\n") == "chunk size too large");
  CHECK(reason_of("10000000000000005\r\n") == "chunk size of too many digits");
  CHECK(read_chunked("7fffffffffffffff\r\nx").payload == "x");
  for (const char* size : {"+5", "-5", " 5", "\t5", "x", "g", ";x", "\r", "0"}) {
    if (*size == '0') continue;
    CHECK(reason_of(std::string(size) + "\r\nhello\r\n0\r\n\r\n") == "chunk without a size");
  }
  for (const char* size :
       {"0x5", "5h", "5,", "5.", "5_0", "5 5", "5 ", "5\t", "5\x80", "5\"", "5 x"}) {
    CHECK(reason_of(std::string(size) + "\r\nhello\r\n0\r\n\r\n") == "malformed chunk size");
  }
  CHECK(reason_of("5\0\r\nhello"s) == "malformed chunk size");
}

TEST_CASE("chunk lines end in CRLF, strictly (RFC 9112 section 7.1)") {
  CHECK(reason_of("5\nhello\r\n0\r\n\r\n") == "malformed chunk size");
  CHECK(reason_of("5\r\rhello") == "chunk size line does not end in CRLF");
  CHECK(reason_of("5\rhello") == "chunk size line does not end in CRLF");
  CHECK(reason_of("5\r\nhello\n0\r\n\r\n") == "chunk longer than its size");
  CHECK(reason_of("5\r\nhello\r0\r\n\r\n") == "chunk does not end in CRLF");
  CHECK(reason_of("5\r\nhello0\r\n\r\n") == "chunk longer than its size");
  CHECK(reason_of("5\r\nhell\r\n0\r\n\r\n") == "chunk longer than its size");
  CHECK(reason_of("0\r\n\n") == "bare LF");
  CHECK(reason_of("0\r\n\r\r") == "bare CR");
  CHECK(reason_of("0\n\r\n") == "malformed chunk size");
}

TEST_CASE("chunk extensions are ignored up to a limit (RFC 9112 section 7.1.1)") {
  for (const char* extension :
       {";", ";a", ";a=b", ";a=\"b;\\\" c\"", " ;a", "\t ; a = b", ";a;b=c", ";\x80\xff", ";a\t"}) {
    CHECK(read_chunked("5" + std::string(extension) + "\r\nhello\r\n0;x\r\n\r\n").payload ==
          "hello");
  }
  CHECK(reason_of("5;a\nhello\r\n0\r\n\r\n") == "control in a chunk extension");
  CHECK(reason_of("5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n") == "chunk longer than its size");
  CHECK(reason_of("5;a\rb\r\nhello\r\n0\r\n\r\n") == "chunk size line does not end in CRLF");
  CHECK(reason_of("5;\0\r\n"s) == "control in a chunk extension");
  CHECK(read_chunked("5;" + std::string(256, 'x') + "\r\nhello\r\n0\r\n\r\n").payload == "hello");
  CHECK(reason_of("5;" + std::string(257, 'x') + "\r\nhello\r\n0\r\n\r\n") ==
        "chunk extension too long");
  CHECK(reason_of("5" + std::string(257, ' ') + ";\r\nhello\r\n") == "chunk extension too long");
}

TEST_CASE("a body is not made of chunk extensions for the most part") {
  BodyLimits limits;
  limits.extension_excess_bytes_max = 40;
  std::string text;
  for (int i = 0; i < 5; ++i) text += "1;1234567890\r\nx\r\n";  // 9 more than payload, each
  CHECK(read_chunked(text, limits).reason == "too many chunk extensions");
  text.clear();
  for (int i = 0; i < 50; ++i) text += "a;1234567890\r\n0123456789\r\n";
  CHECK(read_chunked(text + "0\r\n\r\n", limits).progress == Progress::kDone);
}

TEST_CASE("trailers are fields, those that may be (RFC 9110 section 6.5.1)") {
  const BodyOutcome got = read_chunked(
      "1\r\nx\r\n0\r\nGrpc-Status: 0\r\nContent-Length: 5\r\nHOST: b\r\nChecksum:\t a b \r\n"
      "Transfer-Encoding: chunked\r\nAuthorization: x\r\nSet-Cookie: a\r\nTrailer: x\r\n\r\nrest");
  CHECK(got.progress == Progress::kDone);
  CHECK(got.trailers == FieldTexts{{"Grpc-Status", "0"}, {"Checksum", "a b"}});
  CHECK(is_forbidden_trailer("Content-Type"));
  CHECK(is_forbidden_trailer("www-authenticate"));
  CHECK(is_forbidden_trailer("Alt-Svc"));
  CHECK_FALSE(is_forbidden_trailer("Content-Digest"));
}

TEST_CASE("trailers are read with the care that a head gets (RFC 9112 section 7.1.2)") {
  CHECK(trailer_reason("X : y") == "white space in or behind a field name");
  CHECK(trailer_reason(" X: y") == "folded line or white space before the first field");
  CHECK(trailer_reason("X: a\r\n b") == "folded line or white space before the first field");
  CHECK(trailer_reason("X: a\nb") == "bare LF");
  CHECK(trailer_reason("X: a\rb") == "bare CR");
  CHECK(trailer_reason("X") == "line without a colon");
  CHECK(trailer_reason(": y") == "empty field name");
  CHECK(trailer_reason("X: \x01") == "control in a field value");
  CHECK(trailer_reason("GET / HTTP/1.1") == "white space in or behind a field name");
}

TEST_CASE("trailers have limits") {
  BodyLimits limits;
  limits.trailer_bytes_max = 20;
  CHECK(read_chunked("0\r\nA: 3456789012345\r\n\r\nrest", limits).progress == Progress::kDone);
  CHECK(read_chunked("0\r\nA: 34567890123456\r\n\r\n", limits).fault == 431);
  CHECK(read_chunked("0\r\nA: " + std::string(100, 'x'), limits).fault == 431);
  limits.trailers_max = 2;
  CHECK(read_chunked("0\r\nA: 1\r\nB: 2\r\n\r\n", limits).progress == Progress::kDone);
  CHECK(read_chunked("0\r\nA:1\r\nB:2\r\nC:3\r\n\r\n", limits).fault == 431);
}

TEST_CASE("a body of known length ends there (RFC 9112 section 6.2)") {
  const BodyOutcome got = read_body("hello, next", {Kind::kKnown, 5});
  CHECK(got.progress == Progress::kDone);
  CHECK(got.payload == "hello");
  CHECK(got.consumed == 5);
  CHECK(read_body("hell", {Kind::kKnown, 5}).progress == Progress::kMore);
  CHECK(read_body("GET /", {Kind::kKnown, 0}).consumed == 0);
  CHECK(read_body("GET /", {Kind::kNone, 0}).progress == Progress::kDone);
}

TEST_CASE("without a body all is done from the start") {
  BodyReader reader;
  reader.start({Kind::kNone, 0});
  CHECK(reader.done());
  reader.start({Kind::kKnown, 0});
  CHECK(reader.done());
  CHECK(reader.feed(as_bytes("x")).consumed == 0);
  reader.start({Kind::kKnown, 1});
  CHECK_FALSE(reader.done());
}

TEST_CASE("only a body up to the end of the connection may end with it (RFC 9112 section 8)") {
  BodyReader reader;
  reader.start({Kind::kToClose, 0});
  CHECK(as_text(reader.feed(as_bytes("abc")).payload) == "abc");
  CHECK(reader.end_of_input() == Progress::kDone);
  reader.start({Kind::kKnown, 4});
  reader.feed(as_bytes("abc"));
  CHECK(reader.end_of_input() == Progress::kFault);
  CHECK(reader.fault().reason == "body ends before its end");
  reader.start({Kind::kUnknown, 0});
  reader.feed(as_bytes("3\r\nabc\r\n"));
  CHECK(reader.end_of_input() == Progress::kFault);
  reader.start({Kind::kKnown, 3});
  reader.feed(as_bytes("abc"));
  CHECK(reader.end_of_input() == Progress::kDone);
}

TEST_CASE("a reader of bodies is used again") {
  BodyReader reader;
  reader.start({Kind::kUnknown, 0});
  CHECK(reader.feed(as_bytes("0\r\nA: b\r\n\r\n")).progress == Progress::kDone);
  CHECK(reader.trailers().size() == 1);
  reader.start({Kind::kUnknown, 0});
  CHECK(reader.trailers().size() == 0);
  CHECK(reader.feed(as_bytes("x")).progress == Progress::kFault);
  reader.start({Kind::kUnknown, 0});
  CHECK(reader.feed(as_bytes("0\r\n\r\n")).progress == Progress::kDone);
}

}  // namespace postern::http::h1
