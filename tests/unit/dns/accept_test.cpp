#include "dns/accept.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <ldns/ldns.h>

#include "dns/policy.h"

namespace postern::dns {
namespace {

using Wire = std::vector<std::uint8_t>;
using Lines = std::vector<std::string>;

void append(Wire& to, Bytes bytes) {
  for (const std::uint8_t byte : bytes) to.push_back(byte);
}

void append_u16(Wire& to, std::size_t value) {
  to.push_back(static_cast<std::uint8_t>(value >> 8));
  to.push_back(static_cast<std::uint8_t>(value));
}

Wire hex(std::string_view text) {
  Wire out;
  bool high = true;
  for (const char c : text) {
    if (c == ' ') continue;
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    if (high) {
      out.push_back(static_cast<std::uint8_t>(digit << 4));
    } else {
      out.back() = static_cast<std::uint8_t>(out.back() | digit);
    }
    high = !high;
  }
  return out;
}

// "www.example.com" as labels; "" is the root.
Wire wire_name(const std::string& text) {
  Wire out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t dot = std::min(text.find('.', at), text.size());
    out.push_back(static_cast<std::uint8_t>(dot - at));
    for (; at < dot; ++at) out.push_back(static_cast<std::uint8_t>(text[at]));
    ++at;
  }
  out.push_back(0);
  return out;
}

constexpr std::uint16_t kA = 1, kNs = 2, kCname = 5, kSoa = 6, kMx = 15, kTxt = 16, kAaaa = 28,
                        kSrv = 33, kDname = 39, kOpt = 41, kRrsig = 46, kNsec = 47, kSvcb = 64,
                        kHttps = 65, kAny = 255;
enum Part { kAn, kAu, kAd };

// A response written byte by byte.
struct Packet {
  Packet(const std::string& name, std::uint16_t type, std::uint16_t flags = 0x8180) {
    append_u16(bytes, 0x1234);
    append_u16(bytes, flags);
    append(bytes, hex("0001 0000 0000 0000"));
    append(bytes, wire_name(name));
    append_u16(bytes, type);
    append_u16(bytes, 1);
  }
  Packet& raw(Part part, const Wire& owner, std::uint16_t type, std::uint32_t ttl,
              const Wire& rdata, std::uint16_t klass = 1) {
    append(bytes, owner);
    append_u16(bytes, type);
    append_u16(bytes, klass);
    append_u16(bytes, ttl >> 16);
    append_u16(bytes, ttl & 0xffff);
    append_u16(bytes, rdata.size());
    append(bytes, rdata);
    const std::size_t count = 7 + 2 * static_cast<std::size_t>(part);
    if (++bytes[count] == 0) ++bytes[count - 1];
    return *this;
  }
  Packet& add(Part part, const std::string& owner, std::uint16_t type, std::uint32_t ttl,
              const Wire& rdata) {
    return raw(part, wire_name(owner), type, ttl, rdata);
  }
  Packet& soa(const std::string& owner, std::uint32_t ttl, std::uint8_t minimum) {
    Wire rdata = wire_name("ns." + owner);
    append(rdata, wire_name("admin." + owner));
    rdata.resize(rdata.size() + 19);
    rdata.push_back(minimum);
    return add(kAu, owner, kSoa, ttl, rdata);
  }
  Packet& rrsig(Part part, const std::string& owner, std::uint16_t covered, std::uint32_t ttl) {
    Wire rdata;
    append_u16(rdata, covered);
    append(rdata, hex("0d02 0000012c 65000000 64000000 1234"));
    append(rdata, wire_name("example.com"));
    append(rdata, hex("aabbccdd"));
    return add(part, owner, kRrsig, ttl, rdata);
  }
  Wire bytes;
};

// What an image says, read by ldns.
struct Seen {
  AcceptOutcome outcome{};
  ImageHead head;
  std::string ede;
  Lines answer, authority, additional;
  AcceptCounts counts;
};

Lines lines_of(ldns_rr_list* list) {
  Lines out;
  for (std::size_t i = 0; i < ldns_rr_list_rr_count(list); ++i) {
    char* text = ldns_rr2str(ldns_rr_list_rr(list, i));
    std::string line(text);
    free(text);
    for (char& c : line) c = c == '\t' || c == '\n' ? ' ' : c;
    line.erase(line.find_last_not_of(' ') + 1);
    out.push_back(line);
  }
  return out;
}

void read_image(const Packet& packet, std::size_t question_size, const ImageView& image,
                Seen* out) {
  Wire message(packet.bytes.begin(),
               packet.bytes.begin() + static_cast<std::ptrdiff_t>(question_size));
  const std::uint16_t counts[] = {image.head.answers, image.head.authorities,
                                  image.head.additionals};
  for (std::size_t i = 0; i < 3; ++i) {
    message[6 + 2 * i] = static_cast<std::uint8_t>(counts[i] >> 8);
    message[7 + 2 * i] = static_cast<std::uint8_t>(counts[i]);
  }
  append(message, image.body);
  ldns_pkt* read = nullptr;
  REQUIRE(ldns_wire2pkt(&read, message.data(), message.size()) == LDNS_STATUS_OK);
  out->answer = lines_of(ldns_pkt_answer(read));
  out->authority = lines_of(ldns_pkt_authority(read));
  out->additional = lines_of(ldns_pkt_additional(read));
  // Each remembered place is a TTL: the field before it is class IN.
  CHECK(image.ttl_offsets.size() ==
        out->answer.size() + out->authority.size() + out->additional.size());
  for (const std::uint16_t offset : image.ttl_offsets) {
    CHECK(load_u16(image.body.data() + offset - 2) == 1);
  }
  ldns_pkt_free(read);
}

// A policy and a question.
struct Setup {
  PolicySettings settings;
  CacheSettings cache;
  bool dnssec_ok = false;
  bool owned = false;
  bool guarded = false;

