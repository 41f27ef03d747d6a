#include <array>
#include <string>
#include <vector>

#include "bench.h"
#include "http/h2_server.h"

namespace postern::bench {
namespace {

using http::BodyLength;

// What a browser sends for a page, as literals that go into the dynamic table the first time.
std::string request_block(bool first) {
  struct Line {
    std::string_view name, value;
  };
  static constexpr std::array<Line, 9> kLines{{
      {":method", "GET"},
      {":scheme", "https"},
      {":authority", "www.example.com"},
      {":path", "/articles/2024/11/a-title-of-some-length?ref=front&page=2"},
      {"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
      {"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
      {"accept-language", "en-US,en;q=0.5"},
      {"accept-encoding", "gzip, deflate, br, zstd"},
      {"cookie", "session=0123456789abcdef0123456789abcdef; theme=dark"},
  }};
  std::string block;
  for (std::size_t i = 0; i < kLines.size(); ++i) {
    if (first) {
      block += '\x40';
      for (const std::string_view text : {kLines[i].name, kLines[i].value}) {
        block += static_cast<char>(text.size());  // below 127
        block += text;
      }
    } else {
      block += static_cast<char>(0x80 + 62 + kLines.size() - 1 - i);
    }
  }
  return block;
}

std::string headers_frame(std::uint32_t stream, std::string_view block) {
  std::string frame(9, '\0');
  auto* const bytes = reinterpret_cast<std::uint8_t*>(frame.data());
  store_u32(bytes, static_cast<std::uint32_t>(block.size()) << 8);
  frame[3] = 1;
  frame[4] = 5;  // END_STREAM, END_HEADERS
  store_u32(bytes + 5, stream);
  return frame.append(block);
}

class Page final : public http::h2::ServerEvents, public http::h2::ServerStream {
 public:
  explicit Page(std::size_t body_bytes)
      : body_(body_bytes, 'x'), connection_(http::h2::ServerConnection::make({}, *this)) {
    response_.status = 200;
    response_.fields.add("Server", "nginx");
    response_.fields.add("Date", "Sun, 24 Nov 2024 12:00:00 GMT");
    response_.fields.add("Content-Type", "text/html; charset=utf-8");
    response_.fields.add("ETag", "\"0123456789abcdef\"");
    connection_->receive(as_bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0);
    connection_->receive(as_bytes(std::string("\0\0\0\4\0\0\0\0\0", 9)), 0);
    give(headers_frame(1, request_block(true)));
    later_ = request_block(false);
  }

  void serve_one() {
    stream_ += 2;
    if (stream_ % 100 == 1) open_window();
    give(headers_frame(stream_, later_));
  }

  http::h2::ServerStream* opened(std::int32_t) override { return this; }
  http::RequestHead& head() override { return head_; }
  void request(BodyLength) override {
    const auto id = static_cast<std::int32_t>(stream_);
    connection_->respond(id, response_, {BodyLength::Kind::kKnown, body_.size()});
    connection_->body(id, as_bytes(body_));
    connection_->body_end(id, {});
  }
  void head_too_large(bool) override {}
  void body(Bytes) override {}
  void body_end(const http::Fields&) override {}
  void drained() override {}
  void closed(std::uint32_t) override {}

 private:
  void give(std::string_view bytes) {
    connection_->receive(as_bytes(bytes), 0);
    while (connection_->collect(out_) != 0) keep(out_);
  }
  void open_window() {
    std::string frame("\0\0\4\x08\0\0\0\0\0", 9);
    frame.resize(13);
    store_u32(reinterpret_cast<std::uint8_t*>(frame.data()) + 9,
              static_cast<std::uint32_t>(50 * body_.size()));
    give(frame);
  }

  std::string body_;
  std::string later_;
  http::RequestHead head_;
  http::ResponseHead response_;
  std::uint32_t stream_ = 1;
  std::vector<std::uint8_t> out_ = std::vector<std::uint8_t>(65536);
  std::unique_ptr<http::h2::ServerConnection> connection_;
};

}  // namespace

void bench_h2(Bench& bench) {
  Page small(128);
  bench.run("h2 server: request of 9 fields, response of 5 and 128 bytes",
            [&](std::uint64_t) { small.serve_one(); });
  Page large(60'000);
  bench.run(
      "h2 server: the same with 60,000 bytes", [&](std::uint64_t) { large.serve_one(); }, 60'000);
}

}  // namespace postern::bench
