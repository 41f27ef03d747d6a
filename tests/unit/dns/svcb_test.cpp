#include "dns/svcb.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace postern::dns {
namespace {

using Wire = std::vector<std::uint8_t>;

std::uint8_t digit(char c) { return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); }

// "00 01 | c0a8": hex digits; anything else is ignored.
Wire hex(std::string_view text) {
  Wire out;
  bool high = true;
  for (const char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) continue;
    if (high) out.push_back(0);
    out.back() = static_cast<std::uint8_t>(out.back() | (high ? digit(c) << 4 : digit(c)));
    high = !high;
  }
  return out;
}

std::string fault(std::string_view text) {
  std::string why = "none";
  const Wire rdata = hex(text);
  const bool good = svcb_well_formed(rdata, &why);
  CHECK(good == (why == "none"));
  return why;
}

struct Edited {
  SvcbOutcome outcome;
  Wire rdata;  // kEdited only
};

const std::vector<std::string> h3_patterns{"h3", "h3-*"};

Edited edit(const Wire& rdata, const SvcbEdits& edits) {
  Wire out(rdata.size(), 0xee);
  std::size_t size = 0;
  const SvcbOutcome outcome = edit_svcb(rdata, edits, out, &size);
  out.resize(outcome == SvcbOutcome::kEdited ? size : 0);
  return {outcome, out};
}

Edited withdraw_h3(std::string_view text) {
  SvcbEdits edits;
  edits.strip_alpn = &h3_patterns;
  return edit(hex(text), edits);
}

Edited drop(std::string_view text, const std::vector<std::uint16_t>& keys) {
  SvcbEdits edits;
  edits.drop_keys = &keys;
  return edit(hex(text), edits);
}

// foo.example.com., foo.example.org. and example.com. on the wire.
const std::string foo_com = "03 666f6f 07 6578616d706c65 03 636f6d 00";
const std::string foo_org = "03 666f6f 07 6578616d706c65 03 6f7267 00";
const std::string example_com = "07 6578616d706c65 03 636f6d 00";

}  // namespace

// RFC 9460 appendix D.1 and D.2, as wire bytes.
TEST_CASE("the good vectors of RFC 9460 appendix D are well formed") {
  CHECK(fault("0000" + foo_com) == "none");                           // AliasMode
  CHECK(fault("0001 00") == "none");                                  // "."
  CHECK(fault("0010" + foo_com + "0003 0002 0035") == "none");        // port=53
  CHECK(fault("0001" + foo_com + "029b 0005 68656c6c6f") == "none");  // key667=hello
  CHECK(fault("0001" + foo_com + "029b 0009 68656c6c6f d2 716f6f") == "none");
  CHECK(fault("0001" + foo_com +
              "0006 0020 20010db8000000000000000000000001 20010db8000000000000000000530001") ==
        "none");
  CHECK(fault("0001" + example_com + "0006 0010 20010db80122034400000000c0000221") == "none");
  // mandatory=alpn,ipv4hint alpn=h2,h3-19 ipv4hint=192.0.2.1
  CHECK(fault("0010" + foo_org +
              "0000 0004 0001 0004  0001 0009 02 6832 05 68332d3139  0004 0004 c0000201") ==
        "none");
  // alpn="f\\oo,bar,h2": a backslash and a comma inside an id
  CHECK(fault("0010" + foo_org + "0001 000c 08 665c6f6f2c626172 02 6832") == "none");
}

