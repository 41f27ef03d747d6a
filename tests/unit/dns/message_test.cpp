#include "dns/message.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace postern::dns {
namespace {

Name name(std::string_view text) { return Name::parse(text).value(); }

std::string hex(Bytes bytes) {
  std::string text;
  for (const std::uint8_t b : bytes) {
    text += "0123456789abcdef"[b >> 4];
    text += "0123456789abcdef"[b & 15];
  }
  return text;
}

struct Message {
  explicit Message(std::size_t limit = 512) : writer(buffer, limit) {
    writer.start(0x1234, kFlagQr | kFlagRd);
  }
  std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(65535);
  MessageWriter writer;
};

constexpr std::uint8_t kAddress[] = {192, 0, 2, 1};

}  // namespace

TEST_CASE("an owner equal to the question points at it whatever its case") {
  Message m;
  REQUIRE(m.writer.question(name("WwW.x.").view(), RrType::kA, RrClass::kIn));
  REQUIRE(m.writer.record(Section::kAnswer, name("www.X.").view(), RrType::kA, RrClass::kIn, 60,
                          kAddress));
  CHECK(hex(m.writer.finish()) ==
        "123481000001000100000000"
        "0357775701780000010001"
        "c00c000100010000003c0004c0000201");
}

TEST_CASE("names are compressed only where the bytes are equal in case too") {
  Message m;
  REQUIRE(m.writer.question(name("a.Ex.").view(), RrType::kNs, RrClass::kIn));
  // Owner "Ex." points into the question; "ns.ex." in rdata shares nothing in case and is written
  // in full.
  REQUIRE(m.writer.record(Section::kAnswer, name("Ex.").view(), RrType::kNs, RrClass::kIn, 1,
                          name("ns.ex.").view().wire()));
  // A second rdata may point at the first.
  REQUIRE(m.writer.record(Section::kAnswer, name("Ex.").view(), RrType::kNs, RrClass::kIn, 1,
                          name("b.ns.ex.").view().wire()));
  CHECK(hex(m.writer.finish()) ==
        "123481000001000200000000"
        "016102457800"
        "00020001"
        "c00e00020001000000010007"
        "026e7302657800"
        "c00e00020001000000010004"
        "0162c022");
}

TEST_CASE("names in rdata never point into the question") {
  Message m;
  REQUIRE(m.writer.question(name("a.ex.").view(), RrType::kCname, RrClass::kIn));
  REQUIRE(m.writer.record(Section::kAnswer, name("a.ex.").view(), RrType::kCname, RrClass::kIn, 1,
                          name("b.ex.").view().wire()));
  CHECK(hex(m.writer.finish())
            .ends_with("0006"
                       "016202657800"));
}

TEST_CASE("rdata of types younger than RFC 1035 is not compressed") {
  Message m;
  REQUIRE(m.writer.question(name("ex.").view(), RrType::kSrv, RrClass::kIn));
  const std::string rdata = std::string("\0\1\0\2\0\3", 6) + std::string("\2ex\0", 4);
  REQUIRE(m.writer.record(Section::kAnswer, name("o.").view(), RrType::kSrv, RrClass::kIn, 1,
                          as_bytes(rdata)));
  REQUIRE(m.writer.record(Section::kAnswer, name("o.").view(), RrType::kSrv, RrClass::kIn, 1,
                          as_bytes(rdata)));
  CHECK(hex(m.writer.finish())
            .ends_with("000a"
                       "00010002000302657800"));
}

TEST_CASE("a record that does not fit changes nothing") {
  Message m(12 + 8 + 16 + 4);
  REQUIRE(m.writer.question(name("ex.").view(), RrType::kA, RrClass::kIn));
  REQUIRE(m.writer.record(Section::kAnswer, name("ex.").view(), RrType::kA, RrClass::kIn, 60,
                          kAddress));
  const std::size_t size = m.writer.size();
  CHECK_FALSE(
      m.writer.record(Section::kAnswer, name("b.").view(), RrType::kA, RrClass::kIn, 60, kAddress));
  CHECK(m.writer.size() == size);
  CHECK(m.writer.count(Section::kAnswer) == 1);
  m.writer.reserve(11);
  CHECK_FALSE(
      m.writer.record(Section::kAuthority, name("ex.").view(), RrType::kA, RrClass::kIn, 60, {}));
}

