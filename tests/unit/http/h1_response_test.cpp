#include "http/h1_response.h"

#include <string>

#include <doctest/doctest.h>

#include "h1_outcome.h"

namespace postern::http::h1 {
namespace {

using Kind = BodyLength::Kind;
using namespace std::string_literals;

std::string response(std::string_view line, std::string_view fields = "") {
  return std::string(line) + "\r\n" + std::string(fields) + "\r\n";
}

std::string ok(std::string_view fields) { return response("HTTP/1.1 200 OK", fields); }

std::string reason_of(std::string_view text) {
  const HeadOutcome got = read_response(text);
  CHECK(got.fault == (got.progress == Progress::kFault ? 502 : 0));
  return got.reason;
}

}  // namespace

TEST_CASE("a response is read, and what follows it is left (RFC 9112 section 4)") {
  const std::string head =
      ok("Server: x\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n");
  const HeadOutcome got = read_response(head + "hello");
  CHECK(got.progress == Progress::kDone);
  CHECK(got.consumed == head.size());
  CHECK(got.status == 200);
  CHECK(got.minor_version == 1);
  CHECK(got.fields == FieldTexts{{"Server", "x"}, {"Set-Cookie", "a"}, {"Set-Cookie", "b"}});
  CHECK(got.body == Kind::kKnown);
  CHECK(got.body_bytes == 5);
  CHECK(got.keep_alive);
}

TEST_CASE("the reason may be anything or nothing (RFC 9112 section 4)") {
  for (const char* line :
       {"HTTP/1.1 200 OK", "HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.1 200 a b \t c",
        "HTTP/1.1 200  x", "HTTP/1.1 200 \xc3\xa4", "HTTP/1.0 200 OK"}) {
    CHECK(read_response(response(line)).status == 200);
  }
}

TEST_CASE("a status line is exact (RFC 9112 section 4)") {
  for (const char* line :
       {"", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000 OK", "HTTP/1.1  200 OK",
        " HTTP/1.1 200 OK", "HTTP/1.1 200OK.", "http/1.1 200 OK", "ICY 200 OK and more",
        "HTTP/1.1x200 OK", "HTTP/1.10 200 OK", "200 OK and more text"}) {
    CHECK(reason_of(response(line)) == "malformed status line");
  }
  for (const char* line :
       {"HTTP/1.2 200 OK", "HTTP/2.0 200 OK", "HTTP/0.9 200 OK", "HTTP/1,1 200 OK"}) {
    CHECK(reason_of(response(line)) == "HTTP version other than 1.0 and 1.1");
  }
  for (const char* line : {"HTTP/1.1 099 x", "HTTP/1.1 600 x", "HTTP/1.1 999 x", "HTTP/1.1 2x0 x",
                           "HTTP/1.1 +20 x", "HTTP/1.1 -20 x", "HTTP/1.1 20x", "HTTP/1.1 20  x"}) {
    CHECK(reason_of(response(line)) == "bad status code");
  }
  CHECK(reason_of("HTTP/1.1 200 OK\nX: y\r\n\r\n") == "line feed without carriage return");
  CHECK(reason_of("HTTP/1.1 200 O\rK\r\n\r\n") == "bare CR");
  CHECK(reason_of("HTTP/1.1 200 O\0K\r\n\r\n"s) == "control in the status line");
  CHECK(reason_of("\r\nHTTP/1.1 200 OK\r\n\r\n") == "malformed status line");
}

TEST_CASE("fields are read with the care that a request gets (RFC 9112 section 5)") {
  for (const char* line : {"X : y", " X: y", "X: a\r\n b", ": y", "X", "X: a\rb", "X: a\nb",
                           "X: \x01", "X\x80: y", "X: \x7f"}) {
    CHECK(read_response(ok(std::string(line) + "\r\n")).fault == 502);
  }
  CHECK(read_response(ok("X: a\0b\r\n"s)).fault == 502);
}

TEST_CASE("1xx, 204, 304 and answers to HEAD have no body (RFC 9112 section 6.3)") {
  for (const char* line : {"HTTP/1.1 100 Continue", "HTTP/1.1 103 Early Hints",
                           "HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified"}) {
    const HeadOutcome got = read_response(response(line));
    CHECK(got.body == Kind::kNone);
    CHECK(got.keep_alive);
  }
  CHECK(read_response(ok(""), true).body == Kind::kNone);
  CHECK(read_response(ok(""), true).keep_alive);
  CHECK(read_response(ok("Transfer-Encoding: chunked\r\n"), true).body == Kind::kNone);
}

TEST_CASE("the length of another response's body stays among the fields (RFC 9110 section 8.6)") {
  const std::string length = "Content-Length: 5\r\n";
  CHECK(read_response(ok(length), true).fields == FieldTexts{{"Content-Length", "5"}});
  CHECK(read_response(ok(length), true).keep_alive);
  CHECK(read_response(response("HTTP/1.1 304 x", length)).fields.size() == 1);
  CHECK(read_response(ok("Transfer-Encoding: chunked\r\n"), true).fields.empty());
}

TEST_CASE("who announces a body where none may be is not read from again (RFC 9112 section 6.1)") {
  for (const char* field : {"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"}) {
    for (const char* line : {"HTTP/1.1 100 x", "HTTP/1.1 204 x"}) {
      const HeadOutcome got = read_response(response(line, field));
      CHECK(got.body == Kind::kNone);
      CHECK(got.fields.empty());
      CHECK_FALSE(got.keep_alive);
    }
  }
  CHECK(read_response(response("HTTP/1.1 204 x", "Content-Length: 0\r\n")).keep_alive);
}

TEST_CASE("what says nothing of its length lasts to the end of the connection (RFC 9112 6.3)") {
  CHECK(read_response(ok("")).body == Kind::kToClose);
  CHECK_FALSE(read_response(ok("Connection: keep-alive\r\n")).keep_alive);
}

TEST_CASE("chunked is the one coding (RFC 9112 section 6.3)") {
  CHECK(read_response(ok("Transfer-Encoding: chunked\r\n")).body == Kind::kUnknown);
  CHECK(read_response(ok("Transfer-Encoding: Chunked\r\n")).fields.empty());
  for (const char* coding : {"gzip", "gzip, chunked", "chunked, gzip", "identity", "",
                             "chunked, chunked", "chunked;x", "xchunked"}) {
    CHECK(read_response(ok("Transfer-Encoding: " + std::string(coding) + "\r\n")).fault == 502);
  }
  CHECK(read_response(response("HTTP/1.0 200 OK", "Transfer-Encoding: chunked\r\n")).fault == 502);
}

TEST_CASE("lengths that disagree, or that two readers could read differently, are faults") {
  // RFC 9112 section 6.3
  CHECK(reason_of(ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")) ==
        "both Content-Length and Transfer-Encoding");
  CHECK(reason_of(ok("Content-Length: 5\r\nContent-Length: 6\r\n")) ==
        "several Content-Length lines");
  CHECK(reason_of(ok("Content-Length: 5\r\nContent-Length: 5\r\n")) ==
        "several Content-Length lines");
  for (const char* length : {"5, 5", "-5", "+5", "x", "", "5x", "99999999999999999999"}) {
    CHECK(reason_of(ok("Content-Length: " + std::string(length) + "\r\n")) ==
          "malformed Content-Length");
  }
  CHECK(read_response(ok("Content-Length: 5\r\nContent-Length: 6\r\n"), true).fault == 502);
}

TEST_CASE("a connection is kept when both versions and fields allow it (RFC 9112 section 9.3)") {
  CHECK_FALSE(read_response(ok("Content-Length: 5\r\nConnection: close\r\n")).keep_alive);
  CHECK_FALSE(read_response(response("HTTP/1.0 200 OK", "Content-Length: 5\r\n")).keep_alive);
  CHECK(
      read_response(response("HTTP/1.0 200 OK", "Content-Length: 5\r\nConnection: Keep-Alive\r\n"))
          .keep_alive);
}

TEST_CASE("a 101 names its protocol (RFC 9110 section 15.2.2)") {
  const char* line = "HTTP/1.1 101 Switching Protocols";
  const HeadOutcome got =
      read_response(response(line, "Upgrade: websocket\r\nConnection: Upgrade\r\nX: y\r\n"));
  CHECK(got.status == 101);
  CHECK(got.protocol == "websocket");
  CHECK(got.body == Kind::kNone);
  CHECK(got.fields == FieldTexts{{"Connection", "Upgrade"}, {"X", "y"}});
  CHECK(reason_of(response(line)) == "101 without an upgrade");
  CHECK(reason_of(response(line, "Upgrade: websocket\r\n")) == "101 without an upgrade");
  CHECK(reason_of(response("HTTP/1.0 101 x", "Upgrade: a\r\nConnection: upgrade\r\n")) ==
        "101 without an upgrade");
  CHECK(read_response(ok("Upgrade: h2,h2c\r\nConnection: Upgrade\r\n")).protocol == "");
}

TEST_CASE("a reader of responses is used for interim ones and for the final one") {
  ResponseReader reader;
  ResponseHead head;
  const std::string interim = response("HTTP/1.1 103 Early Hints", "Link: </a>\r\n");
  reader.start(false);
  CHECK(reader.read(as_bytes(interim), &head) == Progress::kDone);
  CHECK(head.status == 103);
  reader.start(false);
  CHECK(reader.read(as_bytes(ok("Content-Length: 1\r\n")), &head) == Progress::kDone);
  CHECK(head.status == 200);
  CHECK(head.fields.size() == 0);
}

TEST_CASE("the head of a response has limits") {
  HeadLimits limits;
  limits.header_bytes_max = 40;
  CHECK(read_response(ok("Content-Length: 555\r\n"), false, limits).progress == Progress::kDone);
  CHECK(read_response(ok("Content-Length: 5555\r\n"), false, limits).reason == "head too long");
  CHECK(read_response("HTTP/1.1 200 " + std::string(40, 'x'), false, limits).reason ==
        "head too long");
  limits.fields_max = 1;
  CHECK(read_response(ok("A: 1\r\nB: 2\r\n"), false, limits).reason == "too many fields");
}

}  // namespace postern::http::h1
