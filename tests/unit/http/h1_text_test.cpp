// Classes of text, looked at in blocks, against the same byte by byte (RFC 9110 sections 5.5 and
// 5.6.2).
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "http/h1_text.h"
#include "http/head.h"

namespace postern::http::h1 {
namespace {

bool is_token_here(unsigned byte) {
  const char c = static_cast<char>(byte);
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (byte != 0 && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

bool is_value_here(unsigned byte) { return byte == '\t' || (byte >= 0x20 && byte != 0x7f); }

// Every byte at every place of texts of every size up to three blocks.
template <class Check>
void for_each_text(Check check) {
  for (std::size_t size = 1; size <= 50; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        std::string text(size, size % 2 == 0 ? 'Z' : '-');
        text[at] = static_cast<char>(byte);
        if (!check(text, at, byte)) FAIL("size ", size, " at ", at, " byte ", byte);
      }
    }
  }
}

TEST_CASE("a token is told by any of its bytes, wherever it stands") {
  CHECK_FALSE(is_token(""));
  for_each_text([](const std::string& text, std::size_t at, unsigned byte) {
    const std::size_t end = is_token_here(byte) ? text.size() : at;
    // Behind other text, and with more behind it, as in a head.
    const std::string head = "x: y\r\n" + text + ": value of it, long enough\r\n";
    const std::size_t head_end = byte == ':' ? 6 + at : 6 + end;
    return is_token(text) == is_token_here(byte) && skip_token(text, 0) == end &&
           skip_token(head, 6) == head_end;
  });
}

TEST_CASE("a field value has no control but the tab") {
  CHECK(is_value(""));
  for_each_text([](const std::string& text, std::size_t, unsigned byte) {
    return is_value(text) == is_value_here(byte);
  });
  CHECK(is_value("\ta\tb with some more behind it\t"));
  CHECK_FALSE(is_value("\ta\tb with some more behind it\t\n"));
}

TEST_CASE("what copies a text says the same of it, and touches nothing else") {
  // The text's own size exactly, on the heap, so that reading beyond it is seen.
  const auto copies = [](const std::string& text, bool wanted, auto copy) {
    const std::vector<char> from(text.begin(), text.end());
    std::string to(text.size() + 2, '<');
    const bool said = copy(std::string_view(from.data(), from.size()), to.data() + 1);
    return said == wanted && to == "<" + text + "<";
  };
  CHECK(copies("", false, copy_token));
  CHECK(copies("", true, copy_value));
  for_each_text([copies](const std::string& text, std::size_t, unsigned byte) {
    return copies(text, is_token_here(byte), copy_token) &&
           copies(text, is_value_here(byte), copy_value);
  });
}

TEST_CASE("names are the same in any case of ASCII letters, and only then") {
  CHECK(same_name("", ""));
  CHECK(same_name("X-Forwarded-For", "x-forwarded-for"));
  CHECK_FALSE(same_name("x-forwarded-fo", "x-forwarded-for"));
  for_each_text([](const std::string& text, std::size_t at, unsigned byte) {
    for (const unsigned other : {byte ^ 0x20U, byte}) {
      std::string changed = text;
      changed[at] = static_cast<char>(other);
      const auto is_letter = [](unsigned b) {
        return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
      };
      const bool same = other == byte || is_letter(byte);
      if (same_name(text, changed) != same) return false;
    }
    return true;
  });
}

}  // namespace
}  // namespace postern::http::h1
