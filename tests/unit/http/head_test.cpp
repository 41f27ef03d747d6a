#include "http/head.h"

#include <array>
#include <string>

#include <doctest/doctest.h>

namespace postern::http {

TEST_CASE("field names are found, set and removed in any case, lines of one name stay several") {
  Fields fields;
  fields.add("Set-Cookie", "a=1");
  fields.add("Content-Type", "text/html");
  fields.add("set-cookie", "b=2");
  CHECK(fields.value("CONTENT-TYPE") == "text/html");
  CHECK(fields.count("Set-Cookie") == 2);
  CHECK(fields.find("x") == nullptr);
  fields.set("content-type", "text/plain");
  CHECK(fields.count("Content-Type") == 1);
  CHECK(fields.value("Content-Type") == "text/plain");
  CHECK(fields.remove("SET-COOKIE") == 2);
  CHECK(fields.size() == 1);
}

TEST_CASE("items of a list are whole and compared in any case") {
  CHECK(has_token("keep-alive, Upgrade", "upgrade"));
  CHECK(has_token("\tclose ", "close"));
  CHECK_FALSE(has_token("closed", "close"));
  CHECK_FALSE(has_token("x close", "close"));
  CHECK_FALSE(has_token("", "close"));
}

TEST_CASE("text in an arena stays where it is until it is cleared") {
  TextArena arena;
  const std::string_view first = arena.copy("first");
  const std::string long_text(5000, 'x');
  const std::string_view large = arena.copy(long_text);
  for (int i = 0; i < 1000; ++i) {
    const std::array<std::string_view, 3> parts{"a", "", "bc"};
    CHECK(arena.join(parts) == "abc");
  }
  CHECK(first == "first");
  CHECK(large == long_text);
  arena.clear();
  CHECK(arena.copy("again").data() == first.data());
}

}  // namespace postern::http
