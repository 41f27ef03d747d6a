#include "gateway/proxy_protocol.h"

#include <string>

#include <doctest/doctest.h>

namespace postern::gateway {
namespace {

using namespace std::string_literals;
using State = ProxyHeaderReader::State;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;
// 192.0.2.1:40000 to 198.51.100.7:5432
const std::string kTcp4 = kSignature + "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\x15\x38"s;

std::string written(std::string_view source, std::string_view destination) {
  std::array<std::uint8_t, kProxyHeaderWrittenMax> out{};
  const std::size_t size = write_proxy_header(Endpoint::parse(source).value(),
                                              Endpoint::parse(destination).value(), out);
  return std::string(as_text({out.data(), size}));
}

ProxyHeaderReader read(const std::string& bytes) {
  ProxyHeaderReader reader;
  const std::size_t taken = reader.take(as_bytes(bytes));
  CHECK((reader.state() == State::kFault || taken <= bytes.size()));
  return reader;
}

State state_of(const std::string& bytes) { return read(bytes).state(); }

std::string source_of(const ProxyHeaderReader& reader) {
  REQUIRE(reader.state() == State::kDone);
  const auto& source = reader.header().source;
  return source ? source->to_string() : "none";
}

}  // namespace

TEST_CASE("a header is written byte for byte as in the specification") {
  CHECK(written("192.0.2.1:40000", "198.51.100.7:5432") == kTcp4);
  CHECK(written("[2001:db8::1]:40000", "[fd00::7]:5432") ==
        kSignature + "\x21\x21\0\x24"s + "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\1\xfd"s +
            std::string(14, '\0') + "\7\x9c\x40\x15\x38"s);
}

TEST_CASE("an IPv4 address beside an IPv6 one is written as a mapped one") {
  const std::string mapped = std::string(10, '\0') + "\xff\xff\xc0\0\2\1"s;
  CHECK(written("192.0.2.1:40000", "[fd00::7]:5432").substr(16, 16) == mapped);
  CHECK(source_of(read(written("192.0.2.1:40000", "[fd00::7]:5432"))) == "192.0.2.1:40000");
}

TEST_CASE("a header is read in pieces of any size") {
  const std::string bytes = kTcp4 + "data";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    ProxyHeaderReader reader;
    std::size_t taken = 0;
    for (std::size_t at = 0; at < bytes.size() && reader.state() == State::kMore; at += piece) {
      CHECK(reader.wanted() > 0);
      taken += reader.take(as_bytes(bytes.substr(at, piece)));
    }
    CHECK(taken == kTcp4.size());
    CHECK(reader.wanted() == 0);
    CHECK(source_of(reader) == "192.0.2.1:40000");
    CHECK(reader.header().destination->to_string() == "198.51.100.7:5432");
  }
}

TEST_CASE("the header that HAProxy 2.6 writes is read") {
  const std::string bytes = kSignature + "!\x11\0\x0c\x7f\0\2\x09\x7f\0\0\x34\x9c\xbb\x24\xda"s;
  CHECK(source_of(read(bytes)) == "127.0.2.9:40123");
  CHECK(read(bytes).header().destination->to_string() == "127.0.0.52:9434");
}

TEST_CASE("wanted() never reaches beyond the header") {
  std::string bytes = kTcp4;
  bytes[15] = '\x0f';
  bytes += "\4\0\0data"s;
  ProxyHeaderReader reader;
  std::size_t at = 0;
  while (reader.state() == State::kMore) {
    const std::size_t wanted = reader.wanted();
    CHECK(reader.take(as_bytes(bytes.substr(at, wanted))) == wanted);
    at += wanted;
  }
  CHECK(bytes.substr(at) == "data");
}

TEST_CASE("extensions are skipped up to the limit") {
  const auto with_size = [](std::size_t size) {
    std::string bytes = kTcp4;
    bytes[14] = static_cast<char>(size >> 8);
    bytes[15] = static_cast<char>(size & 255);
    return bytes + std::string(size - 12, 'x');
  };
  CHECK(source_of(read(with_size(15))) == "192.0.2.1:40000");
  CHECK(source_of(read(with_size(4080))) == "192.0.2.1:40000");
  CHECK(state_of(with_size(4081)) == State::kFault);
}

TEST_CASE("health checks of a proxy and other families leave the addresses as they are") {
  CHECK(source_of(read(kSignature + "\x20\0\0\0"s)) == "none");
  CHECK(source_of(read(kSignature + "\x20\x11\0\x0c"s + kTcp4.substr(16))) == "none");
  CHECK(source_of(read(kSignature + "\x21\0\0\0"s)) == "none");
  CHECK(source_of(read(kSignature + "\x21\x12\0\x0c"s + kTcp4.substr(16))) == "none");  // UDP
  CHECK(source_of(read(kSignature + "\x21\x31\0\xd8"s + std::string(216, 'p'))) == "none");
}

TEST_CASE("what is not the protocol is a fault at its first wrong byte") {
  CHECK(state_of("G") == State::kFault);
  CHECK(state_of("PROXY TCP4 192.0.2.1 198.51.100.7 40000 5432\r\n") == State::kFault);
  CHECK(state_of(kSignature.substr(0, 11) + "\r") == State::kFault);
  CHECK(state_of(kSignature + "\x11") == State::kFault);      // version 1
  CHECK(state_of(kSignature + "\x22") == State::kFault);      // no such command
  CHECK(state_of(kSignature + "\x21\x41") == State::kFault);  // no such family
  CHECK(state_of(kSignature + "\x21\x13") == State::kFault);  // no such transport
  CHECK(state_of(kSignature + "\x21\x11\0\x0b"s + std::string(11, 'x')) == State::kFault);
  CHECK(state_of(kSignature + "\x21\x11\0"s) == State::kMore);
}

}  // namespace postern::gateway