// RFC 9460 appendix D.3: what a zone file must not say, as the bytes it would have become.
TEST_CASE("the failure cases of RFC 9460 appendix D are malformed") {
  // key123=abc key123=def
  CHECK(fault("0001" + foo_com + "007b 0003 616263 007b 0003 646566") == "a key is there twice");
  // mandatory, alpn, port, ipv4hint, ipv6hint without a value
  CHECK(fault("0001" + foo_com + "0000 0000") == "mandatory is not a list of keys");
  CHECK(fault("0001" + foo_com + "0001 0000") == "alpn is empty");
  CHECK(fault("0001" + foo_com + "0003 0000") == "port is not two bytes");
  CHECK(fault("0001" + foo_com + "0004 0000") == "ipv4hint is not a list of IPv4 addresses");
  CHECK(fault("0001" + foo_com + "0006 0000") == "ipv6hint is not a list of IPv6 addresses");
  // no-default-alpn=abc
  CHECK(fault("0001" + foo_com + "0002 0003 616263") == "no-default-alpn has a value");
  // mandatory=key123 without it
  CHECK(fault("0001" + foo_com + "0000 0002 007b") == "a mandatory key is missing");
  // mandatory=mandatory
  CHECK(fault("0001" + foo_com + "0000 0002 0000") == "mandatory lists itself");
  // mandatory=key123,key123 key123=abc
  CHECK(fault("0001" + foo_com + "0000 0004 007b 007b 007b 0003 616263") ==
        "mandatory is not in strictly increasing order");
}

TEST_CASE("values have the shape that section 7 wants") {
  CHECK(fault("0001 00 0005 0000") == "ech is empty");
  CHECK(fault("0001 00 0003 0003 003500") == "port is not two bytes");
  CHECK(fault("0001 00 0004 0005 c000020100") == "ipv4hint is not a list of IPv4 addresses");
  CHECK(fault("0001 00 0006 0004 c0000201") == "ipv6hint is not a list of IPv6 addresses");
  CHECK(fault("0001 00 0001 0004 00 02 6832") == "alpn has an empty id");
  CHECK(fault("0001 00 0001 0004 02 6832 00") == "alpn has an empty id");
  CHECK(fault("0001 00 0001 0003 03 6832") == "an alpn id runs past the end of its list");
  CHECK(fault("0001 00 0002 0000") == "no-default-alpn without alpn");
  CHECK(fault("0001 00 0001 0003 02 6832 0002 0000") == "none");
}

TEST_CASE("mandatory lists keys that are there, sorted, once each") {
  CHECK(fault("0001 00 0000 0003 000100 0001 0003 026832") == "mandatory is not a list of keys");
  CHECK(fault("0001 00 0000 0004 0003 0001 0001 0003 026832 0003 0002 0035") ==
        "mandatory is not in strictly increasing order");
  CHECK(fault("0001 00 0000 0004 0001 0003 0001 0003 026832 0003 0002 0035") == "none");
  CHECK(fault("0001 00 0000 0004 0001 0003 0001 0003 026832") == "a mandatory key is missing");
  CHECK(fault("0001 00 0000 0002 0001 0003 0002 0035") == "a mandatory key is missing");
}

TEST_CASE("keys out of order and broken framing are malformed, in AliasMode too") {
  CHECK(fault("0001 00 0003 0002 0035 0001 0003 026832") == "keys are not in increasing order");
  CHECK(fault("0000 00 0003 0002 0035 0001 0003 026832") == "keys are not in increasing order");
  CHECK(fault("0001 00 0003") == "a parameter runs past the end of the record");
  CHECK(fault("0001 00 0003 0002 00") == "a parameter runs past the end of the record");
  CHECK(fault("0001 00 0003 0002 0035 ff") == "a parameter runs past the end of the record");
  CHECK(fault("0000 00 0003 ffff") == "a parameter runs past the end of the record");
}

TEST_CASE("the values of parameters in AliasMode are ignored") {
  CHECK(fault("0000" + foo_com + "0001 0000") == "none");
}

TEST_CASE("a target that is no plain name is malformed") {
  CHECK(fault("") == "shorter than a priority");
  CHECK(fault("00") == "shorter than a priority");
  CHECK(fault("0001") == "the target name is malformed or compressed");
  CHECK(fault("0001 03 666f6f") == "the target name is malformed or compressed");
  CHECK(fault("0001 c00c") == "the target name is malformed or compressed");
  CHECK(fault("0001 40") == "the target name is malformed or compressed");
}

