#include "dns/zone_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "zone_of_text.h"

namespace postern::dns {
namespace {

constexpr const char* kHead = "$TTL 300\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";

/// Every record below the apex's SOA and NS and `ns`: "OWNER TTL TYPE COUNT", sorted.
std::string owners(const Zone& zone) {
  std::vector<std::string> lines;
  zone.for_each([&](NameView owner, const RrsetView& rrset) {
    const std::string name = name_text(owner);
    if (name == "example." || name == "ns.example.") return;
    lines.push_back(name + " " + std::to_string(rrset.ttl) + " " + type_text(rrset.type) + " " +
                    std::to_string(rrset.count) + "\n");
  });
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

/// What is said of `text` behind kHead, which is four lines.
std::string said(std::string_view text) {
  return problems_text(load_text("example.", kHead + std::string(text)));
}

std::string read(std::string_view text) {
  const ZoneLoad load = load_text("example.", kHead + std::string(text));
  return load.zone == nullptr ? "refused\n" + problems_text(load)
                              : owners(*load.zone) + problems_text(load);
}

std::string rdata_hex(std::string_view record) {
  const ZoneLoad load =
      load_text("example.", kHead + std::string("a ") + std::string(record) + "\n");
  if (load.zone == nullptr) return problems_text(load);
  std::string hex;
  load.zone->for_each([&](NameView owner, const RrsetView& rrset) {
    if (name_text(owner) != "a.example.") return;
    rrset.for_each([&](Bytes rdata) {
      for (const std::uint8_t byte : rdata) hex += fmt::format("{:02x}", byte);
      return true;
    });
  });
  return hex;
}

}  // namespace

TEST_CASE("class and TTL stand in either order or not at all, in any case") {
  CHECK(read("a 60 IN A 192.0.2.2\nb IN 61 A 192.0.2.2\nc 62 a 192.0.2.2\nd in A 192.0.2.2\n"
             "e A 192.0.2.2\nf CLASS1 63 TYPE1 192.0.2.2\n") ==
        "a.example. 60 A 1\nb.example. 61 A 1\nc.example. 62 A 1\nd.example. 300 A 1\n"
        "e.example. 300 A 1\nf.example. 63 A 1\n");
}

TEST_CASE("a TTL is seconds or has units") {
  CHECK(read("a 1w2d3h4m5s A 192.0.2.2\nb 1H A 192.0.2.2\nc 2147483647 A 192.0.2.2\n$TTL 1d\n"
             "d A 192.0.2.2\n") ==
        "a.example. 788645 A 1\nb.example. 3600 A 1\nc.example. 2147483647 A 1\n"
        "d.example. 86400 A 1\n");
  CHECK(said("a 2147483648 A 192.0.2.2\n") ==
        "5:3: '2147483648' is above 2147483647 seconds (RFC 2181 section 8)\n");
  CHECK(said("a 1x A 192.0.2.2\n") == "5:3: '1x' is not a time (\"3600\" or \"1h30m\")\n");
}

TEST_CASE("without $TTL the TTL stated last counts (RFC 1035 section 5.1)") {
  const ZoneLoad load = load_text("example.",
                                  "@ 50 SOA ns admin 1 2 3 4 5\n@ NS ns\nns 70 A 192.0.2.1\n"
                                  "a A 192.0.2.2\n");
  REQUIRE(load.zone != nullptr);
  CHECK(owners(*load.zone) == "a.example. 70 A 1\n");
  const ZoneLoad none =
      load_text("example.", "@ SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n");
  CHECK(none.zone != nullptr);
  CHECK(problems_text(none) == "1:3: warning: no TTL; the SOA's minimum, 5, is used\n");
}

TEST_CASE("an indented line has the owner of the one before") {
  CHECK(read("a A 192.0.2.2\n  TXT x\n\tMX 10 ns\n(  ) \n A 192.0.2.3\n") ==
        "a.example. 300 A 2\na.example. 300 MX 1\na.example. 300 TXT 1\n");
  const ZoneLoad load = load_text("example.", "  A 192.0.2.1\n  A 192.0.2.2\n");
  CHECK(problems_text(load) == "1:3: a record without an owner: there is none above it\n");
}

TEST_CASE("parentheses span lines, comments end them, quotes keep both") {
  CHECK(rdata_hex("TXT ( one ; two )\n three ; (\n )") == "036f6e65057468726565");
  CHECK(rdata_hex("TXT \"a;b(c)\" d\\;e") ==
        "06613b62286329"
        "03643b65");
  CHECK(said("a TXT ( x\n") == "5:7: an opening parenthesis is never closed\n");
  CHECK(said("a TXT x )\n") == "5:9: a closing parenthesis without an opening one\n");
  CHECK(said("a TXT \"x\nb A 192.0.2.2\n") ==
        "5:7: a quoted string has no closing quote in its line\n");
}

TEST_CASE("escapes are resolved in strings and names") {
  CHECK(rdata_hex(R"(TXT \065\"\\ "\032 \"")") ==
        "0341225c"
        "0320"
        "2022");
  CHECK(rdata_hex(R"(CNAME x\.y\000z)") == "05782e79007a076578616d706c6500");
  CHECK(said("a TXT \\256\n") == "5:7: '\\256' has a bad escape; \\X or \\DDD up to 255\n");
  CHECK(said("a TXT x\\12\n") == "5:7: 'x\\12' has a bad escape; \\X or \\DDD up to 255\n");
}

TEST_CASE("names have their limits") {
  const std::string label(63, 'l');
  const std::string longest = label + "." + label + "." + label + "." + std::string(53, 'l');
  CHECK(read(longest + " A 192.0.2.2\n") == longest + ".example. 300 A 1\n");
  CHECK(said(longest + "l A 192.0.2.2\n").starts_with("5:1: "));
  CHECK(said(label + "l A 192.0.2.2\n").starts_with("5:1: "));
  CHECK(said("a..b A 192.0.2.2\n").starts_with("5:1: "));
  CHECK(said(".a A 192.0.2.2\n").starts_with("5:1: "));
}

TEST_CASE("a fault of an owner is told once, not for the lines that go with it") {
  CHECK(said("a..b A 192.0.2.2\n A 192.0.2.3\n TXT x\nb A 1.2.3\n").find("6:") ==
        std::string::npos);
}

TEST_CASE("$ORIGIN may be relative, and @ is the origin") {
  CHECK(read("$ORIGIN sub\n@ A 192.0.2.2\nx A 192.0.2.2\n$ORIGIN deep\ny A 192.0.2.2\n"
             "$ORIGIN example.\nz A 192.0.2.2\n") ==
        "sub.example. 300 A 1\nx.sub.example. 300 A 1\ny.deep.sub.example. 300 A 1\n"
        "z.example. 300 A 1\n");
  CHECK(said("a A 192.0.2.2\n$ORIGIN sub\n A 192.0.2.3\n") ==
        "7:2: warning: the owner a.example. comes from before $ORIGIN or $INCLUDE\n");
  CHECK(said("$ORIGIN\n") == "5:1: $ORIGIN takes one name\n");
  CHECK(said("$ORIGIN a b\n") == "5:1: $ORIGIN takes one name\n");
}

TEST_CASE("directives that are wrong or unknown are told with their place") {
  CHECK(said("$TTL\n") == "5:1: $TTL takes one time\n");
  CHECK(said("$TTL x\n") == "5:6: 'x' is not a time (\"3600\" or \"1h30m\")\n");
  CHECK(said("$INCLUDE\n") == "5:1: $INCLUDE takes a file and maybe an origin\n");
  CHECK(said("$FOO 1\n") == "5:1: '$FOO' is unknown; $ORIGIN, $TTL, $INCLUDE and $GENERATE are\n");
  CHECK(read("$ttl 7\na A 192.0.2.2\n") == "a.example. 7 A 1\n");
}

TEST_CASE("$INCLUDE is relative to the file that has it and leaves origin and owner as they were") {
  const ZoneDirectory directory;
  std::filesystem::create_directory(directory.text() + "/sub");
  directory.write("sub/inner", "deep A 192.0.2.4\n");
  directory.write("sub/outer", "x A 192.0.2.3\n$INCLUDE inner\n$ORIGIN lost\n");
  const std::string path = directory.write(
      "zone",
      std::string(kHead) + "a A 192.0.2.2\n$INCLUDE sub/outer in\n TXT after\nb A 192.0.2.5\n");
  const ZoneLoad load = load_zone(path, zone_name("example.").view());
  REQUIRE(load.zone != nullptr);
  CHECK(problems_text(load) == "");
  CHECK(owners(*load.zone) ==
        "a.example. 300 A 1\na.example. 300 TXT 1\nb.example. 300 A 1\n"
        "deep.in.example. 300 A 1\nx.in.example. 300 A 1\n");
  CHECK(load.files == std::vector<std::string>{path, directory.text() + "/sub/outer",
                                               directory.text() + "/sub/inner"});
}

TEST_CASE("a fault in an included file is told with its own name, line and column") {
  const ZoneDirectory directory;
  const std::string inner = directory.write("inner", "\nx A 1.2.3\n");
  const std::string path = directory.write("zone", std::string(kHead) + "$INCLUDE inner\n");
  const ZoneLoad load = load_zone(path, zone_name("example.").view());
  REQUIRE(load.problems.size() == 1);
  CHECK(load.problems[0].to_string() == inner + ":2:5: '1.2.3' is not an IPv4 address");
}

TEST_CASE("files that are missing, directories and circles of includes are told") {
  const ZoneDirectory directory;
  const std::string path =
      directory.write("zone", std::string(kHead) + "$INCLUDE missing\n$INCLUDE .\n$INCLUDE zone\n");
  const std::string text = problems_text(load_zone(path, zone_name("example.").view()));
  CHECK(text == "5:10: cannot read '" + directory.text() +
                    "/missing': No such file or directory\n6:10: cannot read '" + directory.text() +
                    "/.': is a directory\n7:10: '" + path + "' includes itself\n");
}

TEST_CASE("includes go so deep and no deeper") {
  const ZoneDirectory directory;
  for (int i = 1; i < 5; ++i) {
    directory.write("f" + std::to_string(i), "$INCLUDE f" + std::to_string(i + 1) + "\n");
  }
  directory.write("f5", "x A 192.0.2.2\n");
  const std::string path = directory.write("zone", std::string(kHead) + "$INCLUDE f1\n");
  ZoneLoadLimits limits;
  limits.include_depth_max = 4;
  CHECK(problems_text(load_zone(path, zone_name("example.").view(), limits)) ==
        "1:10: '" + directory.text() + "/f5': $INCLUDE goes deeper than 4 files\n");
  limits.include_depth_max = 5;
  CHECK(load_zone(path, zone_name("example.").view(), limits).zone != nullptr);
}

TEST_CASE("$GENERATE counts, with offset, width, base and step") {
  CHECK(read("$GENERATE 1-3 h$ A 192.0.2.$\n") ==
        "h1.example. 300 A 1\nh2.example. 300 A 1\nh3.example. 300 A 1\n");
  CHECK(read("$GENERATE 9-11/2 ${1,4}-${-9}-${0,2,x} 60 IN A 192.0.2.$\n") ==
        "0010-0-09.example. 60 A 1\n0012-2-0b.example. 60 A 1\n");
  CHECK(read("$GENERATE 171-171 ${0,0,X}.${0,0,o}.${0,5,n}.\\$ A 192.0.2.$\n") ==
        "ab.253.b.a.0.\\$.example. 300 A 1\n"
        "5:1: warning: ab.253.b.a.0.\\$.example. A: not a host name (RFC 1123 section 2.1)\n");
}

TEST_CASE("$GENERATE that is wrong is told once") {
  CHECK(said("$GENERATE 3-1 h$ A 192.0.2.$\n").starts_with("5:11: '3-1' is not a range"));
  CHECK(said("$GENERATE 1-3/0 h$ A 192.0.2.$\n").starts_with("5:11: '1-3/0' is not a range"));
  CHECK(said("$GENERATE 1-3 h${0,x} A 192.0.2.$\n").starts_with("5:1: 'h${0,x}': "));
  CHECK(said("$GENERATE 254-257 h$ A 192.0.2.$\n") ==
        "5:1: '192.0.2.256' is not an IPv4 address\n");
  CHECK(said("$GENERATE 1-3 h$\n").starts_with("5:1: $GENERATE takes a range"));
  ZoneLoadLimits limits;
  limits.generate_records_max = 10;
  CHECK(problems_text(load_text("example.",
                                kHead + std::string("$GENERATE 1-10 h$ A 192.0.2.$\n"
                                                    "$GENERATE 1-1 i$ A 192.0.2.$\n"),
                                limits)) == "6:11: $GENERATE makes more than 10 records\n");
}

TEST_CASE("CRLF, a byte order mark and a missing last newline are accepted") {
  const ZoneLoad load = load_text("example.",
                                  "\xef\xbb\xbf$TTL 300\r\n@ SOA ns admin ( 1 2\r\n 3 4 5 )\r\n"
                                  "@ NS ns\r\nns A 192.0.2.1 ; end\r\na TXT \"x\"\r\n"
                                  "b A 192.0.2.2");
  REQUIRE(load.zone != nullptr);
  CHECK(problems_text(load) == "");
  CHECK(owners(*load.zone) == "a.example. 300 TXT 1\nb.example. 300 A 1\n");
  CHECK(problems_text(load_text("example.", "\xef\xbb\xbf$TTL x\r\n")).starts_with("1:6: "));
}

TEST_CASE("NUL bytes, as in UTF-16, are told and not taken for text") {
  using namespace std::string_view_literals;
  CHECK(said("a\0b A 192.0.2.2\n"sv) == "5:2: a NUL byte; a zone is text in ASCII or UTF-8\n");
  const std::string text = problems_text(load_text("example.",
                                                   "\xff\xfe$\0T\0T\0L\0 \0"
                                                   "1\0\n\0"sv));
  CHECK(text.starts_with("1:4: a NUL byte"));
}

TEST_CASE("records out of the zone are left out with a warning") {
  CHECK(read("b.invalid. A 192.0.2.2\nc A 192.0.2.2\n") ==
        "c.example. 300 A 1\n"
        "5:12: warning: b.invalid. is not in the zone example.; the record is ignored\n");
}

TEST_CASE("classes other than IN and types that are none are errors") {
  CHECK(said("a CH A 192.0.2.2\n") == "5:3: class 'CH'; only IN is served from zone files\n");
  CHECK(said("a IN NOSUCH x\n") == "5:6: 'NOSUCH' is not a record type\n");
  CHECK(said("a IN ANY x\n") == "5:6: ANY is not a type that a zone can hold\n");
  CHECK(said("a IN OPT x\n") == "5:6: OPT is not a type that a zone can hold\n");
  CHECK(said("a IN\n") == "5:3: a record without a type\n");
}

TEST_CASE("all mistakes are listed, by line, up to a limit") {
  std::string text = kHead;
  for (int i = 0; i < 9; ++i) text += "a A 1.2.3\n";
  ZoneLoadLimits limits;
  limits.problems_max = 3;
  const ZoneLoad load = load_text("example.", text, limits);
  CHECK(load.zone == nullptr);
  CHECK(load.problem_count == 9);
  CHECK(problems_text(load) ==
        "5:5: '1.2.3' is not an IPv4 address\n6:5: '1.2.3' is not an IPv4 address\n"
        "7:5: '1.2.3' is not an IPv4 address\n");
}

TEST_CASE("no more records than allowed are taken") {
  ZoneLoadLimits limits;
  limits.records_max = 4;
  CHECK(problems_text(load_text("example.", kHead + std::string("a A 192.0.2.2\nb A 192.0.2.3\n"),
                                limits)) == "6:3: the zone is too large; at most 4 records\n");
}

TEST_CASE("unknown types are taken as RFC 3597 writes them") {
  CHECK(rdata_hex("TYPE65400 \\# 4 0a0b 0c0d") == "0a0b0c0d");
  CHECK(rdata_hex("CLASS1 TYPE65400 \\# 0") == "");
  CHECK(said("a TYPE65400 \\# 3 0a0b\n") == "5:16: the length is 3, but 2 bytes follow\n");
  CHECK(said("a TYPE65400 \\# x\n") == "5:16: 'x' is not a number\n");
  CHECK(said("a TYPE65400 \\#\n") == "5:13: \\# is followed by a length and hexadecimal text\n");
}

TEST_CASE("bytes for a known type have to be of its form") {
  CHECK(rdata_hex("A \\# 4 c0000202") == "c0000202");
  CHECK(rdata_hex("MX \\# 4 000a 0161 00").starts_with("5:9: "));
  CHECK(rdata_hex("MX \\# 5 000a 0161 00") == "000a016100");
  CHECK(said("a A \\# 3 c00002\n") == "5:5: these bytes are no A\n");
  CHECK(said("a NS \\# 1 05\n") == "5:6: these bytes are no NS\n");
  CHECK(said("a SRV \\# 7 000000000000c0\n") == "5:7: these bytes are no SRV\n");
  CHECK(said("a TXT \\# 2 0561\n") == "5:7: these bytes are no TXT\n");
  CHECK(said("a HIP \\# 1 00\n") == "5:7: these bytes are no HIP\n");
  CHECK(said("a SOA \\# 2 0000\n") == "5:7: these bytes are no SOA\n");
}

TEST_CASE("values that no reader of the record could use are errors") {
  CHECK(said("a SSHFP 1 1 00\n") ==
        "5:13: SSHFP: a digest of 1 bytes; fingerprint type 1 has 20\n");
  CHECK(said("a TLSA 3 1 1 00\n") == "5:14: TLSA: a digest of 1 bytes; matching type 1 has 32\n");
  CHECK(said("a CAA 0 is-sue x\n") ==
        "5:16: CAA: a tag consists of letters and digits (RFC 8659 section 4.1)\n");
  CHECK(said("a URI 1 1 \"\"\n") == "5:11: URI: a target is missing (RFC 7553 section 4.4)\n");
  CHECK(said("a X25 12\n") == "5:7: X25: an address consists of at least 4 digits\n");
  CHECK(said("a ISDN a b c\n") == "5:12: ISDN: more than an address and a subaddress\n");
  CHECK(said("a NAPTR 1 1 u x \"!a!b\" .\n") ==
        "5:24: NAPTR: '!a!b' is not of the form !expression!replacement!\n");
  CHECK(said("a APL 1:192.0.2.0/33\n").starts_with("5:7: APL: "));
  CHECK(said("a RRSIG A 8 2 60 20230229000000 20230101000000 1 example. AAAA\n") ==
        "5:18: '20230229000000' is not a time\n");
}

TEST_CASE("rare types are read as their RFCs write them") {
  CHECK(rdata_hex("LOC 42 21 54 N 71 06 18 W -24m 30m") == "0033161389172dd070be15f000988d20");
  CHECK(rdata_hex("LOC 52 14 05 N 00 08 50 E 10m") ==
        "001216138b3556c880081650"
        "00989a68");
  CHECK(rdata_hex("NSAP 0x47.0005.80") == "47000580");
  CHECK(rdata_hex("NXT b ( A MX NXT )") ==
        "0162076578616d706c6500"
        "40010002");
  CHECK(rdata_hex("A6 64 ::1 b") ==
        "40"
        "0000000000000001"
        "0162076578616d706c6500");
  CHECK(rdata_hex("ATMA +358.400") == "01333538343030");
  CHECK(rdata_hex("AMTRELAY 10 0 1 203.0.113.15") == "0a01cb00710f");
  CHECK(rdata_hex("AMTRELAY 128 1 3 b") == "80830162076578616d706c6500");
  CHECK(rdata_hex("APL") == "");
  CHECK(rdata_hex("DSYNC CDS NOTIFY 5359 b").starts_with("5:"));
}

TEST_CASE("rare types that are wrong are told at the word") {
  CHECK(said("a LOC 91 N 0 E 0m\n") == "5:7: '91' is out of range\n");
  CHECK(said("a LOC 52 60 N 0 E 0m\n") == "5:10: '60' is out of range\n");
  CHECK(said("a LOC 90 1 N 0 E 0m\n") == "5:12: more than 90 degrees\n");
  CHECK(said("a LOC 52 X 0 E 0m\n") == "5:10: 'X' where degrees and N or S are expected\n");
  CHECK(said("a LOC 52 N 0 E\n") == "5:14: the record ends where an altitude is expected\n");
  CHECK(said("a LOC 52 N 0 E 0m 1m 1m 1m 1m\n") == "5:28: '1m' is more than the record takes\n");
  CHECK(said("a NSAP 0x\n") == "5:8: '0x' is not 0x and hexadecimal digits\n");
  CHECK(said("a NSAP 0x123\n") == "5:8: an odd number of hexadecimal digits\n");
  CHECK(said("a NXT b 128\n") == "5:9: '128' is above 127\n");
  CHECK(said("a AMTRELAY 10 2 1 203.0.113.15\n") == "5:15: '2' is above 1\n");
  CHECK(said("a AMTRELAY 10 0 0 x\n") == "5:19: the relay is '.' for relay type 0\n");
  CHECK(said("a WKS 192.0.2.1 nosuch 25\n") == "5:17: 'nosuch' is not tcp, udp or a number\n");
}

TEST_CASE("an RRset that no message can hold is an error and does not hide the others") {
  std::string text = kHead;
  for (int i = 0; i < 4100; ++i) {
    text += fmt::format("many A 10.0.{}.{}\n", i / 250, i % 250);
  }
  CHECK(problems_text(load_text("example.", text + "a MX 10 many\n")) ==
        "5:6: many.example. A: an answer of 65641 bytes; a message has at most 65535\n"
        "4105:3: warning: MX: many.example. has no address in this zone\n");
}

TEST_CASE("a pipe or a device is no zone file and nothing that a zone can include") {
  const ZoneDirectory directory;
  const std::string pipe = directory.text() + "/pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  const ZoneLoad load = load_zone(pipe, zone_name("example.").view());
  CHECK(load.zone == nullptr);
  CHECK(
      problems_text(load).starts_with("1:1: cannot read '" + pipe + "': is not a regular file\n"));
  CHECK(said("$INCLUDE " + pipe + "\n") ==
        "5:10: cannot read '" + pipe + "': is not a regular file\n");
  CHECK(said("$INCLUDE /dev/zero\n") == "5:10: cannot read '/dev/zero': is not a regular file\n");
}

TEST_CASE("a problem is one line without control bytes, whatever stands in the zone file") {
  const ZoneLoad load = load_text("example.", kHead + std::string("$TT\x1b[2J\n"));
  REQUIRE(load.problems.size() == 1);
  CHECK(load.problems[0].to_string().ends_with(
      ":5:1: '$TT\\x1b[2J' is unknown; $ORIGIN, $TTL, $INCLUDE and $GENERATE are"));
}

TEST_CASE("what $GENERATE makes is no owner for the line behind it") {
  CHECK(said("a..b A 192.0.2.2\n$GENERATE 1-2 h$ A 192.0.2.$\n  TXT x\n").find("7:") ==
        std::string::npos);
  CHECK(read("a A 192.0.2.9\n$GENERATE 1-2 h$ A 192.0.2.$\n  TXT x\n") ==
        "a.example. 300 A 1\na.example. 300 TXT 1\nh1.example. 300 A 1\nh2.example. 300 A 1\n");
}

}  // namespace postern::dns
