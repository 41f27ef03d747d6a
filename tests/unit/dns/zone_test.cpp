#include "dns/zone.h"

#include <doctest/doctest.h>

#include "zone_of_text.h"

namespace postern::dns {
namespace {

// RFC 4592 section 2.2.1, with data where the RFC leaves it out.
constexpr const char* kWildcards = R"($ORIGIN example.
example.                 3600 IN  SOA   ns.example.com. admin.example.com. 1 2 3 4 900
example.                 3600     NS    ns.example.com.
example.                 3600     NS    ns.example.net.
*.example.               3600     TXT   "this is a wildcard"
*.example.               3600     MX    10 host1.example.
sub.*.example.           3600     TXT   "this is not a wildcard"
host1.example.           3600     A     192.0.2.1
_ssh._tcp.host1.example. 3600     SRV   0 0 22 host1.example.
_ssh._tcp.host2.example. 3600     SRV   0 0 22 host1.example.
subdel.example.          3600     NS    ns.example.com.
subdel.example.          3600     NS    ns.example.net.
)";

constexpr const char* kWildcardsSoa =
    "NS example. 900 IN SOA ns.example.com. admin.example.com. 1 2 3 4 900\n";

std::string no_data(const char* soa) { return std::string("NOERROR aa ra\n") + soa; }
std::string no_name(const char* soa) { return std::string("NXDOMAIN aa ra\n") + soa; }

// The root zone of RFC 1034 section 6.1.
constexpr const char* kRoot1034 = R"($TTL 86400
.       IN      SOA     SRI-NIC.ARPA. HOSTMASTER.SRI-NIC.ARPA. 870611 1800 300 604800 86400
                NS      A.ISI.EDU.
                NS      C.ISI.EDU.
                NS      SRI-NIC.ARPA.
MIL.    86400   NS      SRI-NIC.ARPA.
        86400   NS      A.ISI.EDU.
EDU.    86400   NS      SRI-NIC.ARPA.
        86400   NS      C.ISI.EDU.
SRI-NIC.ARPA.   A       26.0.0.73
                A       10.0.0.51
                MX      0 SRI-NIC.ARPA.
                HINFO   DEC-2060 TOPS20
ACC.ARPA.       A       26.6.0.65
                HINFO   PDP-11/70 UNIX
                MX      10 ACC.ARPA.
USC-ISIC.ARPA.  CNAME   C.ISI.EDU.
73.0.0.26.IN-ADDR.ARPA.  PTR    SRI-NIC.ARPA.
65.0.6.26.IN-ADDR.ARPA.  PTR    ACC.ARPA.
51.0.0.10.IN-ADDR.ARPA.  PTR    SRI-NIC.ARPA.
52.0.0.10.IN-ADDR.ARPA.  PTR    C.ISI.EDU.
103.0.3.26.IN-ADDR.ARPA. PTR    A.ISI.EDU.
A.ISI.EDU. 86400 A      26.3.0.103
C.ISI.EDU. 86400 A      10.0.0.52
)";

// A zone of one SOA and NS, and `text`.
std::string around(std::string_view text) {
  return "$TTL 3600\n@ IN SOA ns.invalid. admin.invalid. 1 2 3 4 5\n@ IN NS ns.invalid.\n" +
         std::string(text);
}

// What a question for A becomes with one DNAME: the new name, "none" for no match.
std::string through_dname(const char* apex, const char* qname, const char* dname) {
  ZoneServer server;
  server.zone(apex, around(dname));
  const std::string text = server.ask(qname, "A");
  if (text.starts_with("forward ")) return text.substr(8, text.rfind(' ') - 8);
  return text.find("CNAME") == std::string::npos ? "none" : text;
}

}  // namespace

TEST_CASE("RFC 4592 section 2.2.1: responses that are synthesized from a wildcard") {
  ZoneServer server;
  server.zone("example.", kWildcards);
  CHECK(server.ask("host3.example.", "MX") ==
        "NOERROR aa ra\nAN host3.example. 3600 IN MX 10 host1.example.\n"
        "AR host1.example. 3600 IN A 192.0.2.1\n");
  CHECK(server.ask("host3.example.", "A") == no_data(kWildcardsSoa));
  CHECK(server.ask("foo.bar.example.", "TXT") ==
        "NOERROR aa ra\nAN foo.bar.example. 3600 IN TXT \"this is a wildcard\"\n");
}

