#include "nameserver/upstream_query.h"

#include <cerrno>
#include <set>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>

#include "dns/name.h"

using postern::as_bytes;
using postern::Bytes;
using namespace postern::nameserver;
namespace dns = postern::dns;

namespace {

std::string written(std::uint16_t id, const UpstreamQuestion& question) {
  std::array<std::uint8_t, kUpstreamQueryMax> out;
  return std::string(postern::as_text(Bytes(out.data(), write_upstream_query(id, question, out))));
}

using namespace std::string_literals;
const std::string kWww = "\3www\7example\3com\0"s;

}  // namespace

TEST_CASE("a query to upstream has RD, AD and EDNS with 1232 bytes") {
  const UpstreamQuestion question{
      dns::NameView(as_bytes(kWww)), dns::RrType::kHttps, dns::RrClass::kIn, false, false, true};
  CHECK(written(0x1234, question) == "\x12\x34\x01\x20\0\1\0\0\0\0\0\1"s + kWww + "\0\x41\0\1"s +
                                         "\0\0\x29\x04\xd0\0\0\0\0\0\0"s);
}

TEST_CASE("DO and CD are passed on") {
  const UpstreamQuestion question{
      dns::NameView(as_bytes(kWww)), dns::RrType::kA, dns::RrClass::kIn, true, true, true};
  CHECK(written(0xffff, question) == "\xff\xff\x01\x30\0\1\0\0\0\0\0\1"s + kWww + "\0\1\0\1"s +
                                         "\0\0\x29\x04\xd0\0\0\x80\0\0\0"s);
}

TEST_CASE("without EDNS there is no OPT record") {
  const UpstreamQuestion question{
      dns::NameView(as_bytes(kWww)), dns::RrType::kA, dns::RrClass::kIn, true, false, false};
  CHECK(written(1, question) == "\0\1\x01\x20\0\1\0\0\0\0\0\0"s + kWww + "\0\1\0\1"s);
}

TEST_CASE("mixed case changes letters only, and is drawn anew each time") {
  const std::string lower =
      "\x0e"
      "a1-z_{@[`\xe9qwer\7example\3com"s +
      '\0';
  Random random;
  std::set<std::string> seen;
  for (int i = 0; i < 64; ++i) {
    std::array<std::uint8_t, dns::kNameBytesMax> out;
    const dns::NameView mixed = mix_case(dns::NameView(as_bytes(lower)), random, out);
    REQUIRE(mixed.size() == lower.size());
    for (std::size_t k = 0; k < lower.size(); ++k) {
      const auto was = static_cast<unsigned char>(lower[k]);
      const unsigned char is = mixed.wire()[k];
      CHECK((is == was || (was >= 'a' && was <= 'z' && is == was - 32)));
    }
    seen.insert(std::string(postern::as_text(mixed.wire())));
  }
  CHECK(seen.size() > 60);  // 2^16 cases
}

TEST_CASE("random numbers do not repeat and stay in their bounds") {
  Random random;
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 2000; ++i) seen.insert(random.u32());
  CHECK(seen.size() >= 1998);
  std::array<int, 16> drawn{};
  for (int i = 0; i < 16'000; ++i) ++drawn.at(random.below(16));
  for (const int count : drawn) CHECK((count > 700 && count < 1300));
}

TEST_CASE("a failure says who failed and how") {
  const std::array attempts{
      AttemptReport{"udp://192.0.2.1:53", false, AttemptEnd::kTimedOut, {}},
      AttemptReport{"udp://192.0.2.2:53", false, AttemptEnd::kReplaced, {}},
      AttemptReport{"udp://192.0.2.2:53", true, AttemptEnd::kRefused, {}},
      AttemptReport{"udp://192.0.2.1:53", false, AttemptEnd::kTimedOut, {}},
  };
  const FailureReport report = report_failure(attempts);
  CHECK(report.text == "udp://192.0.2.1:53 timed out; tcp://192.0.2.2:53 refused the connection");
  CHECK(report.ede == dns::Ede::kNetworkError);
}

TEST_CASE("a machine out of descriptors blames itself, not the upstream") {
  const auto end = end_for({postern::Code::kIo, "cannot connect to 192.0.2.1:53 (UDP): " +
                                                    std::generic_category().message(EMFILE)});
  CHECK(end == AttemptEnd::kNoSocket);
  CHECK(end_for({postern::Code::kIo, std::generic_category().message(ENETUNREACH)}) ==
        AttemptEnd::kUnreachable);
  CHECK(end_for({postern::Code::kIo, std::generic_category().message(ECONNREFUSED)}) ==
        AttemptEnd::kRefused);
  const FailureReport report =
      report_failure(std::array{AttemptReport{"udp://192.0.2.1:53", false, end, {}}});
  CHECK(report.ede == dns::Ede::kNotReady);
  CHECK(report.text ==
        "udp://192.0.2.1:53 was not asked: this machine cannot open a socket (no descriptors, "
        "memory or ports)");
}

TEST_CASE("EDE 22 when nobody answered, 0 when an answer was of no use") {
  const AttemptReport silent{"udp://192.0.2.1:53", false, AttemptEnd::kTimedOut, {}};
  CHECK(report_failure(std::array{silent}).ede == dns::Ede::kNoReachableAuthority);
  const AttemptReport unwilling{"udp://192.0.2.1:53", false, AttemptEnd::kRcode,
                                dns::Rcode::kServFail};
  const FailureReport report = report_failure(std::array{silent, unwilling});
  CHECK(report.ede == dns::Ede::kOther);
  CHECK(report.text == "udp://192.0.2.1:53 timed out; udp://192.0.2.1:53 answered SERVFAIL");
}
