#include "dns/name.h"

#include <doctest/doctest.h>

namespace postern::dns {
namespace {

Name name(std::string_view text) { return Name::parse(text).value(); }

}  // namespace

TEST_CASE("text becomes wire form with escapes resolved") {
  CHECK(as_text(name("www.Example").view().wire()) == std::string_view("\3www\7Example\0", 13));
  CHECK(as_text(name("a\\.b.c.").view().wire()) == std::string_view("\3a.b\1c\0", 7));
  CHECK(as_text(name("\\000\\255x.").view().wire()) == std::string_view("\3\0\xffx\0", 5));
  CHECK(name("a\\.b.c.").text() == "a\\.b.c.");
  CHECK(name(".").text() == ".");
  CHECK(Name::parse("www", name("example.").view())->text() == "www.example.");
  CHECK(Name::parse("@", name("example.").view())->text() == "example.");
}

TEST_CASE("text that is no name is refused") {
  for (const char* bad : {"", "..", ".a", "a..b", "a.\\25", "a\\", "\\256.", "a\\2x5"}) {
    CAPTURE(bad);
    CHECK_FALSE(Name::parse(bad));
  }
  CHECK(Name::parse(std::string(63, 'a') + "."));
  CHECK_FALSE(Name::parse(std::string(64, 'a') + "."));
}

TEST_CASE("a name of 255 bytes is the longest") {
  const std::string label = std::string(62, 'x') + ".";      // 63 bytes on the wire
  CHECK(Name::parse(label + label + label + label + "a."));  // 4*63 + 2 + 1
  CHECK_FALSE(Name::parse(label + label + label + label + "ab."));
}

TEST_CASE("case does not count in comparisons, hashes and suffixes") {
  CHECK(name("WWW.example.") == name("www.EXAMPLE."));
  CHECK_FALSE(name("www.example.") == name("wwx.example."));
  CHECK(hash_name(name("WWW.example.").view()) == hash_name(name("www.EXAMPLE.").view()));
  CHECK(is_at_or_below(name("a.B.c.").view(), name("b.C.").view()));
  CHECK_FALSE(is_at_or_below(name("ab.c.").view(), name("b.c.").view()));
  CHECK_FALSE(is_at_or_below(name("c.").view(), name("b.c.").view()));
  // "@[" and "`{" stand beside the letters and differ in the same bit.
  CHECK_FALSE(name("a@.") == name("a`."));
  CHECK_FALSE(name("a[.") == name("a{."));
}

TEST_CASE("canonical order is that of RFC 4034 section 6.1") {
  const char* sorted[] = {"example.",         "a.example.",      "yljkjljk.a.example.",
                          "Z.a.example.",     "zABC.a.EXAMPLE.", "z.example.",
                          "\\001.z.example.", "*.z.example.",    "\\200.z.example."};
  for (std::size_t i = 0; i + 1 < std::size(sorted); ++i) {
    CAPTURE(sorted[i]);
    CHECK(compare_names(name(sorted[i]).view(), name(sorted[i + 1]).view()) < 0);
    CHECK(compare_names(name(sorted[i + 1]).view(), name(sorted[i]).view()) > 0);
  }
}

TEST_CASE("a look-up name has the hash of every suffix") {
  const LookupName lookup(name("A.b.Example.").view());
  CHECK(lookup.label_count() == 3);
  CHECK(lookup.hash(1) == hash_name(name("b.example.").view()));
  CHECK(lookup.hash(3) == hash_name(name(".").view()));
  CHECK(lookup.wildcard_hash(1) == hash_name(name("*.b.example.").view()));
  CHECK(name_text(lookup.suffix(1)) == "b.example.");
  CHECK(name_text(lookup.name()) == "a.b.example.");
  const LookupName copy = lookup;
  CHECK(copy.hash() == lookup.hash());
  CHECK(name_text(copy.suffix(2)) == "example.");
}

TEST_CASE("a compressed name is read through its pointers and the position ends behind the first") {
  std::string message(12, '\0');
  message += std::string("\3www\7example\0", 13);  // at 12
  message += std::string("\1a\xc0\x10zz", 6);      // at 25: a + pointer to "example" at 16
  std::array<std::uint8_t, kNameBytesMax> out;
  std::size_t at = 25;
  const std::size_t size = read_name(as_bytes(message), &at, out);
  REQUIRE(size == 11);
  CHECK(name_text(NameView(Bytes(out.data(), size))) == "a.example.");
  CHECK(at == 29);
}

TEST_CASE("a pointer that does not lead strictly backwards into the message is malformed") {
  std::array<std::uint8_t, kNameBytesMax> out;
  const auto read = [&](const std::string& tail) {
    const std::string message = std::string(12, '\0') + tail;
    std::size_t at = 12;
    return read_name(as_bytes(message), &at, out);
  };
  CHECK(read(std::string("\xc0\x0c", 2)) == 0);       // itself
  CHECK(read(std::string("\1a\xc0\x0c", 4)) == 0);    // its own beginning: a loop
  CHECK(read(std::string("\xc0\x0e\1a\0", 5)) == 0);  // forwards
  CHECK(read(std::string("\xc0\x00", 2)) == 0);       // into the header
  CHECK(read(std::string("\xc0", 1)) == 0);           // cut
  CHECK(read(std::string("\3ww", 3)) == 0);           // runs past the end
  CHECK(read(std::string("\x40x\0", 3)) == 0);        // reserved label type
  CHECK(read("") == 0);
}

TEST_CASE("a name that grows past 255 bytes through pointers is malformed") {
  std::string message(12, '\0');
  const std::string label = "\x3f" + std::string(63, 'x');
  message += label + label + label + std::string(1, '\0');
  const std::size_t start = message.size();
  message += label + std::string("\xc0\x0c", 2);
  std::array<std::uint8_t, kNameBytesMax> out;
  std::size_t at = start;
  CHECK(read_name(as_bytes(message), &at, out) == 0);
}

}  // namespace postern::dns
