#include "dns/zone_check.h"

#include "zone_of_text.h"

namespace postern::dns {
namespace {

constexpr const char* kHead = "$TTL 300\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";
const std::string kSha256(64, 'a');

/// What is said of `text` behind kHead, which is four lines.
std::string said(std::string_view text) {
  return problems_text(load_text("example.", kHead + std::string(text)));
}

/// The same for a whole zone.
std::string said_of(std::string_view text) { return problems_text(load_text("example.", text)); }

}  // namespace

TEST_CASE("the apex has one SOA and NS records") {
  CHECK(said_of("$TTL 300\n@ NS ns\nns A 192.0.2.1\n") == "2:3: no SOA record at the apex\n");
  CHECK(said_of("$TTL 300\n@ SOA ns admin 1 2 3 4 5\nns A 192.0.2.1\n") ==
        "2:3: no NS record at the apex\n");
  CHECK(said("@ SOA ns admin 2 2 3 4 5\n") == "5:3: a second SOA record\n");
  CHECK(said("a SOA ns admin 1 2 3 4 5\n") ==
        "5:3: a SOA record at a.example., which is not the apex\n");
  CHECK(said_of("") == "1:1: no SOA record at the apex\n1:1: no NS record at the apex\n");
}

TEST_CASE("a SOA that cannot be read is told as that, not as missing") {
  CHECK(said_of("$TTL 300\n@ SOA ns admin 1 2 3 4\n@ NS ns\nns A 192.0.2.1\n") ==
        "2:22: the record ends where a time is expected\n");
  CHECK(said("@ NS b\nb A 1.2.3\n") == "6:5: '1.2.3' is not an IPv4 address\n");
}

TEST_CASE("a CNAME stands alone") {
  CHECK(said("a CNAME ns\na A 192.0.2.2\n") == "6:3: a.example. has a CNAME and other data (A)\n");
  CHECK(said("a A 192.0.2.2\na CNAME ns\n") == "6:3: a.example. has a CNAME and other data (A)\n");
  CHECK(said("a CNAME ns\nA CNAME b\n") == "6:3: a.example. has more than one CNAME record\n");
  CHECK(said("a CNAME ns\na DNAME b\n") == "6:3: a.example. has a CNAME and other data (DNAME)\n");
  CHECK(said("a CNAME ns\na NSEC b CNAME NSEC\n") == "");
}

TEST_CASE("a CNAME that leads back to its own name is told") {
  CHECK(said("a CNAME a\n") == "5:3: warning: a.example. is a CNAME for itself\n");
  CHECK(said("a CNAME b\nb CNAME a\n") ==
        "5:3: warning: a.example. is a CNAME for itself, by way of b.example.\n"
        "6:3: warning: b.example. is a CNAME for itself, by way of a.example.\n");
  CHECK(said("a CNAME b\nb CNAME ns\n") == "");
}

TEST_CASE("there is one DNAME at a name, and none where the name is delegated") {
  CHECK(said("a DNAME b.invalid.\na DNAME c.invalid.\n") ==
        "6:3: a.example. has more than one DNAME record\n");
  CHECK(said("a DNAME b.invalid.\na NS ns\n") ==
        "5:3: warning: a.example. is delegated, so its DNAME is never served (RFC 6672 section "
        "2.3)\n");
  CHECK(said("a DNAME b.invalid.\na A 192.0.2.2\n") == "");
  CHECK(said("a DNAME b.invalid.\nx.a A 192.0.2.2\n") ==
        "6:5: warning: x.a.example. A is never served: a.example. is a DNAME\n");
}

TEST_CASE("the same record twice is told, names in any case") {
  CHECK(said("a A 192.0.2.2\na A 192.0.2.2\n") ==
        "6:3: warning: a.example. A: the same record is there twice\n");
  CHECK(said("a MX 65 ns\na MX 97 ns\na MX 65 NS\n") ==
        "7:3: warning: a.example. MX: the same record is there twice\n");
  CHECK(said("a TXT x\na TXT X\n") == "");
  CHECK(said("a RP A. .\na RP a. .\n") ==
        "6:3: warning: a.example. RP: the same record is there twice\n");
  CHECK(said("a HIP 2 00 AAAA A.\na HIP 2 00 AAAA a.\n") ==
        "6:3: warning: a.example. HIP: the same record is there twice\n");
  CHECK(said("a HTTPS 1 A. alpn=h2\na HTTPS 1 a. alpn=h2\n") ==
        "6:3: warning: a.example. HTTPS: the same record is there twice\n");
}

TEST_CASE("the TTLs of an RRset are equal, save those of signatures") {
  CHECK(
      said("a 60 A 192.0.2.2\na 61 A 192.0.2.3\na 62 TXT x\n") ==
      "6:6: warning: a.example. A: TTL 61 differs from 60 in the same RRset; the lowest counts\n");
  CHECK(said("a 60 RRSIG A 13 2 60 20300101000000 20200101000000 1 example. AAAA\n"
             "a 61 RRSIG TXT 13 2 60 20300101000000 20200101000000 1 example. AAAA\n") == "");
}

TEST_CASE("name servers of the zone have an address here and are no CNAME") {
  CHECK(said("@ NS b\n") == "5:3: NS: b.example. has no address in this zone\n");
  CHECK(said("@ NS b\nb CNAME ns\n") == "5:3: NS: b.example. is a CNAME (RFC 2181 section 10.3)\n");
  CHECK(said("@ NS b.d\nd DNAME invalid.\n") == "5:3: NS: b.d.example. is below a DNAME\n");
  CHECK(said("@ NS b\nb AAAA 2001:db8::1\n") == "");
  CHECK(said("@ NS b.invalid.\n") == "");
  CHECK(said("@ NS any.w\n*.w A 192.0.2.2\n") == "");
}

TEST_CASE("mail and service hosts have an address and are no CNAME") {
  CHECK(said("a MX 10 b\n") == "5:3: warning: MX: b.example. has no address in this zone\n");
  CHECK(said("a MX 10 b\nb CNAME ns\n") ==
        "5:3: warning: MX: b.example. is a CNAME (RFC 2181 section 10.3)\n");
  CHECK(said("_x._tcp SRV 0 0 1 b\n") ==
        "5:9: warning: SRV: b.example. has no address in this zone\n");
  CHECK(said("a MX 0 .\n_x._tcp SRV 0 0 0 .\n") == "");
  CHECK(said("a MX 0 .\na MX 10 ns\n").starts_with("5:3: warning: a.example. MX: '.' says"));
}

TEST_CASE("an address where a name belongs is an error") {
  CHECK(said("a MX 10 192.0.2.2\n") ==
        "5:3: MX: 192.0.2.2.example. is an address, a name has to stand here\n");
  CHECK(said("a MX 10 192.0.2.2.\n") ==
        "5:3: MX: 192.0.2.2. is an address, a name has to stand here\n");
  CHECK(said("a NS 192.0.2.2.\n") ==
        "5:3: NS: 192.0.2.2. is an address, a name has to stand here\n");
  CHECK(said("a SRV 0 0 1 2001:db8::1\n").starts_with("5:3: "));
  CHECK(said("a MX 10 192.0.2.2\n192.0.2.2 A 192.0.2.2\n") == "");
}

TEST_CASE("a cut has glue for servers below it, and nothing else there") {
  CHECK(said("cut NS ns.cut\n") ==
        "5:5: warning: NS: ns.cut.example. needs its address here as glue\n");
  CHECK(said("cut NS ns.cut\nns.cut A 192.0.2.2\ncut NS ns.other\nother NS ns\n"
             "ns.other AAAA 2001:db8::1\n") == "");
  CHECK(said("cut NS ns\ndeep.cut NS ns.deep.cut\nns.deep.cut A 192.0.2.2\n") == "");
  CHECK(said("cut NS ns\nx.cut A 192.0.2.2\n")
            .starts_with("6:7: warning: x.cut.example. A is never"));
  CHECK(
      said("cut NS ns\nns.cut TXT x\n").starts_with("6:8: warning: ns.cut.example. TXT is never"));
}

TEST_CASE("wildcards have no NS, and an asterisk further on is none") {
  CHECK(said("*.a NS ns\n") == "5:5: *.a.example.: a wildcard cannot have NS records\n");
  CHECK(said("*.a DNAME b.\n") ==
        "5:5: warning: *.a.example.: a DNAME at a wildcard redirects nothing below it\n");
  CHECK(said("a.* TXT x\n") ==
        "5:5: warning: a.*.example.: only a first label '*' makes a wildcard (RFC 4592 section "
        "2.1.1)\n");
}

TEST_CASE("hosts have host names, except where custom says otherwise") {
  CHECK(said("a_b A 192.0.2.2\n") ==
        "5:5: warning: a_b.example. A: not a host name (RFC 1123 section 2.1)\n");
  CHECK(said("gc._msdcs A 192.0.2.2\n_spf A 192.0.2.2\n_a TXT x\n*.w A 192.0.2.2\n") == "");
  CHECK(
      said("a MX 10 b_c\nb_c TXT x\n").starts_with("5:3: warning: MX: b_c.example. is not a host"));
}

TEST_CASE("SVCB and HTTPS are consistent in themselves (RFC 9460)") {
  CHECK(said("a HTTPS 1 . alpn=h2 port=443 ipv4hint=192.0.2.2 mandatory=alpn,port\n") == "");
  CHECK(said("a HTTPS 1 . alpn=h2 alpn=h3\n").starts_with("5:21: alpn is there twice"));
  CHECK(said("a HTTPS 1 . alpn=\n").starts_with("5:13: alpn needs a value"));
  CHECK(said("a HTTPS 1 . alpn=\"h2,\"\n").starts_with("5:13: alpn: an empty item"));
  CHECK(said("a HTTPS 1 . no-default-alpn\n").starts_with("5:13: no-default-alpn without alpn"));
  CHECK(said("a HTTPS 1 . no-default-alpn=x alpn=h2\n").starts_with("5:13: no-default-alpn takes"));
  CHECK(said("a HTTPS 1 . mandatory=alpn\n").starts_with("5:13: mandatory names alpn"));
  CHECK(said("a HTTPS 1 . mandatory=mandatory\n").starts_with("5:13: mandatory names mandatory"));
  CHECK(
      said("a HTTPS 1 . mandatory=alpn,alpn alpn=h2\n").starts_with("5:13: mandatory: mandatory"));
  CHECK(said("a HTTPS 1 . port=65536\n").starts_with("5:13: port: '65536' is above"));
  CHECK(said("a HTTPS 1 . ipv6hint=192.0.2.2\n").starts_with("5:13: ipv6hint: '192.0.2.2'"));
  CHECK(said("a HTTPS 1 . key65535=x\n").starts_with("5:13: "));
  CHECK(said("a HTTPS 1 . ohttp=x\n") == "5:13: ohttp takes no value\n");
  CHECK(said("a SVCB 1 . alpn=h2 dohpath=x{?dns}\n").starts_with("5:20: dohpath: a path from /"));
  CHECK(said("a HTTPS 0 ns alpn=h2\n").starts_with("5:3: warning: HTTPS: parameters of an alias"));
  CHECK(said("a HTTPS 0 ns\na HTTPS 1 .\n").starts_with("5:3: warning: a.example. HTTPS: alias"));
  CHECK(said("a HTTPS 1 . key3=\\001\\187 key1=\\002h2\n") == "");
}

TEST_CASE("bytes of SVCB are checked like its text: order, duplicates, lengths") {
  CHECK(said("a SVCB \\# 10 0001 00 0003 0002 01bb 00\n").starts_with("5:8: "));
  CHECK(said("a SVCB \\# 16 0001 00 0003 0002 01bb 0001 0003 026832\n") ==
        "5:8: keys are not in increasing order\n");
  CHECK(said("a SVCB \\# 15 0001 00 0003 0002 01bb 0003 0002 01bb\n") ==
        "5:8: a key is there twice\n");
}

TEST_CASE("DS stands at a cut, never at the apex") {
  CHECK(said("@ DS 1 13 2 " + kSha256 + "\n") ==
        "5:3: DS at the apex; it belongs into the zone above\n");
  CHECK(said("a DS 1 13 2 " + kSha256 + "\n") == "5:3: warning: a.example. has a DS but no NS\n");
  CHECK(said("a NS ns\na DS 1 13 2 " + kSha256 + "\n") == "");
  CHECK(said("a NS ns\na DS 1 13 2 aa\n") ==
        "6:13: DS: a digest of 1 bytes; digest type 2 has 32\n");
}

TEST_CASE("CDS and CDNSKEY have their DNSKEY at the apex, or ask for removal") {
  CHECK(said("@ CDS 0 0 0 00\n@ CDNSKEY 0 3 0 AA==\n") == "");
  CHECK(said("@ CDS 1 13 2 " + kSha256 + "\n") ==
        "5:3: CDS: no DNSKEY here has this tag and algorithm\n");
  CHECK(said("@ CDNSKEY 257 3 13 AAAA\n") == "5:3: CDNSKEY: no DNSKEY here is the same\n");
  CHECK(said("@ CDNSKEY 257 3 13 AAAA\n@ DNSKEY 257 3 13 AAAA\n") == "");
  CHECK(said("a DNSKEY 257 3 13 AAAA\n") ==
        "5:3: warning: a.example. DNSKEY means nothing away from the apex\n");
  CHECK(said("@ DNSKEY 257 2 13 AAAA\n").starts_with("5:3: warning: DNSKEY: protocol 2"));
}

TEST_CASE("signatures are made by the zone for a name as long as their owner") {
  CHECK(said("a RRSIG A 13 3 60 20300101000000 20200101000000 1 example. AAAA\n") ==
        "5:3: warning: RRSIG: 3 labels; the owner has 2\n");
  CHECK(said("a RRSIG A 13 2 60 20300101000000 20200101000000 1 other. AAAA\n") ==
        "5:3: warning: RRSIG: the signer is other., the zone is example.\n");
  CHECK(said("*.a RRSIG A 13 2 60 20300101000000 20200101000000 1 EXAMPLE. AAAA\n") == "");
}

TEST_CASE("NSEC3 has hashes of one length, without padding") {
  CHECK(said("CPNMU NSEC3 1 0 0 - CPNMU A\n") == "");
  CHECK(said("CPNMU=== NSEC3 1 0 0 - CPNMU A\n")
            .starts_with("5:10: cpnmu===.example.: the owner of an NSEC3"));
  CHECK(said("CPNMU NSEC3 1 0 0 - CPNMU=== A\n").starts_with("5:21: "));
  CHECK(said("CPNMU NSEC3 1 0 0 - CPNMUCP A\n") ==
        "5:7: NSEC3: the owner's hash has 3 bytes, the next one 4\n");
}

TEST_CASE("algorithms and digests that no longer count are warned of") {
  CHECK(said("@ DNSKEY 257 3 5 AAAA\n") ==
        "5:3: warning: DNSKEY: algorithm 5 is deprecated (RFC 8624)\n");
  CHECK(said("a NS ns\na DS 1 13 1 " + std::string(40, 'a') + "\n") ==
        "6:3: warning: DS: digest type 1 (SHA-1) is deprecated\n");
}

TEST_CASE("errors refuse a zone, warnings do not") {
  CHECK(load_text("example.", kHead + std::string("a MX 10 b\n")).zone != nullptr);
  CHECK(load_text("example.", kHead + std::string("@ NS b\n")).zone == nullptr);
}

}  // namespace postern::dns