TEST_CASE("a target longer than 255 bytes is malformed") {
  const std::string label = "3f" + std::string(126, '6');  // 64 bytes
  const std::string three = label + label + label;
  CHECK(fault("0001" + three + "3d" + std::string(122, '6') + "00") == "none");  // 255
  CHECK(fault("0001" + three + "3e" + std::string(124, '6') + "00") ==
        "the target name is malformed or compressed");  // 256
}

TEST_CASE("every cut of a record is malformed or well formed, never read past its end") {
  const Wire whole = hex("0010" + foo_org +
                         "0000 0004 0001 0004  0001 0009 02 6832 05 68332d3139"
                         "0004 0004 c0000201");
  SvcbEdits edits;
  edits.strip_alpn = &h3_patterns;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Wire cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    // Only a cut right behind the target leaves a record that says something.
    CHECK(svcb_well_formed(cut) == (size == 2 + 17));
    CHECK((edit(cut, edits).outcome == SvcbOutcome::kMalformed) == (size != 2 + 17));
  }
}

TEST_CASE("h3 is withdrawn and every other byte stays") {
  // As Cloudflare publishes it: alpn=h3,h2 ipv4hint ech ipv6hint, and an unknown key.
  const Edited got = withdraw_h3(
      "0001 00 0001 0006 02 6833 02 6832  0004 0008 68101a0e 68101b0e  0005 0003 fe0d42"
      "0006 0010 26064700000000000000000068101a0e  fde8 0002 beef");
  CHECK(got.outcome == SvcbOutcome::kEdited);
  CHECK(got.rdata == hex("0001 00 0001 0003 02 6832  0004 0008 68101a0e 68101b0e  0005 0003 fe0d42"
                         "0006 0010 26064700000000000000000068101a0e  fde8 0002 beef"));
}

TEST_CASE("what was taken out of a record is told by its parts") {
  const std::string before =
      "0001 00 0001 0006 02 6833 02 6832  0004 0004 68101a0e  0005 0003 fe0d42  fde8 0002 beef";
  const auto removed = [&](std::string_view after) {
    return svcb_difference(hex(before), hex(after));
  };
  CHECK(removed(before) == 0);
  CHECK(
      removed("0001 00 0001 0003 02 6832  0004 0004 68101a0e  0005 0003 fe0d42  fde8 0002 beef") ==
      kSvcbH3Removed);
  CHECK(
      removed("0001 00 0001 0003 02 6833  0004 0004 68101a0e  0005 0003 fe0d42  fde8 0002 beef") ==
      kSvcbAlpnRemoved);
  CHECK(removed("0001 00 0001 0006 02 6833 02 6832  fde8 0002 beef") ==
        (kSvcbHintsRemoved | kSvcbEchRemoved));
  CHECK(removed("0001 00") == (kSvcbH3Removed | kSvcbAlpnRemoved | kSvcbHintsRemoved |
                               kSvcbEchRemoved | kSvcbKeyRemoved));
}

TEST_CASE("drafts of h3 go by pattern, and ids that only begin alike stay") {
  // alpn = h3-29, h2, h3-Q050, H3, h33, http/1.1
  const Edited got = withdraw_h3(
      "0001 00 0001 0021 05 68332d3239 02 6832 07 68332d51303530 02 4833 03 683333"
      "08 687474702f312e31");
  CHECK(got.outcome == SvcbOutcome::kEdited);
  CHECK(got.rdata == hex("0001 00 0001 0013 02 6832 02 4833 03 683333 08 687474702f312e31"));
}

TEST_CASE("the vector of the RFC with h3-19 and mandatory keeps both keys") {
  const Edited got =
      withdraw_h3("0010" + foo_org +
                  "0000 0004 0001 0004  0001 0009 02 6832 05 68332d3139  0004 0004 c0000201");
  CHECK(got.outcome == SvcbOutcome::kEdited);
  CHECK(got.rdata ==
        hex("0010" + foo_org + "0000 0004 0001 0004  0001 0003 02 6832  0004 0004 c0000201"));
}

