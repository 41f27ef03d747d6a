#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "http/h1_body.h"
#include "http/h1_request.h"
#include "http/h1_response.h"
#include "http/h1_write.h"

namespace {
std::size_t allocations = 0;
}

// Counts what this executable allocates.
void* operator new(std::size_t size) {
  ++allocations;
  void* const place = std::malloc(size);
  if (place == nullptr) throw std::bad_alloc();
  return place;
}
void operator delete(void* place) noexcept { std::free(place); }
void operator delete(void* place, std::size_t) noexcept { std::free(place); }

namespace postern::http::h1 {
namespace {

/// All that one exchange takes from the codec.
struct Exchange {
  const std::string request =
      "POST http://b.example?q HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nX: y\r\n"
      "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n";
  const std::string response = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello";
  std::vector<std::uint8_t> out = std::vector<std::uint8_t>(1024);
  RequestReader requests;
  ResponseReader responses;
  BodyReader body;
  RequestHead request_head;
  ResponseHead response_head;

  bool read_body(Bytes left, BodyLength length) {
    body.start(length);
    while (!body.done()) {
      const BodyPiece piece = body.feed(left);
      if (piece.progress == Progress::kFault || piece.consumed == 0) return false;
      left = left.subspan(piece.consumed);
    }
    return true;
  }

  bool run() {
    requests.start();
    responses.start(false);
    return requests.read(as_bytes(request).first(40), &request_head) == Progress::kMore &&
           requests.read(as_bytes(request), &request_head) == Progress::kDone &&
           read_body(as_bytes(request).subspan(requests.consumed()), requests.body()) &&
           write_last_chunk(body.trailers(), out).status == WriteStatus::kWritten &&
           write_request(request_head, requests.body(), out).status == WriteStatus::kWritten &&
           responses.read(as_bytes(response), &response_head) == Progress::kDone &&
           read_body(as_bytes(response).subspan(responses.consumed()), responses.body()) &&
           write_response(response_head, responses.body(), false, "close", out).status ==
               WriteStatus::kWritten;
  }
};

}  // namespace

TEST_CASE("what was used once allocates nothing when it is used again") {
  Exchange exchange;
  REQUIRE(exchange.run());
  const std::size_t before = allocations;
  bool ran = true;
  for (int i = 0; i < 10; ++i) ran = ran && exchange.run();
  const std::size_t after = allocations;
  CHECK(ran);
  CHECK(before > 0);
  CHECK(after == before);
}

}  // namespace postern::http::h1
