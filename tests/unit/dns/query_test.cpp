#include "dns/query.h"

#include <string>

#include <doctest/doctest.h>

namespace postern::dns {
namespace {

std::string header(const char* flags, const char* counts) {
  const auto bytes = [](const char* hex) {
    std::string out;
    for (; hex[0] != 0; hex += 2)
      out += static_cast<char>(std::stoi(std::string(hex, 2), nullptr, 16));
    return out;
  };
  return bytes("abcd") + bytes(flags) + bytes(counts);
}

const std::string kQuestion("\3wWw\2ex\0\0\1\0\1", 12);
const std::string kOpt("\0\0\x29\x04\xd0\0\0\x80\0\0\0", 11);

QueryFault parse(const std::string& message, Query* query) {
  return parse_query(as_bytes(message), query);
}

}  // namespace

TEST_CASE("a plain question is read once and for all") {
  Query query;
  REQUIRE(parse(header("0100", "0001000000000000") + kQuestion, &query) == QueryFault::kNone);
  CHECK(query.id == 0xabcd);
  CHECK(query.recursion_desired());
  CHECK(query.type == RrType::kA);
  CHECK(query.klass == RrClass::kIn);
  CHECK(name_text(query.name.name()) == "www.ex.");
  CHECK(query.question_end() == 24);
  CHECK_FALSE(query.edns);
  CHECK(query.payload == 512);
}

TEST_CASE("EDNS gives payload and DO; below 512 counts as 512") {
  Query query;
  REQUIRE(parse(header("0100", "0001000000000001") + kQuestion + kOpt, &query) ==
          QueryFault::kNone);
  CHECK(query.edns);
  CHECK(query.dnssec_ok);
  CHECK(query.payload == 1232);
  std::string small = kOpt;
  small[3] = 0;
  REQUIRE(parse(header("0100", "0001000000000001") + kQuestion + small, &query) ==
          QueryFault::kNone);
  CHECK(query.payload == 512);
}

TEST_CASE("unknown EDNS options and flags are ignored, a broken option list is not") {
  Query query;
  const std::string opt("\0\0\x29\x04\xd0\0\0\x7f\xff\0\6\xff\xfe\0\2zz", 17);
  CHECK(parse(header("0100", "0001000000000001") + kQuestion + opt, &query) == QueryFault::kNone);
  CHECK_FALSE(query.dnssec_ok);
  const std::string broken("\0\0\x29\x04\xd0\0\0\0\0\0\5\xff\xfe\0\2z", 16);
  CHECK(parse(header("0100", "0001000000000001") + kQuestion + broken, &query) ==
        QueryFault::kFormErr);
}

TEST_CASE("a version above 0 is BADVERS and the query is understood otherwise") {
  Query query;
  std::string opt = kOpt;
  opt[6] = 1;
  CHECK(parse(header("0100", "0001000000000001") + kQuestion + opt, &query) ==
        QueryFault::kBadVers);
  CHECK(query.edns);
  CHECK(query.name_size == 8);
}

TEST_CASE("two OPT records, one in the answer section or with an owner are FORMERR") {
  Query query;
  CHECK(parse(header("0100", "0001000000000002") + kQuestion + kOpt + kOpt, &query) ==
        QueryFault::kFormErr);
  CHECK(parse(header("0100", "0001000100000000") + kQuestion + kOpt, &query) ==
        QueryFault::kFormErr);
  CHECK(parse(header("0100", "0001000000000001") + kQuestion + "\1a" + kOpt, &query) ==
        QueryFault::kFormErr);
}

TEST_CASE("one question, neither none nor two") {
  Query query;
  CHECK(parse(header("0100", "0000000000000000"), &query) == QueryFault::kFormErr);
  CHECK(query.name_size == 0);
  CHECK(parse(header("0100", "0002000000000000") + kQuestion + kQuestion, &query) ==
        QueryFault::kFormErr);
}

TEST_CASE("responses and fragments of a header get silence") {
  Query query;
  CHECK(parse(header("8100", "0001000000000000") + kQuestion, &query) == QueryFault::kSilence);
  CHECK(parse("abcdefghijk", &query) == QueryFault::kSilence);
  CHECK(parse("", &query) == QueryFault::kSilence);
}

TEST_CASE("opcodes: NOTIFY and UPDATE are refused, what is unknown is not implemented") {
  Query query;
  CHECK(parse(header("2000", "0001000000000000") + kQuestion, &query) == QueryFault::kRefused);
  CHECK(parse(header("2800", "0001000000000000") + kQuestion, &query) == QueryFault::kRefused);
  for (const char* flags : {"0800", "1000", "1800", "3000", "7800"}) {
    CHECK(parse(header(flags, "0001000000000000") + kQuestion, &query) == QueryFault::kNotImp);
  }
}

TEST_CASE("a question that is cut, compressed or has counts that lie is FORMERR") {
  Query query;
  for (std::size_t cut = 1; cut < kQuestion.size(); ++cut) {
    CHECK(parse(header("0100", "0001000000000000") + kQuestion.substr(0, cut), &query) ==
          QueryFault::kFormErr);
  }
  CHECK(parse(header("0100", "0001000000000000") + std::string("\xc0\x0c\0\1\0\1", 6), &query) ==
        QueryFault::kFormErr);
  CHECK(parse(header("0100", "000100000000ffff") + kQuestion + kOpt, &query) ==
        QueryFault::kFormErr);
}

}  // namespace postern::dns