TEST_CASE("RFC 4592 section 2.2.1: responses that are not synthesized from a wildcard") {
  ZoneServer server;
  server.zone("example.", kWildcards);
  CHECK(server.ask("host1.example.", "MX") == no_data(kWildcardsSoa));
  CHECK(server.ask("sub.*.example.", "MX") == no_data(kWildcardsSoa));
  CHECK(server.ask("_telnet._tcp.host1.example.", "SRV") == no_name(kWildcardsSoa));
  CHECK(server.ask("host.subdel.example.", "A") ==
        "NOERROR ra\nNS subdel.example. 3600 IN NS ns.example.com.\n"
        "NS subdel.example. 3600 IN NS ns.example.net.\n");
  CHECK(server.ask("ghost.*.example.", "MX") == no_name(kWildcardsSoa));
}

TEST_CASE("RFC 4592 section 2.2.1: what stands in the zone answers for itself") {
  ZoneServer server;
  server.zone("example.", kWildcards);
  CHECK(server.ask("*.example.", "TXT") ==
        "NOERROR aa ra\nAN *.example. 3600 IN TXT \"this is a wildcard\"\n");
  CHECK(server.ask("sub.*.example.", "TXT") ==
        "NOERROR aa ra\nAN sub.*.example. 3600 IN TXT \"this is not a wildcard\"\n");
  CHECK(server.ask("_ssh._tcp.host2.example.", "SRV") ==
        "NOERROR aa ra\nAN _ssh._tcp.host2.example. 3600 IN SRV 0 0 22 host1.example.\n"
        "AR host1.example. 3600 IN A 192.0.2.1\n");
}

TEST_CASE("RFC 4592 section 2.2.2: empty non-terminals are there, without data") {
  ZoneServer server;
  server.zone("example.", kWildcards);
  for (const char* name : {"_tcp.host1.example.", "_tcp.host2.example.", "host2.example."}) {
    CAPTURE(name);
    CHECK(server.ask(name, "MX") == no_data(kWildcardsSoa));
  }
}

TEST_CASE("RFC 4592 section 4: a CNAME at a wildcard is followed, a DNAME there redirects below") {
  ZoneServer server;
  server.zone("example.", around("*.alias CNAME real\nreal A 192.0.2.7\n*.moved DNAME real\n"));
  CHECK(server.ask("any.alias.example.", "A") ==
        "NOERROR aa ra\nAN any.alias.example. 3600 IN CNAME real.example.\n"
        "AN real.example. 3600 IN A 192.0.2.7\n");
  CHECK(server.ask("any.alias.example.", "CNAME") ==
        "NOERROR aa ra\nAN any.alias.example. 3600 IN CNAME real.example.\n");
}

TEST_CASE("RFC 1034 section 6.2: queries to a root server") {
  ZoneServer server;
  server.zone(".", kRoot1034);
  const auto text_of = [&](const char* name, const char* type) {
    std::string text = server.ask(name, type);
    for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return text;
  };
  SUBCASE("6.2.1: SRI-NIC.ARPA A") {
    CHECK(text_of("SRI-NIC.ARPA.", "A") ==
          "noerror aa ra\nan sri-nic.arpa. 86400 in a 26.0.0.73\n"
          "an sri-nic.arpa. 86400 in a 10.0.0.51\n");
  }
  SUBCASE("6.2.2: SRI-NIC.ARPA *, one RRset of it (RFC 8482)") {
    CHECK(text_of("SRI-NIC.ARPA.", "ANY").starts_with("noerror aa ra\nan sri-nic.arpa. 86400 in "));
  }
  SUBCASE("6.2.3: SRI-NIC.ARPA MX") {
    CHECK(text_of("SRI-NIC.ARPA.", "MX") ==
          "noerror aa ra\nan sri-nic.arpa. 86400 in mx 0 sri-nic.arpa.\n"
          "ar sri-nic.arpa. 86400 in a 26.0.0.73\nar sri-nic.arpa. 86400 in a 10.0.0.51\n");
  }
  SUBCASE("6.2.4: SRI-NIC.ARPA NS") {
    CHECK(text_of("SRI-NIC.ARPA.", "NS") ==
          "noerror aa ra\nns . 86400 in soa sri-nic.arpa. hostmaster.sri-nic.arpa. "
          "870611 1800 300 604800 86400\n");
  }
  SUBCASE("6.2.5: SIR-NIC.ARPA A") {
    CHECK(text_of("SIR-NIC.ARPA.", "A") ==
          "nxdomain aa ra\nns . 86400 in soa sri-nic.arpa. hostmaster.sri-nic.arpa. "
          "870611 1800 300 604800 86400\n");
  }
  SUBCASE("6.2.6: BRL.MIL A") {
    CHECK(text_of("BRL.MIL.", "A") ==
          "noerror ra\nns mil. 86400 in ns sri-nic.arpa.\nns mil. 86400 in ns a.isi.edu.\n"
          "ar sri-nic.arpa. 86400 in a 26.0.0.73\nar sri-nic.arpa. 86400 in a 10.0.0.51\n"
          "ar a.isi.edu. 86400 in a 26.3.0.103\n");
  }
  SUBCASE("6.2.7: USC-ISIC.ARPA A, from a server that does not have EDU") {
    CHECK(text_of("USC-ISIC.ARPA.", "A") ==
          "noerror aa ra\nan usc-isic.arpa. 86400 in cname c.isi.edu.\n"
          "ns edu. 86400 in ns sri-nic.arpa.\nns edu. 86400 in ns c.isi.edu.\n"
          "ar sri-nic.arpa. 86400 in a 26.0.0.73\nar sri-nic.arpa. 86400 in a 10.0.0.51\n"
          "ar c.isi.edu. 86400 in a 10.0.0.52\n");
  }
  SUBCASE("6.2.8: USC-ISIC.ARPA CNAME") {
    CHECK(text_of("USC-ISIC.ARPA.", "CNAME") ==
          "noerror aa ra\nan usc-isic.arpa. 86400 in cname c.isi.edu.\n");
  }
}