TEST_CASE("a record without anything to withdraw is unchanged") {
  CHECK(withdraw_h3("0001 00").outcome == SvcbOutcome::kUnchanged);
  CHECK(withdraw_h3("0001 00 0001 0003 02 6832").outcome == SvcbOutcome::kUnchanged);
  CHECK(withdraw_h3("0001 00 0003 0002 01bb").outcome == SvcbOutcome::kUnchanged);
  CHECK(edit(hex("0001 00 0001 0003 02 6833"), {}).outcome == SvcbOutcome::kUnchanged);
}

TEST_CASE("AliasMode is never edited, whatever its parameters") {
  CHECK(withdraw_h3("0000" + foo_com).outcome == SvcbOutcome::kUnchanged);
  CHECK(withdraw_h3("0000" + foo_com + "0001 0003 02 6833").outcome == SvcbOutcome::kUnchanged);
}

TEST_CASE("an h3-only endpoint with the default protocol keeps its record without alpn") {
  const Edited got = withdraw_h3("0001 00 0001 0003 02 6833 0003 0002 01bb");
  CHECK(got.outcome == SvcbOutcome::kEdited);
  CHECK(got.rdata == hex("0001 00 0003 0002 01bb"));
}

TEST_CASE("an h3-only endpoint is withheld") {
  CHECK(withdraw_h3("0001 00 0001 0003 02 6833 0002 0000").outcome == SvcbOutcome::kWithheld);
  CHECK(withdraw_h3("0001 00 0001 0009 02 6833 05 68332d3239 0002 0000").outcome ==
        SvcbOutcome::kWithheld);
  // Also when the key that says so is dropped with it: http/1.1 was never on offer.
  SvcbEdits edits;
  const std::vector<std::uint16_t> no_default{kSvcNoDefaultAlpn};
  edits.strip_alpn = &h3_patterns;
  edits.drop_keys = &no_default;
  CHECK(edit(hex("0001 00 0001 0003 02 6833 0002 0000"), edits).outcome == SvcbOutcome::kWithheld);
}

TEST_CASE("a DNS server that offers h3 alone is withheld: there is no default protocol") {
  CHECK(withdraw_h3("0001 00 0001 0003 02 6833 0007 0006 2f717b3f 6e7d").outcome ==
        SvcbOutcome::kWithheld);
}

TEST_CASE("h3 beside h2 and no-default-alpn leaves h2 alone") {
  const Edited got = withdraw_h3("0001 00 0001 0006 02 6833 02 6832 0002 0000");
  CHECK(got.outcome == SvcbOutcome::kEdited);
  CHECK(got.rdata == hex("0001 00 0001 0003 02 6832 0002 0000"));
}

TEST_CASE("a record whose mandatory alpn went is withheld") {
  CHECK(withdraw_h3("0001 00 0000 0002 0001 0001 0003 02 6833").outcome == SvcbOutcome::kWithheld);
}

TEST_CASE("a mandatory key that is dropped takes the record along, an address hint does not") {
  // mandatory=port, ech and an unknown key
  CHECK(drop("0001 00 0000 0002 0003 0003 0002 01bb", {kSvcPort}).outcome ==
        SvcbOutcome::kWithheld);
  CHECK(drop("0001 00 0000 0002 0005 0005 0001 ff", {kSvcEch}).outcome == SvcbOutcome::kWithheld);
  CHECK(drop("0001 00 0000 0002 fde8 fde8 0000", {0xfde8}).outcome == SvcbOutcome::kWithheld);
  // mandatory=alpn,ipv4hint becomes mandatory=alpn
  const Edited shorter =
      drop("0001 00 0000 0004 0001 0004 0001 0003 02 6832 0004 0004 c0000201", {kSvcIpv4Hint});
  CHECK(shorter.outcome == SvcbOutcome::kEdited);
  CHECK(shorter.rdata == hex("0001 00 0000 0002 0001 0001 0003 02 6832"));
  // mandatory=ipv4hint,ipv6hint is gone as a key
  const Edited gone = drop(
      "0001 00 0000 0004 0004 0006 0003 0002 01bb 0004 0004 c0000201"
      "0006 0010 20010db8000000000000000000000001",
      {kSvcIpv4Hint, kSvcIpv6Hint});
  CHECK(gone.outcome == SvcbOutcome::kEdited);
  CHECK(gone.rdata == hex("0001 00 0003 0002 01bb"));
}