  Seen accept(const Packet& packet, std::size_t cut = 0) const {
    const std::unique_ptr<const Policy> policy = compile_policy(settings, {});
    ForwardQuestion question;
    std::size_t at = 12;
    while (packet.bytes[at] != 0) at += packet.bytes[at] + 1U;
    question.name.assign(NameView(Bytes(packet.bytes).subspan(12, at + 1 - 12)));
    question.type = static_cast<RrType>(load_u16(packet.bytes.data() + at + 1));
    question.klass = RrClass::kIn;
    question.dnssec_ok = dnssec_ok;
    question.owned = owned;
    question.guarded = guarded;
    question.view = &policy->everyone;
    const auto image = std::make_unique<ImageBuffer>();
    Seen seen;
    // An exact copy on the heap, so that a read past the end is seen.
    const Wire message(packet.bytes.begin(), packet.bytes.end() - static_cast<std::ptrdiff_t>(cut));
    seen.outcome = dns::accept(message, question, cache, image.get(), &seen.counts);
    if (seen.outcome != AcceptOutcome::kAnswer) return seen;
    const ImageView view = image->view();
    seen.head = view.head;
    seen.ede = std::string(view.ede_text);
    read_image(packet, at + 5, view, &seen);
    return seen;
  }
  Setup& owns(const std::string& name) {
    OverrideSettings rule;
    rule.names = {Name::parse(name).value()};
    rule.addresses = {IpAddress::parse("192.168.10.50").value()};
    settings.overrides.push_back(rule);
    return *this;
  }
};

Setup plain() {
  Setup setup;
  setup.settings.forward_names = {Name::parse(".").value()};
  return setup;
}

Setup with_dnssec() {
  Setup setup = plain();
  setup.dnssec_ok = true;
  return setup;
}

const Wire some_address = hex("c0000201");  // 192.0.2.1

}  // namespace

// matches_question

TEST_CASE("a response belongs to its question only when id, name, type and class are equal") {
  const Packet packet("www.Example.com", kA);
  const Wire name = wire_name("www.Example.com");
  const Wire other_case = wire_name("www.example.com");
  const auto matches = [&](std::uint16_t id, const Wire& sent, RrType type, RrClass klass,
                           bool match_case) {
    return matches_question(packet.bytes, id, NameView(sent), type, klass, match_case);
  };
  CHECK(matches(0x1234, name, RrType::kA, RrClass::kIn, true));
  CHECK(matches(0x1234, other_case, RrType::kA, RrClass::kIn, false));
  CHECK_FALSE(matches(0x1234, other_case, RrType::kA, RrClass::kIn, true));
  CHECK_FALSE(matches(0x1235, name, RrType::kA, RrClass::kIn, true));
  CHECK_FALSE(matches(0x1234, name, RrType::kAaaa, RrClass::kIn, true));
  CHECK_FALSE(matches(0x1234, name, RrType::kA, RrClass::kCh, true));
  CHECK_FALSE(matches(0x1234, wire_name("www.example.co"), RrType::kA, RrClass::kIn, false));
  CHECK_FALSE(matches(0x1234, wire_name("www.example.com.x"), RrType::kA, RrClass::kIn, false));
}

