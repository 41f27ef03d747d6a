#include "http/h2_client.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "h2_exchange.h"

namespace postern::test {
namespace {

using Kind = BodyLength::Kind;

TEST_CASE("a client begins with the preface, SETTINGS without push, and a larger window") {
  TestClient client;
  std::vector<std::uint8_t> out(16393);
  const std::size_t size = client.connection->collect(out);
  const std::string text(as_text(Bytes(out).first(size)));
  REQUIRE(text.starts_with(kPreface));
  const auto frames = client.reader.read(as_bytes(std::string_view(text).substr(24)));
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].payload == setting(2, 0) + setting(4, 65536) + setting(6, 65536));
  CHECK(frames[1].type == kWindowUpdate);
}

TEST_CASE("a request without a body") {
  TestClient client;
  client.greet();
  Exchange exchange;
  RequestHead head = request_head("GET", "/a?b");
  head.fields.add("Accept", "x/y");
  head.fields.add("Connection", "close");
  head.fields.add("TE", "trailers");
  head.fields.add("Host", "b.example");
  CHECK(client.connection->has_room());
  CHECK(client.connection->request(head, {}, exchange) == 1);
  CHECK(client.connection->streams() == 1);
  const auto frames = client.take();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].ends_stream());
  CHECK(frames[0].lines == Lines{{":method", "GET"},
                                 {":scheme", "https"},
                                 {":path", "/a?b"},
                                 {":authority", "a.example"},
                                 {"accept", "x/y"},
                                 {"te", "trailers"}});
}

TEST_CASE("RFC 7541 appendix C.6: a response in Huffman code") {
  TestClient client;
  client.greet();
  Exchange exchange;
  client.start(&exchange);
  CHECK(client.give(frame(
      kHeaders, kEndHeaders, 1,
      "\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b\x61\x96\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20"
      "\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff\x6e\x91\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b"
      "\x97\xc8\xe9\xae\x82\xae\x43\xd3")));
  CHECK(exchange.responses == 1);
  CHECK(exchange.status == 302);
  CHECK(exchange.fields == Lines{{"cache-control", "private"},
                                 {"date", "Mon, 21 Oct 2013 20:13:21 GMT"},
                                 {"location", "https://www.example.com"}});
}

TEST_CASE("a response: interim head, head, body, trailers") {
  TestClient client;
  client.greet();
  Exchange exchange;
  client.start(&exchange);
  CHECK(client.give(headers(1, {{":status", "103"}, {"link", "</a>"}})));
  CHECK(exchange.interims == 1);
  CHECK(exchange.status == 103);
  CHECK(exchange.fields == Lines{{"link", "</a>"}});
  CHECK(client.give(headers(1, {{":status", "200"}, {"content-length", "3"}, {"a", "b"}})));
  CHECK(exchange.responses == 1);
  CHECK(exchange.length.kind == Kind::kKnown);
  CHECK(exchange.length.bytes == 3);
  CHECK(exchange.fields == Lines{{"a", "b"}});
  CHECK(client.give(data(1, "abc") + headers(1, {{"sum", "6"}, {"host", "x"}}, kEndStream)));
  CHECK(exchange.content == "abc");
  CHECK(exchange.ends == 1);
  CHECK(exchange.trailers == Lines{{"sum", "6"}});
  CHECK(exchange.closes == 1);
  CHECK(exchange.error == 0);
  CHECK(!exchange.unprocessed);
  CHECK(client.connection->streams() == 0);
}

TEST_CASE("a response of no bytes may have trailers") {
  TestClient client;
  client.greet();
  Exchange exchange;
  client.start(&exchange);
  CHECK(client.give(headers(1, {{":status", "200"}, {"content-length", "0"}})));
  CHECK(exchange.length.kind == Kind::kUnknown);
  CHECK(client.give(headers(1, {{"grpc-status", "0"}}, kEndStream)));
  CHECK(exchange.ends == 1);
  CHECK(exchange.trailers == Lines{{"grpc-status", "0"}});
}

TEST_CASE("responses without a body say so, whatever END_STREAM does") {
  for (const bool late : {false, true}) {
    CAPTURE(late);
    TestClient client;
    client.greet();
    Exchange to_head, no_content, not_modified;
    client.start(&to_head, "HEAD");
    client.start(&no_content);
    client.start(&not_modified);
    const std::uint8_t flags = late ? 0 : kEndStream;
    client.give(headers(1, {{":status", "200"}, {"content-length", "9"}}, flags));
    client.give(headers(3, {{":status", "204"}}, flags));
    client.give(headers(5, {{":status", "304"}, {"content-length", "9"}}, flags));
    if (late) {
      for (const std::int32_t id : {1, 3, 5}) client.give(data(id, "", kEndStream));
    }
    CHECK(to_head.fields == Lines{{"content-length", "9"}});
    CHECK(no_content.fields.empty());
    CHECK(not_modified.fields == Lines{{"content-length", "9"}});
    for (const Exchange* exchange : {&to_head, &no_content, &not_modified}) {
      CHECK(exchange->responses == 1);
      CHECK(exchange->length.kind == Kind::kNone);
      CHECK(exchange->ends == 0);
      CHECK(exchange->closes == 1);
      CHECK(exchange->error == 0);
    }
  }
}

