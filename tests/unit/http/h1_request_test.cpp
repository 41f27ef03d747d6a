#include "http/h1_request.h"

#include <string>

#include <doctest/doctest.h>

#include "h1_outcome.h"

namespace postern::http::h1 {
namespace {

using Kind = BodyLength::Kind;
using namespace std::string_literals;

/// A request with this line behind its Host.
std::string with_field(std::string_view line) {
  return "POST /x HTTP/1.1\r\nHost: a.example\r\n" + std::string(line) + "\r\n\r\n";
}

std::string with_target(std::string_view target, std::string_view method = "GET") {
  return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: a.example\r\n\r\n";
}

std::string with_host(std::string_view host) {
  return "GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
}

unsigned fault_of(std::string_view text) { return read_request(text).fault; }
std::string reason_of(std::string_view text) { return read_request(text).reason; }
bool is_taken(std::string_view text) { return read_request(text).progress == Progress::kDone; }

}  // namespace

TEST_CASE("a request is read, and what follows it is left (RFC 9112 section 2.1)") {
  const std::string head =
      "GET /path?q=1 HTTP/1.1\r\n"
      "Host: www.example:8443\r\n"
      "User-Agent: x y\r\n"
      "Accept:*/*\r\n"
      "X-Empty:\r\n"
      "X-Blanks: \t a \t b\t \r\n"
      "\r\n";
  const HeadOutcome got = read_request(head + "GET /next");
  CHECK(got.progress == Progress::kDone);
  CHECK(got.consumed == head.size());
  CHECK(got.method == "GET");
  CHECK(got.scheme == "");
  CHECK(got.authority == "www.example:8443");
  CHECK(got.path == "/path?q=1");
  CHECK(got.fields ==
        FieldTexts{
            {"User-Agent", "x y"}, {"Accept", "*/*"}, {"X-Empty", ""}, {"X-Blanks", "a \t b"}});
  CHECK(got.body == Kind::kNone);
  CHECK(got.minor_version == 1);
  CHECK(got.keep_alive);
  CHECK_FALSE(got.expects_continue);
}

TEST_CASE("a head that is not complete is neither taken nor refused") {
  const std::string text = with_host("a");
  for (std::size_t size = 0; size < text.size(); ++size) {
    CHECK(read_request_at(text, {size}, {}).progress == Progress::kMore);
  }
}

TEST_CASE("a reader is used again, and after its verdict it stays with it") {
  RequestReader reader;
  RequestHead head;
  const std::string first = with_field("Content-Length: 3");
  const std::string second = with_host("b");
  CHECK(reader.read(as_bytes(first), &head) == Progress::kDone);
  CHECK(reader.read(as_bytes(first), &head) == Progress::kDone);
  CHECK(reader.body().bytes == 3);
  reader.start();
  CHECK(reader.read(as_bytes(second), &head) == Progress::kDone);
  CHECK(reader.body().kind == Kind::kNone);
  CHECK(head.authority == "b");
  CHECK(head.fields.size() == 0);
  reader.start();
  CHECK(reader.read(as_bytes("\n"), &head) == Progress::kFault);
  CHECK(reader.read(as_bytes(second), &head) == Progress::kFault);
}

TEST_CASE("one empty line before a request is skipped, no more (RFC 9112 section 2.2)") {
  const std::string text = with_host("a");
  CHECK(read_request("\r\n" + text).consumed == text.size() + 2);
  CHECK(reason_of("\r\n\r\n" + text) == "empty request line");
  CHECK(reason_of("\n" + text) == "bare LF");
  CHECK(reason_of("\rGET / HTTP/1.1") == "bare CR");
}

TEST_CASE("the request line has single spaces and three parts (RFC 9112 section 3)") {
  for (const char* line : {"GET",
                           "GET ",
                           "GET /",
                           "GET / ",
                           "GET  / HTTP/1.1",
                           "GET /  HTTP/1.1",
                           "GET / HTTP/1.1 ",
                           " GET / HTTP/1.1",
                           "GET /a b HTTP/1.1",
                           "GET  HTTP/1.1",
                           "/ HTTP/1.1",
                           "GET / http/1.1",
                           "GET / HTTP/11",
                           "GET / HTTP/1.1x",
                           "GET / HTTP/1.",
                           "GET / HTTP/a.1",
                           "GET / HTTPS/1.1",
                           "GET / HTTP/+1.1",
                           "GET / HTTP/1,1",
                           "GET / HTTP/1.10"}) {
    CHECK(reason_of(std::string(line) + "\r\nHost: a\r\n\r\n") == "malformed request line");
  }
  for (const char* line : {"GET\t/\tHTTP/1.1", "GET /\tHTTP/1.1", "GET /\x01 HTTP/1.1",
                           "GET /\x7f HTTP/1.1", "G\x0b / HTTP/1.1"}) {
    CHECK(reason_of(std::string(line) + "\r\nHost: a\r\n\r\n") == "control in the request line");
  }
  CHECK(reason_of("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s) == "control in the request line");
  CHECK(reason_of("GET / HTTP/1.1\nHost: a\r\n\r\n") == "bare LF");
  CHECK(reason_of("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n") == "bare CR");
  CHECK(reason_of("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n") == "bare CR");
}

TEST_CASE("a method is a token, any token, and its case counts (RFC 9110 section 9.1)") {
  CHECK(read_request(with_target("/", "get")).method == "get");
  CHECK(read_request(with_target("/", "M-SEARCH")).method == "M-SEARCH");
  CHECK(read_request(with_target("/", "!#$%&'*+-.^_`|~09")).method == "!#$%&'*+-.^_`|~09");
  for (const char* method : {"G(T", "GET:", "G\"T", "G/T", "G@T", "{}", "G,T"}) {
    CHECK(fault_of(with_target("/", method)) == 400);
  }
}

TEST_CASE("only HTTP/1.0 and 1.1 are spoken here (RFC 9110 section 15.6.6)") {
  for (const char* version : {"0.9", "1.2", "2.0", "3.0", "1.9", "9.9", "0.1"}) {
    CHECK(fault_of("GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n\r\n") == 505);
  }
  CHECK(fault_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505);
  CHECK(read_request("GET / HTTP/1.0\r\nHost: a\r\n\r\n").minor_version == 0);
}

TEST_CASE("a target with a path is taken as it is (RFC 9112 section 3.2.1)") {
  for (const char* target :
       {"/", "//", "//other.example/x", "/a/../b", "/%2e%2e/%zz", "/?", "/a?b?c",
        "/a|b{c}\\^`<>\"[]", "/http://b.example/", "/*", "/a@b", "/;:&=+$,!~'()"}) {
    CHECK(read_request(with_target(target)).path == target);
    CHECK(read_request(with_target(target)).authority == "a.example");
  }
}

TEST_CASE("a bad target is refused (RFC 9112 section 3.2)") {
  for (const char* target :
       {"/#f", "/a#", "#", "a", "a/b", "?q", "a.example", "a.example:80", "..", "", "*a", "**",
        "\\", "/\x80", "/\xc3\xa4", "/\xff", ":", "://a/", "/ "}) {
    CHECK(fault_of(with_target(target)) == 400);
  }
}

TEST_CASE("an absolute target overrules a valid Host (RFC 9112 section 3.2.2)") {
  const HeadOutcome got = read_request(with_target("http://b.example:8080/p?q"));
  CHECK(got.scheme == "http");
  CHECK(got.authority == "b.example:8080");
  CHECK(got.path == "/p?q");
  CHECK(got.fields.empty());
  CHECK(read_request(with_target("HTTPS://b.example")).scheme == "https");
  CHECK(read_request(with_target("http://b.example")).path == "/");
  CHECK(read_request(with_target("http://b.example?q=/a")).path == "/?q=/a");
  CHECK(read_request(with_target("http://[2001:db8::1]:80/")).authority == "[2001:db8::1]:80");
  CHECK(read_request(with_target("http://b:/")).authority == "b");
  CHECK(read_request("GET http://b/ HTTP/1.0\r\n\r\n").authority == "b");
  CHECK(reason_of("GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n") == "bad Host");
  CHECK(reason_of("GET http://b/ HTTP/1.1\r\n\r\n") == "no Host");
}

TEST_CASE(
    "an absolute target is http or https with a host, without userinfo (RFC 9110 section 4.2)") {
  for (const char* target : {"ftp://b/",
                             "file:///x",
                             "http:/b/",
                             "http:b",
                             "http://",
                             "http:///x",
                             "http://u@b/",
                             "http://u:p@b/",
                             "http://@b/",
                             "http://b:x/",
                             "http://:80/",
                             "http://b:65536/",
                             "http://b:80:80/",
                             "http://b\\c/",
                             "http://[::1/",
                             "http://[x]/",
                             "http://b/#f",
                             "http://b#f",
                             "javascript:alert(1)",
                             "ws://b/",
                             "https//b/"}) {
    CHECK(fault_of(with_target(target)) == 400);
  }
}

TEST_CASE("an asterisk is for OPTIONS only (RFC 9112 section 3.2.4)") {
  CHECK(read_request(with_target("*", "OPTIONS")).path == "*");
  CHECK(read_request(with_target("http://b.example", "OPTIONS")).path == "*");
  CHECK(read_request(with_target("http://b.example/", "OPTIONS")).path == "/");
  CHECK(read_request(with_target("http://b.example?q", "OPTIONS")).path == "/?q");
  CHECK(fault_of(with_target("*", "GET")) == 400);
  CHECK(fault_of(with_target("*", "options")) == 400);
}

TEST_CASE("CONNECT has host and port, nothing else (RFC 9112 section 3.2.3)") {
  const HeadOutcome got = read_request(with_target("b.example:443", "CONNECT"));
  CHECK(got.method == "CONNECT");
  CHECK(got.authority == "b.example:443");
  CHECK(got.path == "");
  for (const char* target : {"b.example", "b.example:", "/", "*", "http://b.example/",
                             "b.example:443/", "u@b:443", ":443"}) {
    CHECK(fault_of(with_target(target, "CONNECT")) == 400);
  }
}

TEST_CASE("there is one Host in HTTP/1.1 and it is valid (RFC 9112 section 3.2)") {
  CHECK(reason_of("GET / HTTP/1.1\r\n\r\n") == "no Host");
  CHECK(reason_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n") == "several Host lines");
  CHECK(reason_of("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n") == "several Host lines");
  for (const char* host : {"",         " ",       "a b",       "a/b",       "a,b c",
                           "u@a",      "u:p@a",   "a:b",       "a:-1",      "a:65536",
                           "a:123456", "a:80:80", ":80",       "http://a",  "a\\b",
                           "a?b",      "a#b",     "[::1",      "::1",       "[::1]x",
                           "[::1]:x",  "[]",      "[1.2.3.4]", "[v1.x]",    "[fe80::1%25eth0]",
                           "a%",       "a%2",     "a%zz",      "a\xc3\xa4", "a\"b",
                           "a<b>",     "a\tb",    "[[::1]]",   "a]"}) {
    CHECK(reason_of(with_host(host)) == "bad Host");
  }
  for (const char* host :
       {"a", "A.Example.", "1.2.3.4", "1.2.3.4:80", "a:0", "a:65535", "[::1]", "[2001:db8::1]:443",
        "[::ffff:1.2.3.4]", "a_b", "a%2eb", "xn--4ca.example", "a-b.c~d!$&'()*+;=,e"}) {
    CHECK(read_request(with_host(host)).authority == host);
  }
  CHECK(read_request(with_host("a:")).authority == "a");
  CHECK(read_request(with_host("a:00080")).authority == "a:00080");
}

TEST_CASE("HTTP/1.0 may leave out Host, but not have two or a bad one (RFC 9112 section 3.2)") {
  CHECK(read_request("GET / HTTP/1.0\r\n\r\n").progress == Progress::kDone);
  CHECK(read_request("GET / HTTP/1.0\r\n\r\n").authority == "");
  CHECK(fault_of("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n") == 400);
  CHECK(fault_of("GET / HTTP/1.0\r\nHost: a b\r\n\r\n") == 400);
}

TEST_CASE("a field name is a token, directly before its colon (RFC 9112 section 5.1)") {
  CHECK(read_request(with_field("!#$%&'*+-.^_`|~09aZ: v")).fields ==
        FieldTexts{{"!#$%&'*+-.^_`|~09aZ", "v"}});
  CHECK(reason_of(with_field("X : v")) == "white space in or behind a field name");
  CHECK(reason_of(with_field("X\t: v")) == "white space in or behind a field name");
  CHECK(reason_of(with_field("X Y: v")) == "white space in or behind a field name");
  CHECK(reason_of(with_field("Content-Length : 5")) == "white space in or behind a field name");
  CHECK(reason_of(with_field(": v")) == "empty field name");
  CHECK(reason_of(with_field("no colon")) == "white space in or behind a field name");
  CHECK(reason_of(with_field("nocolon")) == "line without a colon");
  for (const char* name : {"X(", "X/", "X@", "X[", "X\"", "X,", "X;", "X=", "X?", "X{", "X\\",
                           "X\x7f", "X\x01", "X\x80", "\xc3\xa4", "X\x0b"}) {
    CHECK(reason_of(with_field(std::string(name) + ": v")) == "byte that no field name has");
  }
  CHECK(reason_of(with_field("X\0Y: v"s)) == "byte that no field name has");
}

TEST_CASE("lines end in CRLF, no bare CR or LF is one (RFC 9112 section 2.2)") {
  CHECK(reason_of("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n") == "bare LF");
  CHECK(reason_of("GET / HTTP/1.1\r\nHost: a\r\nX\n: y\r\n\r\n") == "bare LF");
  CHECK(reason_of("GET / HTTP/1.1\r\nHost: a\r\n\n") == "bare LF");
  CHECK(reason_of("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n") == "bare CR");
  CHECK(reason_of("GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n") == "bare CR");
  CHECK(reason_of(with_field("X: a\rb")) == "bare CR");
  CHECK(reason_of(with_field("X: a\r\r")) == "bare CR");
}

TEST_CASE("folded lines are refused (RFC 9112 section 5.2)") {
  constexpr std::string_view kFolded = "folded line or white space before the first field";
  CHECK(reason_of(with_field("X: a\r\n b")) == kFolded);
  CHECK(reason_of(with_field("X: a\r\n\tb")) == kFolded);
  CHECK(reason_of("GET / HTTP/1.1\r\n Host: a\r\n\r\n") == kFolded);
  CHECK(reason_of(with_field("X: a\r\n ")) == kFolded);
}

TEST_CASE("values have no controls but HTAB; bytes above ASCII are opaque (RFC 9110 section 5.5)") {
  for (int c = 0; c < 256; ++c) {
    std::string line = "X: a";
    line += static_cast<char>(c);
    line += "b";
    INFO("byte ", c);
    CHECK(is_taken(with_field(line)) == (c == '\t' || (c >= 0x20 && c != 0x7f)));
  }
  CHECK(reason_of(with_field("X: a\0b"s)) == "NUL in a field value");
  CHECK(read_request(with_field("X: \x80\xff")).fields[0].second == "\x80\xff");
}

TEST_CASE("a control is found wherever in a value it stands") {
  for (std::size_t i = 0; i < 40; ++i) {
    std::string value(40, i % 2 == 0 ? '\t' : '\xfe');
    CHECK(is_taken(with_field("X: a" + value + "b")));
    value[i] = i % 3 == 0 ? '\x1f' : '\x7f';
    CHECK(reason_of(with_field("X: a" + value + "b")) == "control in a field value");
  }
}

TEST_CASE("a byte that no target has is found wherever in it it stands") {
  for (std::size_t i = 0; i < 40; ++i) {
    std::string target(40, '~');
    target[i] = '\x80';
    CHECK(reason_of(with_target("/" + target)) == "non-ASCII in the request line");
    target[i] = '\x7f';
    CHECK(reason_of(with_target("/" + target)) == "control in the request line");
  }
}

TEST_CASE("Content-Length is one line of digits (RFC 9112 section 6.3, RFC 9110 section 8.6)") {
  CHECK(read_request(with_field("Content-Length: 5")).body == Kind::kKnown);
  CHECK(read_request(with_field("content-LENGTH:5 ")).body_bytes == 5);
  CHECK(read_request(with_field("Content-Length: 0")).body == Kind::kKnown);
  CHECK(read_request(with_field("Content-Length: 005")).body_bytes == 5);
  CHECK(read_request(with_field("Content-Length: 9223372036854775807")).body_bytes == INT64_MAX);
  CHECK(read_request(with_field("Content-Length: 5")).fields.empty());
  for (const char* length : {"",
                             "-1",
                             "+5",
                             "5 5",
                             "5,5",
                             "5, 5",
                             "5, 6",
                             "0x5",
                             "5.0",
                             "5a",
                             "a",
                             "\"5\"",
                             "1e3",
                             "5;",
                             ",5",
                             "9223372036854775808",
                             "18446744073709551621",
                             "00000000000000000005",
                             "\xd9\xa5",
                             "5\t6",
                             "_5",
                             "5_0"}) {
    CHECK(reason_of(with_field("Content-Length: " + std::string(length))) ==
          "malformed Content-Length");
  }
  CHECK(fault_of(with_field("Content-Length: 5\r\nContent-Length: 6")) == 400);
  CHECK(fault_of(with_field("Content-Length: 5\r\nContent-Length: 5")) == 400);
  CHECK(fault_of(with_field("Content-Length: 5\r\ncontent-length: x")) == 400);
}

TEST_CASE("Transfer-Encoding is one chunked (RFC 9112 sections 6.1 and 6.3)") {
  CHECK(read_request(with_field("Transfer-Encoding: chunked")).body == Kind::kUnknown);
  CHECK(read_request(with_field("transfer-encoding:\tCHUNKED ")).body == Kind::kUnknown);
  CHECK(read_request(with_field("Transfer-Encoding: chunked")).fields.empty());
  for (const char* coding : {"",
                             "identity",
                             "gzip",
                             "chunked, gzip",
                             "chunked, chunked",
                             "chunked,",
                             ", chunked",
                             ",",
                             "xchunked",
                             "chunkedx",
                             "chunked;q=1",
                             "chunked ;",
                             "\"chunked\"",
                             "'chunked'",
                             "chunked chunked",
                             "chun ked",
                             "chunked, identity",
                             "gzip, chunked, chunked",
                             "gzip chunked",
                             "gzip,, chunked",
                             "chunked\x80",
                             "(x), chunked",
                             "chunked;x, chunked",
                             "chunked; , gzip, chunked"}) {
    CHECK(fault_of(with_field("Transfer-Encoding: " + std::string(coding))) == 400);
  }
  CHECK(fault_of(with_field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")) == 400);
  CHECK(fault_of(with_field("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked")) == 400);
  CHECK(fault_of(with_field("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity")) == 400);
}

TEST_CASE("a foreign coding before chunked is not implemented (RFC 9112 section 6.1)") {
  for (const char* coding : {"gzip, chunked", "deflate,gzip,chunked", "identity, chunked",
                             "x;a=b, chunked", "cow ,\tCHUNKED"}) {
    CHECK(fault_of(with_field("Transfer-Encoding: " + std::string(coding))) == 501);
  }
}

TEST_CASE("Content-Length and Transfer-Encoding together are refused (RFC 9112 section 6.3)") {
  CHECK(fault_of(with_field("Content-Length: 5\r\nTransfer-Encoding: chunked")) == 400);
  CHECK(fault_of(with_field("Transfer-Encoding: chunked\r\nContent-Length: 5")) == 400);
  CHECK(fault_of(with_field("Transfer-Encoding: chunked\r\nContent-Length: 0")) == 400);
  CHECK(fault_of(with_field("Transfer-Encoding: gzip, chunked\r\nContent-Length: 5")) == 400);
}

TEST_CASE("HTTP/1.0 has no Transfer-Encoding (RFC 9112 section 6.1)") {
  CHECK(fault_of("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
  CHECK(read_request("POST / HTTP/1.0\r\nContent-Length: 7\r\n\r\n").body_bytes == 7);
}

TEST_CASE("names that only look like those of framing are other fields") {
  for (const char* name : {"Content_Length", "Content-Lengt", "Content-Length2", "XContent-Length",
                           "Transfer_Encoding", "Transfer.Encoding"}) {
    const HeadOutcome got = read_request(with_field(std::string(name) + ": x"));
    CHECK(got.body == Kind::kNone);
    CHECK(got.fields == FieldTexts{{name, "x"}});
  }
}

TEST_CASE("a connection is kept unless one side says close; HTTP/1.0 has to ask (RFC 9112 9.3)") {
  const auto keeps = [](const char* version, const char* lines) {
    return read_request("GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n" + lines + "\r\n")
        .keep_alive;
  };
  CHECK(keeps("1.1", ""));
  CHECK(keeps("1.1", "Connection: keep-alive\r\n"));
  CHECK_FALSE(keeps("1.1", "Connection: close\r\n"));
  CHECK_FALSE(keeps("1.1", "Connection: x, CLOSE\r\n"));
  CHECK_FALSE(keeps("1.1", "Connection: x\r\nConnection: close\r\n"));
  CHECK(keeps("1.1", "Connection: closed\r\n"));
  CHECK_FALSE(keeps("1.0", ""));
  CHECK(keeps("1.0", "Connection: Keep-Alive\r\n"));
  CHECK_FALSE(keeps("1.0", "Connection: keep-alive, close\r\n"));
}

TEST_CASE(
    "Connection stays among the fields for who removes what it names (RFC 9110 section 7.6.1)") {
  CHECK(read_request(with_field("Connection: x, close")).fields ==
        FieldTexts{{"Connection", "x, close"}});
}

TEST_CASE("a client that waits for a 100 says so (RFC 9110 section 10.1.1)") {
  const auto waits = [](const char* version, const char* lines) {
    return read_request("PUT / HTTP/" + std::string(version) + "\r\nHost: a\r\n" + lines + "\r\n")
        .expects_continue;
  };
  CHECK(waits("1.1", "Expect: 100-continue\r\nContent-Length: 5\r\n"));
  CHECK(waits("1.1", "expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n"));
  CHECK_FALSE(waits("1.1", "Expect: 100-continue\r\n"));
  CHECK_FALSE(waits("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n"));
  CHECK_FALSE(waits("1.1", "Expect: 200-ok\r\nContent-Length: 5\r\n"));
  CHECK_FALSE(waits("1.0", "Expect: 100-continue\r\nContent-Length: 5\r\n"));
}

TEST_CASE("an upgrade is wanted when Connection lists it, to one protocol (RFC 9110 section 7.8)") {
  const auto protocol = [](const char* version, const char* lines) {
    return read_request("GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n" + lines + "\r\n")
        .protocol;
  };
  CHECK(protocol("1.1", "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n") ==
        "websocket");
  CHECK(protocol("1.1", "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n") == "TLS/1.0");
  CHECK(protocol("1.1", "Upgrade: websocket\r\n") == "");
  CHECK(protocol("1.1", "Upgrade: a, b\r\nConnection: upgrade\r\n") == "");
  CHECK(protocol("1.1", "Upgrade: a\r\nUpgrade: b\r\nConnection: upgrade\r\n") == "");
  CHECK(protocol("1.1", "Upgrade: \r\nConnection: upgrade\r\n") == "");
  CHECK(protocol("1.1", "Upgrade: a/\r\nConnection: upgrade\r\n") == "");
  CHECK(protocol("1.0", "Upgrade: websocket\r\nConnection: upgrade\r\n") == "");
  CHECK(read_request(with_field("Upgrade: websocket")).fields.empty());
}

TEST_CASE("a request line has a limit (RFC 9112 section 3: 414)") {
  HeadLimits limits;
  limits.request_line_bytes_max = 20;
  CHECK(read_request("GET /345678 HTTP/1.1\r\nHost: a\r\n\r\n", limits).progress ==
        Progress::kDone);
  CHECK(read_request("GET /3456789 HTTP/1.1\r\nHost: a\r\n\r\n", limits).fault == 414);
  CHECK(read_request("GET /3456789012345678", limits).fault == 0);
  CHECK(read_request("GET /34567890123456789", limits).fault == 414);
  CHECK(read_request("\r\nGET /345678 HTTP/1.1\r\nHost: a\r\n\r\n", limits).fault == 0);
  CHECK(read_request("\r\nGET /3456789 HTTP/1.1\r\nHost: a\r\n\r\n", limits).fault == 414);
  CHECK(fault_of("GET /" + std::string(8192 - 14, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n") == 0);
  CHECK(fault_of("GET /" + std::string(8192 - 13, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n") == 414);
}

TEST_CASE("a head has a limit of bytes and of fields (RFC 6585 section 5: 431)") {
  HeadLimits limits;
  limits.header_bytes_max = 60;
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  const std::string fits = start + std::string(60 - start.size() - 4, 'x') + "\r\n\r\n";
  CHECK(read_request(fits, limits).progress == Progress::kDone);
  CHECK(read_request(fits + "GET", limits).consumed == 60);
  CHECK(read_request(start + std::string(60 - start.size() - 3, 'x') + "\r\n\r\n", limits).fault ==
        431);
  CHECK(read_request(start + std::string(60 - start.size(), 'x'), limits).fault == 431);
  limits = {};
  limits.fields_max = 3;
  CHECK(read_request(with_field("A: 1\r\nB: 2"), limits).progress == Progress::kDone);
  CHECK(read_request(with_field("A: 1\r\nB: 2\r\nC: 3"), limits).fault == 431);
  std::string many;
  for (int i = 0; i < 200; ++i) many += "X: y\r\n";
  CHECK(reason_of(with_field(many)) == "too many fields");
}

}  // namespace postern::http::h1
