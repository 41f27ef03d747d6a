#include "gateway/quic_reject.h"

#include <array>
#include <string>

#include <doctest/doctest.h>

#include "quic_bytes.h"

namespace postern::gateway {
namespace {

using namespace std::string_literals;
using test::client_initial;
using test::from_hex;
using test::padded;

std::string refuse(const std::string& datagram, std::uint64_t random = 0) {
  std::array<std::uint8_t, 600> out{};
  const QuicReply reply = refuse_quic(as_bytes(datagram), random, out);
  CHECK((reply.verdict == QuicVerdict::kRefuse) == (reply.size > 0));
  return std::string(as_text({out.data(), reply.size}));
}

// A long header with ids of these sizes, all 'd' and all 's'.
std::string with_ids(std::string_view version, std::size_t destination, std::size_t source) {
  return padded("\xc0"s + from_hex(version) + static_cast<char>(destination) +
                std::string(destination, 'd') + static_cast<char>(source) +
                std::string(source, 's'));
}

}  // namespace

TEST_CASE("the client Initial of RFC 9001 A.2 gets a Version Negotiation packet") {
  CHECK(refuse(client_initial()) == from_hex("c000000000"
                                             "00"
                                             "088394c8f03e515708"
                                             "0a0a0a0a"));
  CHECK(refuse(client_initial(), ~0ULL) == from_hex("ff00000000"
                                                    "00"
                                                    "088394c8f03e515708"
                                                    "fafafafa"));
}

TEST_CASE("the ids come back in each other's place") {
  CHECK(refuse(with_ids("00000001", 8, 5)) == from_hex("c000000000") + "\5sssss"s +
                                                  "\x08"
                                                  "dddddddd"s +
                                                  from_hex("0a0a0a0a"));
  CHECK(refuse(with_ids("6b3343cf", 0, 1)) ==
        from_hex("c000000000") + "\1s\0"s + from_hex("0a0a0a0a"));
}

TEST_CASE("ids of unknown versions may have 255 bytes, those of versions 1 and 2 have 20") {
  const std::string long_ids = refuse(with_ids("ff00001d", 255, 255));
  CHECK(long_ids == from_hex("c000000000") + "\xff"s + std::string(255, 's') + "\xff"s +
                        std::string(255, 'd') + from_hex("0a0a0a0a"));
  CHECK_FALSE(refuse(with_ids("00000001", 20, 20)).empty());
  CHECK(refuse(with_ids("00000001", 21, 0)).empty());
  CHECK(refuse(with_ids("00000001", 0, 21)).empty());
  CHECK(refuse(with_ids("6b3343cf", 21, 0)).empty());
}

TEST_CASE("the version offered to us is never the one we name") {
  CHECK(refuse(with_ids("0a0a0a0a", 0, 0)) == from_hex("c000000000"
                                                       "0000"
                                                       "1a1a1a1a"));
  CHECK(refuse(with_ids("1a2a3a4a", 0, 0), 0x1020'3040ULL << 32U) == from_hex("c000000000"
                                                                              "0000"
                                                                              "0a3a2a5a"));
}

TEST_CASE("short headers, Version Negotiation packets and small datagrams get no answer") {
  CHECK(refuse("").empty());
  CHECK(refuse(client_initial().substr(0, 1199)).empty());
  CHECK(refuse(padded("\x40"
                      "data"s))
            .empty());
  CHECK(refuse(with_ids("00000000", 8, 8)).empty());
  CHECK(refuse(padded("GET / HTTP/1.1\r\n")).empty());
}

TEST_CASE("a version 1 packet without the fixed bit is none") {
  std::string datagram = client_initial();
  datagram[0] = '\x80';
  CHECK(refuse(datagram).empty());
  datagram[1] = '\x7f';  // another version may use the bit as it likes
  CHECK_FALSE(refuse(datagram).empty());
}

}  // namespace postern::gateway
