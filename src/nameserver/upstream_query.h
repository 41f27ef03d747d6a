// The query that goes to an upstream, the case of its name (0x20,
// draft-vixie-dnsext-dns0x20), and the words for what became of it. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "dns/name.h"
#include "dns/types.h"
#include "nameserver/random.h"

namespace postern::nameserver {

inline constexpr std::uint16_t kUpstreamPayload = 1232;  ///< EDNS, by UDP
inline constexpr std::size_t kUpstreamQueryMax =
    dns::kHeaderBytes + dns::kNameBytesMax + 4 + 11;  ///< question and OPT

struct UpstreamQuestion {
  dns::NameView name;  ///< as sent, case included
  dns::RrType type{};
  dns::RrClass klass{};
  bool dnssec_ok = false;
  bool checking_disabled = false;
  bool edns = true;
};

/// RD=1, AD=1 (RFC 6840 section 5.7: tell us whether it was validated), CD and DO as asked.
/// REQUIRES: room for kUpstreamQueryMax. Returns the size.
std::size_t write_upstream_query(std::uint16_t id, const UpstreamQuestion& question,
                                 MutableBytes out);

/// Copies `lower` with the case of each letter drawn by lot. REQUIRES: room for the name.
dns::NameView mix_case(dns::NameView lower, Random& random,
                       std::array<std::uint8_t, dns::kNameBytesMax>& out);

/// How an attempt to ask an upstream stands, or ended.
enum class AttemptEnd : std::uint8_t {
  kWaiting,
  kTimedOut,     ///< no longer waited for; a late answer is welcome all the same
  kRefused,      ///< nobody listens there
  kUnreachable,  ///< no way to get there
  kNoSocket,     ///< this machine cannot open a socket (EMFILE and its like)
  kFull,         ///< not sent: too many queries to this upstream are under way
  kClosed,       ///< the connection ended before the answer
  kMalformed,    ///< what came was no DNS message that can be used
  kRcode,        ///< SERVFAIL, REFUSED, ...
  kLame,         ///< a referral: it does not know and does not ask
  kReplaced,     ///< an answer came that could not be used as it was, and the question went again
};

/// What an error of connect_udp(), TcpStream::connect() or a stream means.
AttemptEnd end_for(const Error& error);

struct AttemptReport {
  std::string_view upstream;  ///< as configured
  bool by_tcp = false;
  AttemptEnd end = AttemptEnd::kWaiting;
  dns::Rcode rcode{};
};

struct FailureReport {
  dns::Ede ede = dns::Ede::kOther;
  std::string text;
};

/// "udp://192.0.2.1:53 timed out; tcp://192.0.2.2:53 refused the connection". EDE 22 when nobody
/// answered, 23 when the network said why, 14 when nobody could be asked, 0 when somebody answered
/// and it was of no use.
FailureReport report_failure(std::span<const AttemptReport> attempts);

}  // namespace postern::nameserver