TEST_CASE("malformed responses close their stream with an error") {
  const std::string ways[] = {
      headers(1, {{"a", "b"}}),
      headers(1, {{":status", "101"}}),
      headers(1, {{":status", "20"}}),
      headers(1, {{":status", "abc"}}),
      headers(1, {{":status", "200"}, {":path", "/"}}),
      headers(1, {{":status", "200"}, {"connection", "close"}}),
      headers(1, {{":status", "200"}, {"transfer-encoding", "chunked"}}),
      headers(1, {{":status", "200"}, {"A", "b"}}),
      headers(1, {{":status", "200"}, {"content-length", "-1"}}),
      headers(1, {{":status", "100"}}, kEndStream),
      headers(1, {{":status", "200"}, {"content-length", "2"}}) + data(1, "x", kEndStream),
      headers(1, {{":status", "200"}, {"content-length", "2"}}) + data(1, "xyz"),
      headers(1, {{":status", "200"}, {"big", std::string(5000, 'x')}}),
      headers(1, {{":status", "200"}}) + headers(1, {{"sum", "1"}}),
  };
  for (const std::string& way : ways) {
    CAPTURE(way);
    http::h2::Settings small;
    small.header_bytes_max = 4096;
    TestClient client(small);
    client.greet();
    Exchange exchange, other;
    client.start(&exchange);
    client.start(&other);
    CHECK(client.give(way));
    CHECK(of_type(client.take(), kRstStream, 1).size() == 1);
    CHECK(exchange.closes == 1);
    CHECK(exchange.error != 0);
    CHECK(!exchange.unprocessed);
    CHECK(exchange.ends == 0);
    CHECK(client.give(headers(3, {{":status", "200"}}, kEndStream)));
    CHECK(other.responses == 1);
  }
}

TEST_CASE("interim responses are told however many there are, to an owner that listens") {
  TestClient client;
  client.greet();
  Exchange exchange;
  client.start(&exchange);
  for (int i = 0; i < 1000; ++i) client.give(headers(1, {{":status", "102"}}));
  CHECK(exchange.interims == 1000);
  client.connection->cancel(1);
  CHECK(client.give(headers(1, {{":status", "102"}})));
  CHECK(exchange.interims == 1000);
  CHECK(exchange.closes == 0);
}

TEST_CASE("what the backend never looked at may be sent again") {
  TestClient client;
  client.greet();
  Exchange one, two, three, four;
  client.start(&one);
  client.start(&two);
  client.start(&three);
  client.give(rst_stream(1, 7));  // REFUSED_STREAM
  CHECK(one.closes == 1);
  CHECK(one.unprocessed);
  client.give(frame(kGoaway, 0, 0, u32(3) + u32(0)));
  CHECK(three.closes == 1);
  CHECK(three.unprocessed);
  CHECK(client.connection->going_away());
  CHECK(!client.connection->has_room());
  CHECK(two.closes == 0);
  CHECK(client.connection->request(request_head("GET", "/"), {}, four) < 0);
  client.give(headers(3, {{":status", "200"}}, kEndStream));
  CHECK(two.closes == 1);
  CHECK(!two.unprocessed);
  CHECK(client.connection->streams() == 0);
}

TEST_CASE("a request that never left may be sent again") {
  TestClient client;
  client.greet();
  Exchange exchange;
  CHECK(client.connection->request(request_head("POST", "/"), {}, exchange) == 1);
  client.give(frame(kGoaway, 0, 0, u32(0) + u32(2)));
  client.take();
  CHECK(exchange.closes == 1);
  CHECK(exchange.unprocessed);
  CHECK(client.connection->streams() == 0);
}

TEST_CASE("streams that had been sent are not unprocessed when the connection dies") {
  TestClient client;
  client.greet();
  Exchange sent, unsent;
  client.start(&sent);
  client.connection->request(request_head("GET", "/"), {}, unsent);
  client.give(data(0, "x"));
  client.take();
  CHECK(!client.give(ping()));
  CHECK(!client.connection->fault().empty());
  CHECK(sent.closes == 1);
  CHECK(!sent.unprocessed);
  CHECK(unsent.closes == 1);
  CHECK(unsent.unprocessed);
  CHECK(client.connection->going_away());
}

