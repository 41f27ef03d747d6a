#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "bench.h"
#include "http/h1_body.h"
#include "http/h1_request.h"
#include "http/h1_response.h"
#include "http/h1_write.h"

namespace postern::bench {
namespace {

using http::BodyLength;

// What a browser sends for a page: 12 fields.
constexpr std::string_view kBrowser =
    "GET /articles/2024/11/a-title-of-some-length?ref=front&page=2 HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: "
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Connection: keep-alive\r\n"
    "Referer: https://www.example.com/articles/\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes; "
    "_id=GA1.2.1234567890.1\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Priority: u=0, i\r\n"
    "\r\n";

constexpr std::string_view kSmall = "GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n";

constexpr std::string_view kResponse =
    "HTTP/1.1 200 OK\r\n"
    "Server: nginx\r\n"
    "Date: Sun, 24 Nov 2024 12:00:00 GMT\r\n"
    "Content-Type: text/html; charset=utf-8\r\n"
    "Content-Length: 12345\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=60, stale-while-revalidate=600\r\n"
    "ETag: \"0123456789abcdef\"\r\n"
    "Vary: Accept-Encoding\r\n"
    "\r\n";

void bench_requests(Bench& bench) {
  http::h1::RequestReader reader;
  http::RequestHead head;
  const auto read = [&](std::string_view text) {
    reader.start();
    keep(reader.read(as_bytes(text), &head));
    keep(head);
  };
  bench.run(
      "h1 request: browser, 12 fields", [&](std::uint64_t) { read(kBrowser); }, kBrowser.size());
  bench.run(
      "h1 request: smallest", [&](std::uint64_t) { read(kSmall); }, kSmall.size());
  bench.run(
      "h1 request: browser, in pieces of 100 bytes",
      [&](std::uint64_t) {
        reader.start();
        for (std::size_t size = 100; size < kBrowser.size(); size += 100) {
          keep(reader.read(as_bytes(kBrowser.substr(0, size)), &head));
        }
        keep(reader.read(as_bytes(kBrowser), &head));
        keep(head);
      },
      kBrowser.size());
}

void bench_responses(Bench& bench) {
  http::h1::ResponseReader reader;
  http::ResponseHead head;
  bench.run(
      "h1 response: 8 fields",
      [&](std::uint64_t) {
        reader.start(false);
        keep(reader.read(as_bytes(kResponse), &head));
        keep(head);
      },
      kResponse.size());
}

void bench_writing(Bench& bench) {
  http::h1::RequestReader reader;
  http::RequestHead request;
  reader.read(as_bytes(kBrowser), &request);
  request.fields.remove("Connection");
  std::array<std::uint8_t, 4096> out{};
  bench.run(
      "h1 request: written anew",
      [&](std::uint64_t) {
        keep(http::h1::write_request(request, {}, out));
        keep(out);
      },
      kBrowser.size());
}

void bench_bodies(Bench& bench) {
  const auto chunks = [](std::size_t size, int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      text += http::h1::ChunkSizeLine(size).text();
      text += std::string(size, 'x') + "\r\n";
    }
    return text + "0\r\n\r\n";
  };
  http::h1::BodyReader reader;
  const auto read = [&](std::string_view text) {
    reader.start({BodyLength::Kind::kUnknown, 0});
    while (!reader.done()) {
      const http::h1::BodyPiece piece = reader.feed(as_bytes(text));
      keep(piece);
      text.remove_prefix(piece.consumed);
    }
  };
  const std::string large = chunks(16384, 4);
  const std::string small = chunks(100, 100);
  bench.run(
      "h1 body: 4 chunks of 16 KiB", [&](std::uint64_t) { read(large); }, large.size());
  bench.run(
      "h1 body: 100 chunks of 100 bytes", [&](std::uint64_t) { read(small); }, small.size());
}

}  // namespace

void bench_h1(Bench& bench) {
  bench_requests(bench);
  bench_responses(bench);
  bench_writing(bench);
  bench_bodies(bench);
}

}  // namespace postern::bench
