#include "http/h1_write.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace postern::http::h1 {
namespace {

using Kind = BodyLength::Kind;
using namespace std::string_view_literals;

constexpr BodyLength kNone{Kind::kNone, 0};
constexpr BodyLength kChunked{Kind::kUnknown, 0};
constexpr BodyLength kToClose{Kind::kToClose, 0};
constexpr BodyLength known(std::uint64_t bytes) { return {Kind::kKnown, bytes}; }

/// What a writer wrote; "refused" or "no room" when it did not. Less room has to say "no room".
template <class Write>
std::string text_of(std::size_t size_max, Write write) {
  std::vector<std::uint8_t> buffer(size_max);
  const Written written = write(MutableBytes(buffer));
  if (written.status == WriteStatus::kRefused) return "refused";
  if (written.status == WriteStatus::kNoRoom) return "no room";
  for (std::size_t size = 0; size < written.bytes; ++size) {
    std::vector<std::uint8_t> small(size);
    CHECK(write(MutableBytes(small)).status == WriteStatus::kNoRoom);
  }
  return std::string(as_text(Bytes(buffer).first(written.bytes)));
}

std::string text_of(const RequestHead& head, BodyLength body) {
  return text_of(request_size_max(head),
                 [&](MutableBytes out) { return write_request(head, body, out); });
}

std::string text_of(const ResponseHead& head, BodyLength body, bool to_head = false,
                    std::string_view connection = "") {
  return text_of(response_size_max(head), [&](MutableBytes out) {
    return write_response(head, body, to_head, connection, out);
  });
}

struct Request : RequestHead {
  explicit Request(std::string_view wanted_method = "GET", std::string_view wanted_path = "/") {
    method = wanted_method;
    path = wanted_path;
    authority = "a.example";
  }
};

struct Response : ResponseHead {
  explicit Response(std::uint16_t wanted_status) { status = wanted_status; }
};

constexpr std::string_view kStart = "GET / HTTP/1.1\r\nHost: a.example\r\n";

}  // namespace

TEST_CASE("a request is written with Host first and the fields in their order") {
  Request head("GET", "/p?q");
  head.fields.add("Accept", "*/*");
  head.fields.add("X", "");
  head.fields.add("accept", "\xc3\xa4\tb");
  CHECK(
      text_of(head, kNone) ==
      "GET /p?q HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nX: \r\naccept: \xc3\xa4\tb\r\n\r\n");
}

TEST_CASE("Host is sent without an authority too (RFC 9112 section 3.2)") {
  Request head;
  head.authority = {};
  CHECK(text_of(head, kNone) == "GET / HTTP/1.1\r\nHost: \r\n\r\n");
  Request options("OPTIONS", "*");
  CHECK(text_of(options, kNone) == "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n");
}

TEST_CASE("framing is made from the length of the body (RFC 9112 section 6)") {
  const std::string start(kStart);
  CHECK(text_of(Request(), known(5)) == start + "Content-Length: 5\r\n\r\n");
  CHECK(text_of(Request(), known(0)) == start + "Content-Length: 0\r\n\r\n");
  CHECK(text_of(Request(), known(UINT64_MAX)) ==
        start + "Content-Length: 18446744073709551615\r\n\r\n");
  CHECK(text_of(Request(), kChunked) == start + "Transfer-Encoding: chunked\r\n\r\n");
  CHECK(text_of(Request(), kToClose) == "refused");
}

TEST_CASE("a method that is expected to have a body says when it has none (RFC 9110 section 8.6)") {
  for (const char* method : {"POST", "PUT", "PATCH"}) {
    CHECK(text_of(Request(method), kNone).ends_with("Content-Length: 0\r\n\r\n"));
  }
  for (const char* method : {"GET", "HEAD", "DELETE", "OPTIONS", "post"}) {
    CHECK(text_of(Request(method), kNone).ends_with("Host: a.example\r\n\r\n"));
  }
}

TEST_CASE("Connection names TE, or the upgrade (RFC 9110 sections 7.6.1, 7.8 and 10.1.4)") {
  Request head;
  head.fields.add("Te", "trailers");
  CHECK(text_of(head, kNone) == std::string(kStart) + "Te: trailers\r\nConnection: TE\r\n\r\n");
  head.protocol = "websocket";
  CHECK(text_of(head, kNone) == std::string(kStart) + "Te: trailers\r\nConnection: upgrade\r\n" +
                                    "Upgrade: websocket\r\n\r\n");
}

TEST_CASE("nothing gets onto the wire that could be read as another line (RFC 9110 section 5.5)") {
  for (const std::string_view bad :
       {"a\r\nX: y"sv, "a\rb"sv, "a\nb"sv, "a\0b"sv, "\x7f"sv, "a\x01"sv}) {
    Request value;
    value.fields.add("X", bad);
    CHECK(text_of(value, kNone) == "refused");
    Request name;
    name.fields.add(bad, "v");
    CHECK(text_of(name, kNone) == "refused");
    Request host;
    host.authority = bad;
    CHECK(text_of(host, kNone) == "refused");
    CHECK(text_of(Request(bad), kNone) == "refused");
    CHECK(text_of(Request("GET", bad), kNone) == "refused");
    const std::string path = "/" + std::string(bad);
    CHECK(text_of(Request("GET", path), kNone) == "refused");
    Request protocol;
    protocol.protocol = bad;
    CHECK(text_of(protocol, kNone) == "refused");
    Response response(200);
    response.fields.add("X", bad);
    CHECK(text_of(response, kNone) == "refused");
    Response renamed(200);
    renamed.fields.add(bad, "v");
    CHECK(text_of(renamed, kNone) == "refused");
    CHECK(text_of(Response(200), kNone, false, bad) == "refused");
  }
  for (const char* name : {"", "X:", "X Y", ":status", "X\x80"}) {
    Request head;
    head.fields.add(name, "v");
    CHECK(text_of(head, kNone) == "refused");
  }
}