TEST_CASE("for an override ech and address hints go too") {
  SvcbEdits edits;
  edits.strip_alpn = &h3_patterns;
  edits.drop_ech_and_hints = true;
  const Edited got = edit(hex("0001 00 0001 0006 02 6833 02 6832  0004 0004 68101a0e"
                              "0005 0003 fe0d42  0006 0010 26064700000000000000000068101a0e"
                              "0007 0004 2f647b7d"),
                          edits);
  CHECK(got.outcome == SvcbOutcome::kEdited);
  CHECK(got.rdata == hex("0001 00 0001 0003 02 6832 0007 0004 2f647b7d"));
}

TEST_CASE("hints alone can be dropped") {
  SvcbEdits edits;
  edits.drop_hints = true;
  const Edited got = edit(hex("0001 00 0004 0004 0a000001 0005 0001 ff"), edits);
  CHECK(got.outcome == SvcbOutcome::kEdited);
  CHECK(got.rdata == hex("0001 00 0005 0001 ff"));
}

TEST_CASE("dropping ech leaves the rest") {
  const Edited got = drop("0001 00 0001 0006 02 6833 02 6832 0005 0002 fe0d", {kSvcEch});
  CHECK(got.outcome == SvcbOutcome::kEdited);
  CHECK(got.rdata == hex("0001 00 0001 0006 02 6833 02 6832"));
}

TEST_CASE("dropping alpn from a record with no-default-alpn withholds it") {
  CHECK(drop("0001 00 0001 0003 02 6832 0002 0000", {kSvcAlpn}).outcome == SvcbOutcome::kWithheld);
}

TEST_CASE("a list of 10,000 mandatory keys costs one pass") {
  Wire rdata = hex("0001 00 0000 4e20");
  for (int key = 1000; key < 11000; ++key) {
    rdata.push_back(static_cast<std::uint8_t>(key >> 8));
    rdata.push_back(static_cast<std::uint8_t>(key));
  }
  for (int key = 1000; key < 11000; ++key) {
    rdata.push_back(static_cast<std::uint8_t>(key >> 8));
    rdata.push_back(static_cast<std::uint8_t>(key));
    rdata.insert(rdata.end(), 2, 0);
  }
  for (int i = 0; i < 100; ++i) REQUIRE(svcb_well_formed(rdata));
  rdata[rdata.size() - 3] = 0xff;  // the last key is another one now
  CHECK_FALSE(svcb_well_formed(rdata));
}

TEST_CASE("keys have the names of the registry, others are numbered") {
  CHECK(parse_svc_key("mandatory").value() == 0);
  CHECK(parse_svc_key("ech").value() == 5);
  CHECK(parse_svc_key("dohpath").value() == 7);
  CHECK(parse_svc_key("key65400").value() == 65400);
  CHECK(parse_svc_key("key5").value() == 5);
  CHECK(svc_key_text(4) == "ipv4hint");
  CHECK(svc_key_text(65400) == "key65400");
  for (const char* bad :
       {"", "key", "key05", "key65535", "key65536", "key-1", "key1x", "ECH", "5"}) {
    CHECK_FALSE(parse_svc_key(bad));
  }
}

TEST_CASE("target and values of a record can be read") {
  const Wire rdata = hex("0001" + foo_com + "0003 0002 01bb 0004 0004 c0000201");
  CHECK(name_text(svcb_target(rdata)) == "foo.example.com.");
  CHECK(equal_bytes(svcb_value(rdata, kSvcIpv4Hint), hex("c0000201")));
  CHECK(svcb_value(rdata, kSvcEch).empty());
  CHECK_FALSE(svcb_is_alias(rdata));
}

}  // namespace postern::dns
