#include "base/log.h"

#include <doctest/doctest.h>

namespace postern {

TEST_CASE("one line of text has no control bytes and keeps everything else") {
  CHECK(one_line("") == "");
  CHECK(one_line("a\tb\nc\x7f") == "a\\x09b\\x0ac\\x7f");
  CHECK(one_line("\x1b[31mred") == "\\x1b[31mred");
  CHECK(one_line("f\xc3\xbcr 'x' \\n") == "f\xc3\xbcr 'x' \\n");
}

TEST_CASE("what a terminal could obey and what is no UTF-8 is escaped") {
  CHECK(one_line("\xc2\x9b[1m") == "\\xc2\\x9b[1m");  // C1: CSI
  CHECK(one_line("\xff\xfe") == "\\xff\\xfe");
  CHECK(one_line("cut\xe2\x82") == "cut\\xe2\\x82");
  CHECK(one_line("\xe2\x82\xac \xf0\x9f\x90\xa7") == "\xe2\x82\xac \xf0\x9f\x90\xa7");
  CHECK(one_line("\xc0\x80 \xed\xa0\x80") == "\\xc0\\x80 \\xed\\xa0\\x80");  // overlong, surrogate
}

TEST_CASE("a JSON string has no controls, and keeps UTF-8") {
  const auto json = [](std::string_view text) {
    fmt::memory_buffer out;
    append_json_string(out, text);
    return fmt::to_string(out);
  };
  CHECK(json("a\"b\\c\n") == R"("a\"b\\c\u000a")");
  CHECK(json("f\xc3\xbcr \x1b\x7f") == "\"f\xc3\xbcr \\u001b\\u007f\"");
  CHECK(json("\xff") == R"("\u00ff")");
}

TEST_CASE("a limit lets one line through in a while and says how many it held back") {
  LogLimit limit(60'000);
  std::uint64_t held_back = 99;
  REQUIRE(limit.allow(5'000, &held_back));
  CHECK(held_back == 0);
  CHECK(LogLimit::text(held_back).empty());
  for (const std::uint64_t now_ms : {5'000U, 5'001U, 64'999U}) {
    CHECK_FALSE(limit.allow(now_ms, &held_back));
  }
  REQUIRE(limit.allow(65'000, &held_back));
  CHECK(LogLimit::text(held_back) == "; 3 more like this before");
  REQUIRE(limit.allow(200'000, &held_back));
  CHECK(held_back == 0);
}

}  // namespace postern