TEST_CASE("RFC 2308 section 2.1: NXDOMAIN has the SOA, behind a CNAME that of the last zone") {
  ZoneServer server;
  server.zone("example.", around("an CNAME tripple.xx.\n"));
  server.zone("xx.",
              "@ 3600 IN SOA ns1.xx. hostmaster.ns1.xx. 1 2 3 4 5\n@ 3600 NS ns1\n"
              "ns1 3600 A 127.0.0.2\n");
  CHECK(server.ask("an.example.", "A") ==
        "NXDOMAIN aa ra\nAN an.example. 3600 IN CNAME tripple.xx.\n"
        "NS xx. 5 IN SOA ns1.xx. hostmaster.ns1.xx. 1 2 3 4 5\n");
  CHECK(server.ask("nobody.xx.", "A") ==
        "NXDOMAIN aa ra\nNS xx. 5 IN SOA ns1.xx. hostmaster.ns1.xx. 1 2 3 4 5\n");
}

TEST_CASE("RFC 2308 section 2.2: NODATA has the SOA and no NS") {
  ZoneServer server;
  server.zone("example.", around("another MX 10 mail.invalid.\nalias CNAME another\n"));
  CHECK(server.ask("another.example.", "A") ==
        "NOERROR aa ra\nNS example. 5 IN SOA ns.invalid. admin.invalid. 1 2 3 4 5\n");
  CHECK(server.ask("alias.example.", "A") ==
        "NOERROR aa ra\nAN alias.example. 3600 IN CNAME another.example.\n"
        "NS example. 5 IN SOA ns.invalid. admin.invalid. 1 2 3 4 5\n");
}

TEST_CASE("RFC 2308 section 5: the TTL of a negative answer is the lesser of SOA TTL and minimum") {
  ZoneServer server;
  server.zone("low.example.",
              "@ 60 IN SOA ns.invalid. a.invalid. 1 2 3 4 900\n@ 60 NS ns.invalid.\n");
  server.zone("high.example.",
              "@ 900 IN SOA ns.invalid. a.invalid. 1 2 3 4 60\n@ 60 NS ns.invalid.\n");
  CHECK(server.ask("x.low.example.", "A") ==
        "NXDOMAIN aa ra\nNS low.example. 60 IN SOA ns.invalid. a.invalid. 1 2 3 4 900\n");
  CHECK(server.ask("x.high.example.", "A") ==
        "NXDOMAIN aa ra\nNS high.example. 60 IN SOA ns.invalid. a.invalid. 1 2 3 4 60\n");
  CHECK(server.zones[0]->negative_ttl() == 60);
  CHECK(server.zones[1]->negative_ttl() == 60);
}

TEST_CASE("RFC 6672 section 2.2: the table of substitutions") {
  constexpr const char* kCom = "com.";
  CHECK(through_dname(kCom, "com.", "example.com. DNAME example.net.\n") == "none");
  CHECK(through_dname(kCom, "example.com.", "example.com. DNAME example.net.\n") == "none");
  CHECK(through_dname(kCom, "a.example.com.", "example.com. DNAME example.net.\n") ==
        "a.example.net.");
  CHECK(through_dname(kCom, "a.b.example.com.", "example.com. DNAME example.net.\n") ==
        "a.b.example.net.");
  CHECK(through_dname(kCom, "ab.example.com.", "b.example.com. DNAME example.net.\n") == "none");
  CHECK(through_dname(kCom, "foo.example.com.", "example.com. DNAME example.net.\n") ==
        "foo.example.net.");
  CHECK(through_dname(kCom, "a.x.example.com.", "x.example.com. DNAME example.net.\n") ==
        "a.example.net.");
  CHECK(through_dname(kCom, "a.example.com.", "example.com. DNAME y.example.net.\n") ==
        "a.y.example.net.");
  // Twice in turn, for what becomes of it is below the DNAME again.
  CHECK(through_dname("x.", "shortloop.x.x.", "x. DNAME .\n") == "shortloop.");
  CHECK(through_dname("x.", "shortloop.x.", "x. DNAME .\n") == "shortloop.");
}