TEST_CASE("a label that repeats inside one name is not matched against what is half written") {
  Message m;
  REQUIRE(m.writer.question(name("q.").view(), RrType::kA, RrClass::kIn));
  REQUIRE(m.writer.record(Section::kAnswer, name("a.a.a.").view(), RrType::kA, RrClass::kIn, 1,
                          kAddress));
  CHECK(hex(m.writer.finish()).find("01610161016100") != std::string::npos);
}

TEST_CASE("compressed names in rdata are written out for the types that may carry them") {
  std::string m(12, '\0');
  m += std::string("\2ex\0", 4);                                          // 12
  m += std::string("\xc0\x0c\0\x0f\0\1\0\0\0\1\0\6\0\5\1m\xc0\x0c", 18);  // MX 5 m.ex at 16
  RecordPosition mx;
  REQUIRE(read_record(as_bytes(m), 16, &mx));
  CHECK(mx.type == RrType::kMx);
  CHECK(mx.ttl == 1);
  CHECK(mx.end == m.size());
  std::vector<std::uint8_t> out(300);
  const int size = expand_rdata(as_bytes(m), mx, out);
  REQUIRE(size == 8);
  CHECK(hex(Bytes(out).first(8)) == "0005016d02657800");
}

TEST_CASE("an rdata whose names run out of it is malformed") {
  std::string m(12, '\0');
  m += std::string("\2ex\0", 4);
  m += std::string("\xc0\x0c\0\x05\0\1\0\0\0\1\0\2\1m\0",
                   15);  // CNAME of 2 bytes, its root label outside
  RecordPosition cname;
  REQUIRE(read_record(as_bytes(m), 16, &cname));
  std::vector<std::uint8_t> out(300);
  CHECK(expand_rdata(as_bytes(m), cname, out) == -1);
  m.back() = '\xff';
  m.resize(m.size() - 2);
  CHECK_FALSE(read_record(as_bytes(m), 16, &cname));  // rdlength runs past the message
}

TEST_CASE("an rdata with more or less behind its names than its type has is malformed") {
  const auto expanded = [](RrType type, const std::string& rdata) {
    std::string m(12, '\0');
    m += std::string("\2ex\0\xc0\x0c\0", 7);
    m += static_cast<char>(type);
    m += std::string("\0\1\0\0\0\1\0", 7);
    m += static_cast<char>(rdata.size());
    m += rdata;
    RecordPosition record;
    REQUIRE(read_record(as_bytes(m), 16, &record));
    std::vector<std::uint8_t> out(300);
    return expand_rdata(as_bytes(m), record, out);
  };
  const std::string name("\1a\xc0\x0c", 4);  // a.ex: 6 bytes
  const auto zeros = [](std::size_t size) { return std::string(size, '\0'); };
  CHECK(expanded(RrType::kNs, name) == 6);
  CHECK(expanded(RrType::kNs, name + "x") == -1);
  CHECK(expanded(RrType::kMx, zeros(2) + name) == 8);
  CHECK(expanded(RrType::kMx, zeros(2) + name + zeros(1)) == -1);
  CHECK(expanded(RrType::kSoa, name + name + zeros(20)) == 32);
  CHECK(expanded(RrType::kSoa, name + name + zeros(19)) == -1);
  CHECK(expanded(RrType::kSoa, name + name + zeros(21)) == -1);
  CHECK(expanded(RrType::kSig, zeros(18) + name + "any length") == 34);
}

TEST_CASE("an unknown type is carried as it is") {
  std::string m(12, '\0');
  m += std::string("\0\xff\x80\0\1\0\0\0\1\0\3\xc0\x0c\x01", 14);
  RecordPosition record;
  REQUIRE(read_record(as_bytes(m), 12, &record));
  std::vector<std::uint8_t> out(300);
  REQUIRE(expand_rdata(as_bytes(m), record, out) == 3);
  CHECK(hex(Bytes(out).first(3)) == "c00c01");
}

}  // namespace postern::dns