TEST_CASE("a request line that would be read differently is refused (RFC 9112 section 3)") {
  for (const char* path : {"", "a", "/a b", "/\xc3\xa4", "http://b/", "*a", " /"}) {
    CHECK(text_of(Request("GET", path), kNone) == "refused");
  }
  for (const char* method : {"", "G T", "GET /x HTTP/1.1", "G:", "CONNECT"}) {
    CHECK(text_of(Request(method), kNone) == "refused");
  }
  Request head;
  head.authority = "a b";
  CHECK(text_of(head, kNone) == "refused");
}

TEST_CASE("fields that the writer makes itself are refused among the others") {
  for (const char* name :
       {"Host", "content-length", "Transfer-Encoding", "CONNECTION", "Upgrade"}) {
    Request head;
    head.fields.add(name, "5");
    CHECK(text_of(head, kNone) == "refused");
    if (std::string_view(name) == "Host") continue;
    Response response(200);
    response.fields.add(name, "5");
    CHECK(text_of(response, kNone) == "refused");
  }
}

TEST_CASE("a response is written with its usual reason (RFC 9112 section 4)") {
  Response head(200);
  head.fields.add("Set-Cookie", "a");
  head.fields.add("Set-Cookie", "b");
  CHECK(text_of(head, known(5), false, "keep-alive") ==
        "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 5\r\n"
        "Connection: keep-alive\r\n\r\n");
  CHECK(text_of(Response(299), kChunked) == "HTTP/1.1 299 \r\nTransfer-Encoding: chunked\r\n\r\n");
  CHECK(text_of(Response(502), kToClose, false, "keep-alive") ==
        "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n");
  for (const std::uint16_t status : {std::uint16_t{0}, std::uint16_t{99}, std::uint16_t{600}}) {
    CHECK(text_of(Response(status), kNone) == "refused");
  }
  CHECK(reason_phrase(100) == "Continue");
  CHECK(reason_phrase(431) == "Request Header Fields Too Large");
  CHECK(reason_phrase(505) == "HTTP Version Not Supported");
  CHECK(reason_phrase(599) == "");
}

TEST_CASE("a response without a body says so where one could be (RFC 9112 section 6.3)") {
  CHECK(text_of(Response(302), kNone) == "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
  CHECK(text_of(Response(200), kNone, true) == "HTTP/1.1 200 OK\r\n\r\n");
  CHECK(text_of(Response(204), kNone) == "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(text_of(Response(103), kNone) == "HTTP/1.1 103 Early Hints\r\n\r\n");
}

TEST_CASE("no body where none may be (RFC 9112 section 6.1)") {
  for (const std::uint16_t status : {std::uint16_t{100}, std::uint16_t{204}, std::uint16_t{304}}) {
    CHECK(text_of(Response(status), known(0)) == "refused");
    CHECK(text_of(Response(status), kChunked) == "refused");
    CHECK(text_of(Response(status), kToClose) == "refused");
  }
  CHECK(text_of(Response(200), known(5), true) == "refused");
}

TEST_CASE("answers to HEAD and 304 keep the length of another body (RFC 9110 section 8.6)") {
  Response head(200);
  head.fields.add("Content-Length", "5");
  CHECK(text_of(head, kNone, true) == "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  head.status = 304;
  CHECK(text_of(head, kNone) == "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
  head.status = 204;
  CHECK(text_of(head, kNone) == "refused");
  CHECK(text_of(head, kNone, true) == "refused");
  head.status = 200;
  head.fields.set("Content-Length", "5x");
  CHECK(text_of(head, kNone, true) == "refused");
  head.fields.set("Content-Length", "5");
  head.fields.add("content-length", "5");
  CHECK(text_of(head, kNone, true) == "refused");
}

TEST_CASE("a 101 names its protocol (RFC 9110 section 15.2.2)") {
  Response head(101);
  CHECK(text_of(head, kNone) == "refused");
  head.protocol = "websocket";
  CHECK(text_of(head, kNone) ==
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST_CASE("chunks are framed by their size (RFC 9112 section 7.1)") {
  CHECK(ChunkSizeLine(1).text() == "1\r\n");
  CHECK(ChunkSizeLine(0x4000).text() == "4000\r\n");
  CHECK(ChunkSizeLine(UINT64_MAX).text() == "ffffffffffffffff\r\n");
}

TEST_CASE("trailers come behind the last chunk, those that may (RFC 9110 section 6.5.1)") {
  const auto last = [](const Fields& trailers) {
    return text_of(100, [&](MutableBytes out) { return write_last_chunk(trailers, out); });
  };
  Fields trailers;
  CHECK(last(trailers) == kLastChunk);
  trailers.add("grpc-status", "0");
  trailers.add("content-length", "0");
  CHECK(last(trailers) == "0\r\ngrpc-status: 0\r\n\r\n");
  trailers.add("x", "a\nb");
  CHECK(last(trailers) == "refused");
}

}  // namespace postern::http::h1