TEST_CASE("RFC 6672 section 2.2: DNAMEs that lead back to themselves end") {
  CHECK(through_dname("com.", "cyc.example.com.", "example.com. DNAME example.com.\n")
            .find("AN cyc.example.com. 3600 IN CNAME cyc.example.com.\n") != std::string::npos);
  ZoneServer growing;
  growing.zone("com.", around("example.com. DNAME c.example.com.\n"));
  CHECK(growing.ask("cyc.example.com.", "A").starts_with("SERVFAIL"));
}

TEST_CASE("RFC 6672 section 2.2: the DNAME itself is found by its type, beside other data") {
  ZoneServer server;
  server.zone("com.", around("example DNAME example.net.\nexample A 192.0.2.5\n"));
  CHECK(server.ask("example.com.", "DNAME") ==
        "NOERROR aa ra\nAN example.com. 3600 IN DNAME example.net.\n");
  CHECK(server.ask("example.com.", "A") == "NOERROR aa ra\nAN example.com. 3600 IN A 192.0.2.5\n");
  CHECK(server.ask("example.com.", "MX") ==
        "NOERROR aa ra\nNS com. 5 IN SOA ns.invalid. admin.invalid. 1 2 3 4 5\n");
}

TEST_CASE("RFC 6672 section 2.2: a name that becomes longer than 255 bytes is YXDOMAIN") {
  const std::string label(63, 'l');
  const std::string target = label + "." + label + "." + label + ".b.";  // 195 bytes
  ZoneServer server;
  server.zone("x.", around("d DNAME " + target + "\n"));
  const std::string fits = std::string(59, 'a') + ".d.x.";  // 60 + 195 == 255
  const std::string over = std::string(60, 'a') + ".d.x.";
  CHECK(server.ask(fits.c_str(), "A") == "forward " + std::string(59, 'a') + "." + target + " A");
  CHECK(server.ask(over.c_str(), "A") == "YXDOMAIN aa ra\nAN d.x. 3600 IN DNAME " + target + "\n");
}

TEST_CASE("RFC 6672 section 2.4: nothing below a DNAME is served") {
  ZoneServer server;
  server.zone("com.", around("example DNAME example.net.\nhost.example A 192.0.2.9\n"));
  CHECK(server.ask("host.example.com.", "A") == "forward host.example.net. A");
}

TEST_CASE("a question for DS at a cut is answered above it (RFC 4035 section 3.1.4.1)") {
  ZoneServer server;
  server.zone("example.", around("cut NS ns.cut\nns.cut A 192.0.2.53\ncut DS 1 13 2 " +
                                 std::string(64, '0') + "\n"));
  CHECK(server.ask("cut.example.", "DS") ==
        "NOERROR aa ra\nAN cut.example. 3600 IN DS 1 13 2 " + std::string(64, '0') + "\n");
  CHECK(server.ask("cut.example.", "A") ==
        "NOERROR ra\nNS cut.example. 3600 IN NS ns.cut.example.\n"
        "AR ns.cut.example. 3600 IN A 192.0.2.53\n");
  CHECK(server.ask("ns.cut.example.", "A") ==
        "NOERROR ra\nNS cut.example. 3600 IN NS ns.cut.example.\n"
        "AR ns.cut.example. 3600 IN A 192.0.2.53\n");
}

TEST_CASE("every RRset is visited once, the apex first") {
  const ZoneLoad load = load_text("example.", kWildcards);
  REQUIRE(load.zone != nullptr);
  std::size_t rrsets = 0;
  std::string first;
  load.zone->for_each([&](NameView owner, const RrsetView& rrset) {
    if (rrsets++ == 0) first = name_text(owner);
    CHECK(rrset.count > 0);
  });
  CHECK(first == "example.");
  CHECK(rrsets == 9);
  CHECK(load.zone->record_count() == 11);
  CHECK(load.zone->serial() == 1);
}

}  // namespace postern::dns