TEST_CASE("the body of what the backend never looked at comes back when it is still there") {
  const std::string small(16384, 'a');
  const std::string large(16385, 'b');
  for (const bool sent : {false, true}) {
    for (const bool interim : {false, true}) {
      for (const std::string& body : {std::string(), small, large}) {
        CAPTURE(sent);
        CAPTURE(interim);
        CAPTURE(body.size());
        TestClient client;
        client.greet();
        Exchange exchange;
        client.connection->request(request_head("POST", "/"), {Kind::kUnknown, 0}, exchange);
        client.connection->body(1, as_bytes(body));
        if (sent) client.take();
        if (sent && interim) client.give(headers(1, {{":status", "103"}}));
        if (sent) {
          client.give(rst_stream(1, 7));
        } else {
          client.connection->abandon();
        }
        CHECK(exchange.unprocessed);
        const bool there = body.empty() || !sent || (!interim && body.size() <= 16384);
        CHECK(exchange.returns == (there ? 1 : 0));
        CHECK((!there || exchange.returned_body == body));
      }
    }
  }
}

TEST_CASE("when the transport is gone, what has not left is unprocessed") {
  TestClient client;
  client.greet();
  Exchange sent, canceled, unsent;
  client.connection->request(request_head("POST", "/"), {Kind::kUnknown, 0}, sent);
  client.connection->body(1, as_bytes("abc"));
  client.start(&canceled);
  client.connection->cancel(3);
  client.connection->request(request_head("POST", "/"), {Kind::kUnknown, 0}, unsent);
  client.connection->body(5, as_bytes("def"));
  client.connection->abandon();
  CHECK((sent.closes == 1 && !sent.unprocessed && sent.returns == 0));
  CHECK(canceled.closes == 0);
  CHECK((unsent.closes == 1 && unsent.unprocessed && unsent.returned_body == "def"));
  CHECK(client.connection->streams() == 0);
  CHECK(!client.connection->has_room());
  client.connection->abandon();
  CHECK(unsent.closes == 1);
}

TEST_CASE("the backend's limit of streams is kept") {
  TestClient client;
  client.greet(setting(3, 2));
  Exchange one, two, three;
  client.start(&one);
  CHECK(client.connection->has_room());
  client.start(&two);
  CHECK(!client.connection->has_room());
  CHECK(client.connection->request(request_head("GET", "/"), {}, three) < 0);
  client.give(headers(1, {{":status", "200"}}, kEndStream));
  CHECK(client.connection->has_room());
}

TEST_CASE("a request that was canceled says nothing more") {
  TestClient client;
  client.greet();
  Exchange sent, unsent;
  client.start(&sent);
  client.connection->request(request_head("GET", "/"), {}, unsent);
  client.connection->cancel(1);
  client.connection->cancel(3);
  client.connection->cancel(3);
  client.connection->body(1, as_bytes("x"));
  client.give(headers(1, {{":status", "200"}}) + data(1, "x"));
  const auto frames = client.take();
  REQUIRE(of_type(frames, kRstStream, 1).size() == 1);
  CHECK(of_type(frames, kRstStream, 1)[0].word() == 8);
  CHECK(of_type(frames, kHeaders, 3).empty());
  CHECK(client.connection->streams() == 0);
  for (const Exchange* exchange : {&sent, &unsent}) {
    CHECK(exchange->responses == 0);
    CHECK(exchange->closes == 0);
  }
}

TEST_CASE("extended CONNECT to a backend") {
  TestClient client;
  CHECK(!client.connection->allows_connect_protocol());
  client.greet(setting(8, 1));
  CHECK(client.connection->allows_connect_protocol());
  Exchange exchange;
  RequestHead head = request_head("GET", "/chat");
  head.protocol = "websocket";
  const std::int32_t id = client.connection->request(head, {}, exchange);
  client.connection->body(id, as_bytes("up"));
  const auto frames = client.take();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].line(":method") == "CONNECT");
  CHECK(frames[0].line(":protocol") == "websocket");
  CHECK(frames[0].line(":path") == "/chat");
  CHECK(!frames[0].ends_stream());
  CHECK(frames[1].payload == "up");
  client.give(headers(id, {{":status", "200"}}) + data(id, "down"));
  CHECK(exchange.length.kind == Kind::kUnknown);
  CHECK(exchange.content == "down");
}

TEST_CASE("pings and the end of a client") {
  TestClient client;
  client.greet();
  client.connection->ping();
  const auto pings = of_type(client.take(), kPing);
  REQUIRE(pings.size() == 1);
  CHECK(pings[0].flags == 0);
  CHECK(client.give(ping(pings[0].payload, kAck)));
  Exchange exchange;
  client.start(&exchange);
  client.connection->shut_down();
  client.connection->shut_down();
  CHECK(of_type(client.take(), kGoaway).size() == 1);
  CHECK(client.connection->going_away());
  client.give(headers(1, {{":status", "200"}}, kEndStream));
  CHECK(exchange.closes == 1);
  CHECK(exchange.error == 0);
}

}  // namespace
}  // namespace postern::test