TEST_CASE("a query, another opcode, no question or two of them match nothing") {
  const Wire name = wire_name("a.b");
  const auto matches = [&](std::size_t byte, std::uint8_t value) {
    Packet packet("a.b", kA);
    packet.bytes[byte] = value;
    return matches_question(packet.bytes, 0x1234, NameView(name), RrType::kA, RrClass::kIn, true);
  };
  CHECK(matches(2, 0x81));
  CHECK_FALSE(matches(2, 0x01));  // QR=0
  CHECK_FALSE(matches(2, 0xa1));  // NOTIFY
  CHECK_FALSE(matches(5, 0));
  CHECK_FALSE(matches(5, 2));
  const Packet packet("a.b", kA);
  for (std::size_t size = 0; size < packet.bytes.size(); ++size) {
    const Wire cut(packet.bytes.begin(), packet.bytes.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(matches_question(cut, 0x1234, NameView(name), RrType::kA, RrClass::kIn, false));
  }
}

// Outcomes

TEST_CASE("an answer is kept with its TTL") {
  const Seen seen = plain().accept(Packet("www.example.com", kA)
                                       .add(kAn, "www.example.com", kA, 300, some_address)
                                       .add(kAn, "www.example.com", kA, 300, hex("c0000202")));
  CHECK(seen.outcome == AcceptOutcome::kAnswer);
  CHECK(seen.answer ==
        Lines{"www.example.com. 300 IN A 192.0.2.1", "www.example.com. 300 IN A 192.0.2.2"});
  CHECK(seen.head.ttl_s == 300);
  CHECK(seen.head.flags == 0);
  CHECK(seen.head.ede == kNoEde);
  CHECK_FALSE(seen.head.continues);
}

TEST_CASE("rcodes other than NOERROR and NXDOMAIN are failures, TC asks for TCP") {
  CHECK(plain().accept(Packet("a.b", kA, 0x8182)).outcome == AcceptOutcome::kFailed);
  CHECK(plain().accept(Packet("a.b", kA, 0x8181)).outcome == AcceptOutcome::kFailed);
  CHECK(plain().accept(Packet("a.b", kA, 0x8184)).outcome == AcceptOutcome::kFailed);
  CHECK(plain().accept(Packet("a.b", kA, 0x8185)).outcome == AcceptOutcome::kFailed);
  CHECK(plain().accept(Packet("a.b", kA, 0x8380)).outcome == AcceptOutcome::kTruncated);
}

TEST_CASE("BADVERS hides behind NOERROR in the header and is a failure") {
  Packet packet("a.b", kA);
  packet.raw(kAd, {0}, kOpt, 0x01000000, {}, 1232);
  CHECK(plain().accept(packet).outcome == AcceptOutcome::kFailed);
}

TEST_CASE("an OPT record that does not belong to the root is malformed") {
  Packet packet("a.b", kA);
  packet.add(kAn, "a.b", kA, 60, some_address);
  Packet rooted = packet;
  rooted.raw(kAd, {0}, kOpt, 0, {}, 1232);
  CHECK(plain().accept(rooted).outcome == AcceptOutcome::kAnswer);
  for (const Wire& owner : {hex("c00c"), hex("f200"), wire_name("b")}) {
    Packet owned = packet;
    owned.raw(kAd, owner, kOpt, 0, {}, 1232);
    CHECK(plain().accept(owned).outcome == AcceptOutcome::kMalformed);
  }
}

TEST_CASE("a referral is no answer") {
  CHECK(plain().accept(Packet("a.b", kA).add(kAu, "b", kNs, 300, wire_name("ns.b"))).outcome ==
        AcceptOutcome::kFailed);
}

// TTLs

TEST_CASE("TTLs are clamped, made equal within an RRset, and long with the top bit set") {
  Setup setup = plain();
  setup.cache.min_ttl_s = 30;
  setup.cache.max_ttl_s = 600;
  const auto ttl = [&](std::uint32_t first, std::uint32_t second) {
    return setup
        .accept(Packet("a.b", kA)
                    .add(kAn, "a.b", kA, first, some_address)
                    .add(kAn, "a.b", kA, second, hex("c0000202")))
        .answer;
  };
  CHECK(ttl(5, 100000) == Lines{"a.b. 30 IN A 192.0.2.1", "a.b. 30 IN A 192.0.2.2"});
  CHECK(ttl(7000, 8000) == Lines{"a.b. 600 IN A 192.0.2.1", "a.b. 600 IN A 192.0.2.2"});
  CHECK(ttl(100, 400) == Lines{"a.b. 100 IN A 192.0.2.1", "a.b. 100 IN A 192.0.2.2"});
  // RFC 8767 section 4
  CHECK(ttl(0x80000001, 0xffffffff) == Lines{"a.b. 600 IN A 192.0.2.1", "a.b. 600 IN A 192.0.2.2"});
}

// The chain

TEST_CASE("a chain is put in order and what does not belong to it goes") {
  const Seen seen =
      plain().accept(Packet("www.example.com", kA)
                         .add(kAn, "cdn.example.net", kA, 60, some_address)
                         .add(kAn, "evil.example", kA, 60, some_address)
                         .add(kAn, "mid.example.org", kCname, 20, wire_name("cdn.example.net"))
                         .add(kAn, "www.example.com", kTxt, 60, hex("0178"))
                         .add(kAn, "WWW.example.com", kCname, 300, wire_name("mid.Example.org")));
  CHECK(seen.answer == Lines{"www.example.com. 300 IN CNAME mid.Example.org.",
                             "mid.example.org. 20 IN CNAME cdn.example.net.",
                             "cdn.example.net. 60 IN A 192.0.2.1"});
  CHECK(seen.head.ttl_s == 20);
  CHECK(seen.counts.out_of_bailiwick == 2);
}

TEST_CASE("the second CNAME of a name is not kept") {
  const Seen seen = plain().accept(Packet("a.b", kA)
                                       .add(kAn, "a.b", kCname, 60, wire_name("c.d"))
                                       .add(kAn, "a.b", kCname, 60, wire_name("e.f"))
                                       .add(kAn, "c.d", kA, 60, some_address)
                                       .add(kAn, "e.f", kA, 60, some_address));
  CHECK(seen.answer == Lines{"a.b. 60 IN CNAME c.d.", "c.d. 60 IN A 192.0.2.1"});
  CHECK(seen.counts.out_of_bailiwick == 2);
}

TEST_CASE("a chain that arrives at a name of ours ends there and goes on here") {
  const Seen seen =
      plain()
          .owns("*.home.example")
          .accept(Packet("www.example.com", kA, 0x81a3)  // NXDOMAIN, AD: about a name that is ours
                      .add(kAn, "www.example.com", kCname, 300, wire_name("llama.home.example"))
                      .add(kAn, "llama.home.example", kA, 60, some_address)
                      .soa("example", 60, 60));
  CHECK(seen.answer == Lines{"www.example.com. 300 IN CNAME llama.home.example."});
  CHECK(seen.authority.empty());
  CHECK(seen.head.continues);
  CHECK(seen.head.flags == 0);
  CHECK(seen.head.ttl_s == 300);
}

TEST_CASE("a chain in a circle is cut") {
  const Seen seen = plain().accept(Packet("a.b", kA)
                                       .add(kAn, "a.b", kCname, 60, wire_name("c.d"))
                                       .add(kAn, "c.d", kCname, 60, wire_name("A.b")));
  CHECK(seen.outcome == AcceptOutcome::kAnswer);
  CHECK(seen.answer == Lines{"a.b. 60 IN CNAME c.d.", "c.d. 60 IN CNAME A.b."});
  CHECK(seen.head.ttl_s == 1);
}

TEST_CASE("a chain is followed for 16 names and is no answer beyond") {
  const auto chain = [](int links) {
    Packet packet("n0.x", kA);
    for (int i = 0; i < links; ++i) {
      packet.add(kAn, "n" + std::to_string(i) + ".x", kCname, 60,
                 wire_name("n" + std::to_string(i + 1) + ".x"));
    }
    packet.add(kAn, "n" + std::to_string(links) + ".x", kA, 60, some_address);
    return plain().accept(packet);
  };
  CHECK(chain(16).answer.size() == 17);
  CHECK(chain(16).answer.back() == "n16.x. 60 IN A 192.0.2.1");
  CHECK(chain(17).outcome == AcceptOutcome::kFailed);
}

TEST_CASE("where upstream's chain ends without a word about the last name, that is asked for") {
  const Packet bare = Packet("a.b", kA).add(kAn, "a.b", kCname, 60, wire_name("c.d"));
  CHECK(plain().accept(bare).head.continues);
  Packet denied = bare;
  denied.soa("d", 60, 60);
  CHECK_FALSE(plain().accept(denied).head.continues);
  Packet nxdomain = bare;
  nxdomain.bytes[3] = 0x83;
  CHECK_FALSE(plain().accept(nxdomain).head.continues);
}

TEST_CASE("a chain into another forward or a special-use name goes on there") {
  Setup setup = plain();
  setup.settings.forward_names.push_back(Name::parse("corp").value());
  const auto accept_to = [&](const char* target) {
    return setup.accept(Packet("a.b", kA)
                            .add(kAn, "a.b", kCname, 60, wire_name(target))
                            .add(kAn, target, kA, 60, some_address));
  };
  CHECK(accept_to("in.corp").head.continues);
  CHECK(accept_to("in.corp").answer == Lines{"a.b. 60 IN CNAME in.corp."});
  CHECK(accept_to("localhost").head.continues);
  CHECK_FALSE(accept_to("c.d").head.continues);
}

TEST_CASE("a DNAME comes before the CNAME that was made from it") {
  const Seen seen =
      plain().accept(Packet("w.old.example", kA)
                         .add(kAn, "w.old.example", kCname, 60, wire_name("w.new.example"))
                         .add(kAn, "w.new.example", kA, 60, some_address)
                         .add(kAn, "old.example", kDname, 60, wire_name("new.example")));
  CHECK(seen.answer == Lines{"old.example. 60 IN DNAME new.example.",
                             "w.old.example. 60 IN CNAME w.new.example.",
                             "w.new.example. 60 IN A 192.0.2.1"});
  CHECK(seen.counts.out_of_bailiwick == 0);
}

TEST_CASE("the CNAME of a DNAME is made here, whatever upstream made of it") {
  const Seen seen =
      plain().accept(Packet("w.old.example", kA)
                         .add(kAn, "old.example", kDname, 60, wire_name("new.example"))
                         .add(kAn, "w.old.example", kCname, 60, wire_name("W.new.example"))
                         .add(kAn, "w.new.example", kA, 60, some_address));
  CHECK(seen.answer == Lines{"old.example. 60 IN DNAME new.example.",
                             "w.old.example. 60 IN CNAME w.new.example.",
                             "w.new.example. 60 IN A 192.0.2.1"});
}

TEST_CASE("YXDOMAIN from upstream is passed on with its DNAME") {
  const Seen seen =
      plain().accept(Packet("w.old.example", kA, 0x8186)
                         .add(kAn, "old.example", kDname, 60, wire_name("new.example"))
                         .add(kAn, "w.old.example", kDname, 60, wire_name("x")));
  CHECK(seen.outcome == AcceptOutcome::kAnswer);
  CHECK(seen.head.rcode() == Rcode::kYxDomain);
}

TEST_CASE("a DNAME without its CNAME is followed all the same") {
  const Seen seen =
      plain().accept(Packet("w.old.example", kA)
                         .add(kAn, "old.example", kDname, 70, wire_name("new.example"))
                         .add(kAn, "w.new.example", kA, 60, some_address));
  CHECK(seen.answer == Lines{"old.example. 70 IN DNAME new.example.",
                             "w.old.example. 70 IN CNAME w.new.example.",
                             "w.new.example. 60 IN A 192.0.2.1"});
}

TEST_CASE("asked for the CNAME, nobody goes on") {
  const Seen seen = plain().accept(Packet("a.b", kCname)
                                       .add(kAn, "a.b", kCname, 60, wire_name("c.d"))
                                       .add(kAn, "c.d", kCname, 60, wire_name("e.f")));
  CHECK(seen.answer == Lines{"a.b. 60 IN CNAME c.d."});
}

TEST_CASE("ANY keeps everything at the name") {
  const Seen seen = plain().accept(Packet("a.b", kAny)
                                       .add(kAn, "a.b", kA, 60, some_address)
                                       .add(kAn, "a.b", kTxt, 60, hex("0178"))
                                       .add(kAn, "x.b", kTxt, 60, hex("0178")));
  CHECK(seen.answer == Lines{"a.b. 60 IN A 192.0.2.1", "a.b. 60 IN TXT \"x\""});
}

// Negative answers

TEST_CASE("a negative answer lives as long as its SOA says, within the limit") {
  const auto ttl = [](std::uint32_t soa_ttl, std::uint8_t minimum, std::uint32_t limit) {
    Setup setup = plain();
    setup.cache.negative_ttl_s = limit;
    const Seen seen =
        setup.accept(Packet("a.example.com", kA, 0x8183).soa("example.com", soa_ttl, minimum));
    CHECK(seen.head.rcode() == Rcode::kNxDomain);
    REQUIRE(seen.authority.size() == 1);
    CHECK(seen.authority[0].find(std::to_string(seen.head.ttl_s) + " IN SOA") != std::string::npos);
    return seen.head.ttl_s;
  };
  CHECK(ttl(200, 100, 300) == 100);
  CHECK(ttl(50, 100, 300) == 50);
  CHECK(ttl(200, 100, 30) == 30);
}

TEST_CASE("NODATA behind a CNAME keeps the chain and the SOA of its end only") {
  const Seen seen = plain().accept(Packet("a.b", kAaaa)
                                       .add(kAn, "a.b", kCname, 40, wire_name("c.example.com"))
                                       .soa("b", 60, 60)
                                       .soa("Example.com", 60, 60)
                                       .add(kAu, "example.com", kNs, 60, wire_name("ns.b")));
  CHECK(seen.answer == Lines{"a.b. 40 IN CNAME c.example.com."});
  REQUIRE(seen.authority.size() == 1);
  CHECK(seen.authority[0].substr(0, 23) == "Example.com. 60 IN SOA ");
  CHECK(seen.head.ttl_s == 40);
}

TEST_CASE("an answer lasts no longer than the first of its records, wherever that stands") {
  const Seen seen = plain().accept(Packet("example.com", kHttps)
                                       .add(kAn, "example.com", kHttps, 300, hex("0001 0373766300"))
                                       .add(kAd, "svc", kA, 5, some_address));
  CHECK(seen.additional.size() == 1);
  CHECK(seen.head.ttl_s == 5);
}

TEST_CASE("what may not be cached is never stale data") {
  CHECK(plain().accept(Packet("a.b", kA)).head.no_stale);
  CHECK(plain().accept(Packet("a.b", kA).add(kAn, "a.b", kA, 0, some_address)).head.no_stale);
  CHECK_FALSE(plain().accept(Packet("a.b", kA).add(kAn, "a.b", kA, 1, some_address)).head.no_stale);
  CHECK_FALSE(plain().accept(Packet("a.b", kA).soa("b", 60, 60)).head.no_stale);
}

TEST_CASE("a SOA that is cut short makes a response malformed") {
  Packet packet("a.b", kA);
  Wire rdata = wire_name("n");
  append(rdata, wire_name("m"));
  rdata.resize(rdata.size() + 18);
  packet.add(kAu, "b", kSoa, 60, rdata);
  CHECK(plain().accept(packet).outcome == AcceptOutcome::kMalformed);
}

TEST_CASE("NODATA and NXDOMAIN without a SOA are kept for a second") {
  const Seen nodata = plain().accept(Packet("a.b", kA));
  CHECK(nodata.outcome == AcceptOutcome::kAnswer);
  CHECK(nodata.head.ttl_s == 1);
  CHECK(nodata.head.rcode() == Rcode::kNoError);
  CHECK(plain().accept(Packet("a.b", kA, 0x8183)).head.rcode() == Rcode::kNxDomain);
}

TEST_CASE("NS records beside an answer go") {
  const Seen seen = plain().accept(Packet("a.b", kA)
                                       .add(kAn, "a.b", kA, 60, some_address)
                                       .add(kAu, "b", kNs, 60, wire_name("ns.b"))
                                       .add(kAd, "ns.b", kA, 60, some_address));
  CHECK(seen.authority.empty());
  CHECK(seen.additional.empty());
}

// DNSSEC

TEST_CASE("signatures and proofs are kept with DO and dropped without") {
  Packet packet("a.example.com", kA, 0x81a0);
  packet.rrsig(kAn, "a.example.com", kA, 300)
      .add(kAn, "a.example.com", kA, 300, some_address)
      .add(kAu, "z.example.com", kNsec, 300, hex("00 0001 40"))
      .rrsig(kAu, "z.example.com", kNsec, 300);
  const Seen with = with_dnssec().accept(packet);
  REQUIRE(with.answer.size() == 2);
  CHECK(with.answer[0] == "a.example.com. 300 IN A 192.0.2.1");
  CHECK(with.answer[1].find("RRSIG A ") != std::string::npos);
  REQUIRE(with.authority.size() == 2);
  CHECK(with.authority[0].find(" NSEC ") != std::string::npos);
  CHECK(with.authority[1].find("RRSIG NSEC ") != std::string::npos);
  CHECK(with.head.flags == kFlagAd);
  const Seen without = plain().accept(packet);
  CHECK(without.answer == Lines{"a.example.com. 300 IN A 192.0.2.1"});
  CHECK(without.authority.empty());
  CHECK(without.counts.out_of_bailiwick == 0);
}

// HTTPS and SVCB. alpn=h3,h2 is 0001 0006 026833 026832.

TEST_CASE("h3 is withdrawn from every HTTPS record, signatures and AD go, and the reply says why") {
  Packet packet("example.com", kHttps, 0x81a0);
  packet.add(kAn, "example.com", kHttps, 300, hex("0001 00 0001 0006 026833 026832 0005 0001 ff"))
      .add(kAn, "example.com", kHttps, 300, hex("0002 00 0001 0006 026833 026832"))
      .rrsig(kAn, "example.com", kHttps, 300);
  const Seen seen = with_dnssec().accept(packet);
  CHECK(seen.answer.size() == 2);
  CHECK(seen.answer[0].find("IN HTTPS 1 . alpn=h2 ech=/w==") != std::string::npos);
  CHECK(seen.answer[1].find("IN HTTPS 2 . alpn=h2") != std::string::npos);
  CHECK(seen.head.flags == 0);
  CHECK(seen.head.ede == static_cast<std::uint16_t>(Ede::kForgedAnswer));
  CHECK(seen.ede == "h3 withdrawn from HTTPS by dns.svcb.strip_alpn");
  CHECK(seen.head.svcb_changes == kSvcbH3Removed);
  CHECK(seen.counts.svcb_edited == 2);
}

TEST_CASE("a record without h3 keeps signature, AD and silence") {
  Packet packet("example.com", kHttps, 0x81a0);
  packet.add(kAn, "example.com", kHttps, 300, hex("0001 00 0001 0003 026832"))
      .rrsig(kAn, "example.com", kHttps, 300);
  const Seen seen = with_dnssec().accept(packet);
  CHECK(seen.answer.size() == 2);
  CHECK(seen.head.flags == kFlagAd);
  CHECK(seen.head.ede == kNoEde);
  CHECK(seen.head.svcb_changes == 0);
}

TEST_CASE("SVCB records are edited like HTTPS records") {
  const Seen seen = plain().accept(
      Packet("_dns.example.com", kSvcb)
          .add(kAn, "_dns.example.com", kSvcb, 300, hex("0001 00 0001 0006 026833 026832")));
  REQUIRE(seen.answer.size() == 1);
  CHECK(seen.answer[0] == "_dns.example.com. 300 IN SVCB 1 . alpn=h2");
}

TEST_CASE("when no endpoint is left the answer is NODATA with a SOA of our own") {
  const Seen seen = plain().accept(
      Packet("example.com", kHttps)
          .add(kAn, "example.com", kHttps, 300, hex("0001 00 0001 0003 026833 0002 0000")));
  CHECK(seen.answer.empty());
  REQUIRE(seen.authority.size() == 1);
  CHECK(seen.authority[0] ==
        "example.com. 60 IN SOA localhost. nobody.invalid. 1 3600 600 86400 60");
  CHECK(seen.head.ttl_s == 60);
  CHECK(seen.head.rcode() == Rcode::kNoError);
  CHECK(seen.head.ede == static_cast<std::uint16_t>(Ede::kFiltered));
  CHECK(seen.head.svcb_changes == kSvcbRecordRemoved);
  CHECK(seen.counts.svcb_withheld == 1);
}

TEST_CASE("a malformed record goes and is counted, the others stay") {
  const Seen seen =
      plain().accept(Packet("example.com", kHttps)
                         .add(kAn, "example.com", kHttps, 300, hex("0001 00 0001 0000"))
                         .add(kAn, "example.com", kHttps, 300, hex("0001 00 0003 0002 01bb"))
                         .add(kAn, "example.com", kHttps, 300, hex("00")));
  CHECK(seen.answer.size() == 1);
  CHECK(seen.counts.svcb_malformed == 2);
  CHECK(seen.counts.svcb_edited == 0);
  CHECK(seen.head.ede == static_cast<std::uint16_t>(Ede::kForgedAnswer));
}

TEST_CASE("the target of an alias is edited too, wherever upstream put its records") {
  // example.com HTTPS 0 svc.example.net
  Wire alias = hex("0000");
  append(alias, wire_name("svc.example.net"));
  for (const Part part : {kAd, kAn}) {
    const Seen seen = plain().accept(
        Packet("example.com", kHttps)
            .add(kAn, "example.com", kHttps, 300, alias)
            .add(part, "svc.example.net", kHttps, 300, hex("0001 00 0001 0006 026833 026832"))
            .add(part, "svc.example.net", kA, 300, some_address)
            .add(part, "else.example.net", kA, 300, some_address));
    CHECK(seen.answer.size() == 1);
    REQUIRE(seen.additional.size() == 2);
    CHECK(seen.additional[0].find("svc.example.net. 300 IN HTTPS 1 . alpn=h2") == 0);
    CHECK(seen.additional[0].find("h3") == std::string::npos);
    CHECK(seen.additional[1] == "svc.example.net. 300 IN A 192.0.2.1");
    CHECK(seen.counts.svcb_edited == 1);
    CHECK(seen.counts.out_of_bailiwick == (part == kAn ? 1 : 0));
  }
}

TEST_CASE("a signed RRset is preserved for a client with DO when so configured") {
  Packet packet("example.com", kHttps, 0x81a0);
  packet.add(kAn, "example.com", kHttps, 300, hex("0001 00 0001 0006 026833 026832"))
      .rrsig(kAn, "example.com", kHttps, 300);
  Setup setup = with_dnssec();
  setup.settings.svcb.signed_answers = SignedAnswers::kPreserve;
  const Seen kept = setup.accept(packet);
  CHECK(kept.answer.size() == 2);
  CHECK(kept.counts.svcb_edited == 0);
  CHECK(kept.head.flags == kFlagAd);
  setup.dnssec_ok = false;
  CHECK(setup.accept(packet).counts.svcb_edited == 1);
  setup.dnssec_ok = true;
  setup.owns("example.com").owned = true;
  CHECK(setup.accept(packet).counts.svcb_edited == 1);
}

TEST_CASE("records that are equal once they were edited are one record") {
  const Seen seen =
      plain().accept(Packet("a.b", kHttps)
                         .add(kAn, "a.b", kHttps, 9, hex("0001 00 0001 0006 026833 026832"))
                         .add(kAn, "a.b", kHttps, 9, hex("0001 00 0001 0003 026832"))
                         .add(kAn, "a.b", kHttps, 9, hex("0002 00 0001 0003 026832")));
  CHECK(seen.answer.size() == 2);
}

TEST_CASE("excepted domains are left untouched, the name asked for as well as the owner") {
  Setup setup = plain();
  setup.settings.svcb.except = {Name::parse("example.com").value()};
  const Wire rdata = hex("0001 00 0001 0006 026833 026832");
  const auto edited = [&](const Packet& packet) { return setup.accept(packet).counts.svcb_edited; };
  CHECK(edited(Packet("www.example.com", kHttps).add(kAn, "www.example.com", kHttps, 9, rdata)) ==
        0);
  CHECK(edited(Packet("www.example.com", kHttps)
                   .add(kAn, "www.example.com", kCname, 9, wire_name("x.cdn"))
                   .add(kAn, "x.cdn", kHttps, 9, rdata)) == 0);
  CHECK(edited(Packet("x.org", kHttps)
                   .add(kAn, "x.org", kCname, 9, wire_name("example.com"))
                   .add(kAn, "example.com", kHttps, 9, rdata)) == 0);
  CHECK(edited(Packet("x.org", kHttps).add(kAn, "x.org", kHttps, 9, rdata)) == 1);
}

TEST_CASE("for an override ech and hints go, and the record stands at the name asked for") {
  Setup setup = plain().owns("llama.example.com");
  setup.owned = true;
  const Seen seen =
      setup.accept(Packet("llama.example.com", kHttps, 0x81a0)
                       .add(kAn, "llama.example.com", kCname, 300, wire_name("x.cdn.net"))
                       .add(kAn, "x.cdn.net", kHttps, 300,
                            hex("0001 00 0001 0006 026833 026832 0004 0004 c0000201 0005 0001 ff"))
                       .add(kAd, "x.cdn.net", kA, 300, some_address));
  REQUIRE(seen.answer.size() == 1);
  CHECK(seen.answer[0].find("llama.example.com. 300 IN HTTPS 1 . alpn=h2") == 0);
  CHECK(seen.answer[0].find("ech") == std::string::npos);
  CHECK(seen.answer[0].find("hint") == std::string::npos);
  CHECK(seen.additional.empty());
  CHECK(seen.head.flags == 0);
  CHECK(seen.counts.out_of_bailiwick == 0);
}

TEST_CASE("for an override a record that leads to a foreign name is withheld") {
  Setup setup = plain().owns("llama.example.com");
  setup.owns("gw.example.com");
  setup.owned = true;
  const auto answers = [&](const std::string& priority, const std::string& target) {
    Wire rdata = hex(priority);
    append(rdata, wire_name(target));
    const Seen seen = setup.accept(
        Packet("llama.example.com", kHttps).add(kAn, "llama.example.com", kHttps, 300, rdata));
    return seen.answer.size();
  };
  CHECK(answers("0001", "edge.cdn.net") == 0);
  CHECK(answers("0000", "edge.cdn.net") == 0);
  CHECK(answers("0000", "") == 0);
  CHECK(answers("0001", "") == 1);
  CHECK(answers("0001", "llama.example.com") == 1);
  CHECK(answers("0001", "gw.example.com") == 1);
}

TEST_CASE("for an override NXDOMAIN from upstream is NODATA with the SOA of the override") {
  Setup setup = plain().owns("llama.example.com");
  setup.settings.overrides[0].ttl_s = 45;
  setup.owned = true;
  const Seen seen =
      setup.accept(Packet("llama.example.com", kHttps, 0x8183).soa("example.com", 3600, 250));
  CHECK(seen.head.rcode() == Rcode::kNoError);
  CHECK(seen.authority ==
        Lines{"llama.example.com. 45 IN SOA localhost. nobody.invalid. 1 3600 600 "
              "86400 45"});
  CHECK(seen.head.ttl_s == 45);
  // A chain that leads to another name of ours has nothing to edit either.
  setup.owns("gw.example.com");
  const Seen ours =
      setup.accept(Packet("llama.example.com", kHttps)
                       .add(kAn, "llama.example.com", kCname, 300, wire_name("gw.example.com")));
  CHECK(ours.answer.empty());
  CHECK(ours.authority.size() == 1);
  CHECK_FALSE(ours.head.continues);
}

TEST_CASE("what an override leaves to upstream stands at the name itself, without a CNAME") {
  Setup setup = with_dnssec().owns("app.example.com");
  setup.owned = true;
  const Seen moved =
      setup.accept(Packet("app.example.com", kTxt, 0x81a0)
                       .add(kAn, "app.example.com", kCname, 300, wire_name("t.cdn.net"))
                       .rrsig(kAn, "app.example.com", kCname, 300)
                       .add(kAn, "t.cdn.net", kTxt, 300, hex("0178"))
                       .rrsig(kAn, "t.cdn.net", kTxt, 300));
  CHECK(moved.answer == Lines{"app.example.com. 300 IN TXT \"x\""});
  CHECK(moved.head.flags == 0);
  const Seen below = setup.accept(Packet("app.example.com", kTxt)
                                      .add(kAn, "example.com", kDname, 300, wire_name("cdn.net"))
                                      .add(kAn, "app.cdn.net", kTxt, 300, hex("0178")));
  CHECK(below.answer == Lines{"app.example.com. 300 IN TXT \"x\""});
  const Seen direct = setup.accept(Packet("app.example.com", kTxt, 0x81a0)
                                       .add(kAn, "app.example.com", kTxt, 300, hex("0178"))
                                       .rrsig(kAn, "app.example.com", kTxt, 300));
  CHECK(direct.answer.size() == 2);
  CHECK(direct.head.flags == kFlagAd);
}

TEST_CASE("upstream's NXDOMAIN for a name of ours is NODATA that nobody vouches for") {
  Setup setup = with_dnssec().owns("app.example.com");
  setup.owned = true;
  const Seen seen = setup.accept(Packet("app.example.com", kTxt, 0x81a3)
                                     .soa("example.com", 300, 60)
                                     .add(kAu, "a.example.com", kNsec, 300, hex("00 0001 40")));
  CHECK(seen.head.flags == 0);
  CHECK(seen.authority.size() == 1);
  CHECK(seen.head.ede == static_cast<std::uint16_t>(Ede::kForgedAnswer));
}

TEST_CASE("a service name of an overridden name is ours wherever a chain or an alias leads to it") {
  const Wire record = hex("0001 00 0001 0006 026833 026832 0004 0004 c0000201 0005 0001 ff");
  Setup setup = plain().owns("app.example.com");
  const Seen chain = setup.accept(
      Packet("www.example", kHttps)
          .add(kAn, "www.example", kCname, 60, wire_name("_8443._https.app.example.com"))
          .add(kAn, "_8443._https.app.example.com", kHttps, 60, record));
  CHECK(chain.head.continues);
  CHECK(chain.answer.size() == 1);
  Wire alias = hex("0000");
  append(alias, wire_name("_8443._https.app.example.com"));
  const Seen additional =
      setup.accept(Packet("www.example", kHttps)
                       .add(kAn, "www.example", kHttps, 60, alias)
                       .add(kAd, "_8443._https.app.example.com", kHttps, 60, record));
  CHECK(additional.answer.size() == 1);
  CHECK(additional.additional.empty());
}

TEST_CASE("a record whose target is a name of ours loses ech and hints, under except as well") {
  Setup setup = plain().owns("www.example.com");
  setup.settings.svcb.except = {Name::parse("example.com").value()};
  Wire rdata = hex("0001");
  append(rdata, wire_name("www.example.com"));
  append(rdata, hex("0001 0003 026832 0004 0004 c0000201 0005 0001 ff"));
  const Seen seen =
      setup.accept(Packet("example.com", kHttps).add(kAn, "example.com", kHttps, 60, rdata));
  REQUIRE(seen.answer.size() == 1);
  CHECK(seen.answer[0] == "example.com. 60 IN HTTPS 1 www.example.com. alpn=h2");
}

TEST_CASE("for an override a service name that is its own target leads away") {
  Setup setup = plain().owns("app.example.com");
  setup.owned = true;
  const Seen seen = setup.accept(
      Packet("_8443._https.app.example.com", kHttps)
          .add(kAn, "_8443._https.app.example.com", kHttps, 60, hex("0001 00 0001 0003 026832")));
  CHECK(seen.answer.empty());
}

// Rebinding

TEST_CASE("a question that a public name led to is guarded under a forward of its own as well") {
  Setup setup = plain();
  setup.settings.forward_names.push_back(Name::parse("corp").value());
  const Packet packet = Packet("in.corp", kA).add(kAn, "in.corp", kA, 60, hex("0a000001"));
  CHECK(setup.accept(packet).answer.size() == 1);
  setup.guarded = true;
  CHECK(setup.accept(packet).answer.empty());
}

TEST_CASE("the target that a cname override names may have private addresses") {
  Setup setup = plain();
  OverrideSettings rule;
  rule.names = {Name::parse("nas.example.com").value()};
  rule.cname = Name::parse("nas.tail.net").value();
  setup.settings.overrides.push_back(rule);
  const Packet packet =
      Packet("nas.tail.net", kA).add(kAn, "nas.tail.net", kA, 60, hex("64400001"));
  CHECK(setup.accept(packet).answer.size() == 1);
}

TEST_CASE("private addresses of public names are removed and counted") {
  const char* const private4[] = {"0a010203", "ac100001", "ac1fffff", "c0a80101", "7f000001",
                                  "a9fe0101", "64400001", "647fffff", "00000000"};
  for (const char* address : private4) {
    INFO(address);
    const Seen seen = plain().accept(Packet("a.b", kA)
                                         .add(kAn, "a.b", kA, 60, hex(address))
                                         .add(kAn, "a.b", kA, 60, some_address));
    CHECK(seen.answer == Lines{"a.b. 60 IN A 192.0.2.1"});
    CHECK(seen.counts.rebind_removed == 1);
    CHECK(seen.head.ede == static_cast<std::uint16_t>(Ede::kBlocked));
  }
  const char* const public4[] = {"ac200001", "ac0fffff", "64800001", "643fffff",
                                 "0b000001", "c0a70101", "a9ff0101"};
  for (const char* address : public4) {
    INFO(address);
    const Seen seen = plain().accept(Packet("a.b", kA).add(kAn, "a.b", kA, 60, hex(address)));
    CHECK(seen.answer.size() == 1);
  }
}

TEST_CASE("private IPv6 addresses, and IPv4 ones inside, make NODATA when they are all there was") {
  const char* const private6[] = {
      "00000000000000000000000000000000", "00000000000000000000000000000001",
      "fd000000000000000000000000000001", "fe800000000000000000000000000001",
      "fec00000000000000000000000000001", "00000000000000000000ffffc0a80101",
      "0064ff9b0000000000000000c0a80101", "0064ff9b0001000000000000c0000201",
      "00000000000000000000000008080808", "2002c0a8010100000000000000000001"};
  for (const char* address : private6) {
    INFO(address);
    const Seen seen = plain().accept(Packet("a.b", kAaaa).add(kAn, "a.b", kAaaa, 60, hex(address)));
    CHECK(seen.answer.empty());
    CHECK(seen.authority.size() == 1);
    CHECK(seen.ede == "private address removed (dns.limits.rebind_protection)");
  }
  const char* const public6[] = {"20010db8000000000000000000000001",
                                 "00000000000000000000ffff08080808",
                                 "0064ff9b000000000000000008080808"};
  for (const char* address : public6) {
    INFO(address);
    const Seen seen = plain().accept(Packet("a.b", kAaaa).add(kAn, "a.b", kAaaa, 60, hex(address)));
    CHECK(seen.answer.size() == 1);
  }
}

TEST_CASE("private addresses stay under a forward of their own, an exception, or without guard") {
  const Packet packet =
      Packet("pc.lan.example", kA).add(kAn, "pc.lan.example", kA, 60, hex("c0a80101"));
  CHECK(plain().accept(packet).answer.empty());
  Setup forwarded = plain();
  forwarded.settings.forward_names.push_back(Name::parse("lan.example").value());
  CHECK(forwarded.accept(packet).answer.size() == 1);
  Setup excepted = plain();
  excepted.settings.rebind.except = {Name::parse("example").value()};
  CHECK(excepted.accept(packet).answer.size() == 1);
  Setup off = plain();
  off.settings.rebind.enabled = false;
  CHECK(off.accept(packet).answer.size() == 1);
}

TEST_CASE("a public name that points at an excepted one is still guarded") {
  Setup setup = plain();
  setup.settings.rebind.except = {Name::parse("plex.direct").value()};
  const Seen seen =
      setup.accept(Packet("evil.example", kA)
                       .add(kAn, "evil.example", kCname, 60, wire_name("x.plex.direct"))
                       .add(kAn, "x.plex.direct", kA, 60, hex("c0a80101")));
  CHECK(seen.answer == Lines{"evil.example. 60 IN CNAME x.plex.direct."});
}

TEST_CASE("private address hints go, the record stays") {
  const Seen seen = plain().accept(
      Packet("a.b", kHttps)
          .add(kAn, "a.b", kHttps, 60, hex("0001 00 0001 0003 026832 0004 0004 c0a80101")));
  REQUIRE(seen.answer.size() == 1);
  CHECK(seen.answer[0].find("alpn=h2") != std::string::npos);
  CHECK(seen.answer[0].find("hint") == std::string::npos);
  CHECK(seen.counts.rebind_removed == 1);
}

// Additional section

TEST_CASE("addresses of MX and SRV targets come along, of no other name and of none of ours") {
  Wire mx = hex("000a");
  append(mx, wire_name("mail.example.com"));
  Wire own = hex("0014");
  append(own, wire_name("own.example.com"));
  const Seen seen = plain()
                        .owns("own.example.com")
                        .accept(Packet("example.com", kMx)
                                    .add(kAn, "example.com", kMx, 60, mx)
                                    .add(kAn, "example.com", kMx, 60, own)
                                    .add(kAd, "own.example.com", kA, 60, some_address)
                                    .add(kAd, "other.example.com", kA, 60, some_address)
                                    .add(kAd, "mail.example.com", kA, 60, some_address)
                                    .add(kAd, "mail.example.com", kTxt, 60, hex("0178"))
                                    .raw(kAd, {0}, kOpt, 0, {}, 1232));
  CHECK(seen.answer.size() == 2);
  CHECK(seen.additional == Lines{"mail.example.com. 60 IN A 192.0.2.1"});
  Wire srv = hex("0000 0000 01bb");
  append(srv, wire_name("mail.example.com"));
  const Seen service = plain().accept(Packet("_x._tcp.example.com", kSrv)
                                          .add(kAn, "_x._tcp.example.com", kSrv, 60, srv)
                                          .add(kAd, "mail.example.com", kA, 60, some_address));
  CHECK(service.additional.size() == 1);
}

// Hostile input

TEST_CASE("every cut of a response is malformed") {
  Wire alias = hex("0000");
  append(alias, wire_name("svc.example.net"));
  Packet packet("example.com", kHttps);
  packet.add(kAn, "example.com", kCname, 300, wire_name("c.example.com"))
      .add(kAn, "c.example.com", kHttps, 300, alias)
      .rrsig(kAn, "c.example.com", kHttps, 300)
      .soa("example.com", 60, 60)
      .add(kAd, "svc.example.net", kHttps, 300, hex("0001 00 0001 0006 026833 026832"));
  CHECK(with_dnssec().accept(packet).outcome == AcceptOutcome::kAnswer);
  for (std::size_t cut = 1; cut <= packet.bytes.size() - 29; ++cut) {
    CHECK(with_dnssec().accept(packet, cut).outcome == AcceptOutcome::kMalformed);
  }
}

TEST_CASE("every changed byte of a response is survived") {
  Packet packet("example.com", kHttps);
  packet.add(kAn, "example.com", kCname, 300, wire_name("c.example.com"))
      .add(kAn, "c.example.com", kHttps, 300, hex("0001 00 0001 0006 026833 026832"))
      .rrsig(kAn, "c.example.com", kHttps, 300)
      .soa("example.com", 60, 60);
  const Setup setup = with_dnssec();
  for (std::size_t at = 29; at < packet.bytes.size(); ++at) {
    for (const int value : {0x00, 0x01, 0x3f, 0x40, 0x80, 0xc0, 0xff}) {
      Packet changed = packet;
      changed.bytes[at] = static_cast<std::uint8_t>(value);
      const Seen seen = setup.accept(changed);
      CHECK(seen.head.body_size <= packet.bytes.size());
    }
  }
}

TEST_CASE("names that point at themselves, forwards or around are malformed") {
  const auto outcome = [](const Wire& owner, const Wire& target) {
    Packet packet("a.b", kA);
    packet.raw(kAn, owner, kCname, 60, target);
    return plain().accept(packet).outcome;
  };
  // The owner stands at 12 + 5 + 4 = 21, rdata at 21 + 2 + 10 = 33.
  CHECK(outcome(hex("c015"), wire_name("c.d")) == AcceptOutcome::kMalformed);  // itself
  CHECK(outcome(hex("c021"), wire_name("c.d")) == AcceptOutcome::kMalformed);  // forwards
  CHECK(outcome(hex("c00c"), hex("c021")) == AcceptOutcome::kMalformed);       // itself
  CHECK(outcome(hex("c00c"), hex("0163 c021")) == AcceptOutcome::kMalformed);  // around
  CHECK(outcome(hex("c003"), wire_name("c.d")) == AcceptOutcome::kMalformed);  // into the header
  CHECK(outcome(hex("c00c"), hex("0163")) == AcceptOutcome::kMalformed);       // no end
  CHECK(outcome(hex("c00c"), hex("016300 ff")) == AcceptOutcome::kMalformed);  // bytes behind
  CHECK(outcome(hex("c00c"), {}) == AcceptOutcome::kMalformed);
}

TEST_CASE("an address of the wrong size is malformed") {
  CHECK(plain().accept(Packet("a.b", kA).add(kAn, "a.b", kA, 60, hex("c00002"))).outcome ==
        AcceptOutcome::kMalformed);
  CHECK(plain().accept(Packet("a.b", kAaaa).add(kAn, "a.b", kAaaa, 60, some_address)).outcome ==
        AcceptOutcome::kMalformed);
}

TEST_CASE("more records than an image holds are refused") {
  Packet packet("a.b", kA);
  for (std::size_t i = 0; i <= kImageTtlsMax; ++i) packet.raw(kAu, {0}, kTxt, 1, {});
  CHECK(plain().accept(packet).outcome == AcceptOutcome::kMalformed);
}

TEST_CASE("a long chain of pointers is refused at the first name that uses it") {
  Packet packet("a.b", kA);
  Wire pointers = hex("c00c");
  const std::size_t start = packet.bytes.size() + 3 + 10;  // of the rdata behind owner "x"
  for (std::size_t i = 0; i < 7000; ++i) append_u16(pointers, 0xc000 | (start + 2 * i));
  packet.raw(kAn, hex("017800"), kTxt, 60, pointers);
  for (int i = 0; i < 4000; ++i) {
    Wire owner;
    append_u16(owner, 0xc000 | (start + 14000));
    packet.raw(kAn, owner, kA, 60, some_address);
  }
  CHECK(plain().accept(packet).outcome == AcceptOutcome::kMalformed);
}

TEST_CASE("an answer of nearly 64 KiB is kept whole") {
  Packet packet("big.example", kTxt);
  const std::size_t count = 240;
  Wire text(256, 'x');
  text[0] = 255;
  for (std::size_t i = 0; i < count; ++i) {
    text[1] = static_cast<std::uint8_t>(i);
    packet.raw(kAn, hex("c00c"), kTxt, 60, text);
  }
  const Seen seen = plain().accept(packet);
  CHECK(seen.outcome == AcceptOutcome::kAnswer);
  CHECK(seen.head.answers == count);
}

// failure_image

TEST_CASE("a failure is SERVFAIL with its reason, kept for 1 to 300 seconds") {
  const auto image = std::make_unique<ImageBuffer>();
  failure_image(Ede::kNoReachableAuthority, "udp://192.0.2.1: timeout", 0, image.get());
  CHECK(image->head.failure);
  CHECK(image->head.rcode() == Rcode::kServFail);
  CHECK(image->head.ttl_s == 1);
  CHECK(image->head.ede == 22);
  CHECK(image->view().ede_text == "udp://192.0.2.1: timeout");
  CHECK(image->view().body.empty());
  failure_image(Ede::kNetworkError, "", 1000, image.get());
  CHECK(image->head.ttl_s == 300);
}

}  // namespace postern::dns
