#include "nameserver/upstream_query.h"

#include <cassert>
#include <initializer_list>
#include <system_error>

#include <fmt/format.h>

namespace postern::nameserver {
namespace {

constexpr std::size_t kOptBytes = 11;

void write_opt(std::uint8_t* at, bool dnssec_ok) {
  at[0] = 0;  // the root
  store_u16(at + 1, static_cast<std::uint16_t>(dns::RrType::kOpt));
  store_u16(at + 3, kUpstreamPayload);
  store_u32(at + 5, dnssec_ok ? 0x8000 : 0);
  store_u16(at + 9, 0);
}

// What was configured as udp:// may have been asked by TCP.
std::string way_text(const AttemptReport& attempt) {
  const std::size_t address = attempt.upstream.find("://");
  if (!attempt.by_tcp || address == std::string_view::npos) return std::string(attempt.upstream);
  return fmt::format("tcp{}", attempt.upstream.substr(address));
}

std::string end_text(const AttemptReport& attempt) {
  switch (attempt.end) {
    case AttemptEnd::kRefused:
      return "refused the connection";
    case AttemptEnd::kUnreachable:
      return "is unreachable";
    case AttemptEnd::kNoSocket:
      return "was not asked: this machine cannot open a socket (no descriptors, memory or ports)";
    case AttemptEnd::kFull:
      return "was not asked: too many queries to it are under way";
    case AttemptEnd::kClosed:
      return "closed the connection";
    case AttemptEnd::kMalformed:
      return "sent a malformed answer";
    case AttemptEnd::kRcode:
      return fmt::format("answered {}", dns::rcode_text(attempt.rcode));
    case AttemptEnd::kLame:
      return "pointed elsewhere (lame)";
    case AttemptEnd::kWaiting:
    case AttemptEnd::kTimedOut:
    case AttemptEnd::kReplaced:
      break;
  }
  return "timed out";
}

dns::Ede ede_for(std::span<const AttemptReport> attempts) {
  bool network = false;
  bool ourselves = false;
  for (const AttemptReport& attempt : attempts) {
    switch (attempt.end) {
      case AttemptEnd::kRcode:
      case AttemptEnd::kLame:
      case AttemptEnd::kMalformed:
        return dns::Ede::kOther;
      case AttemptEnd::kRefused:
      case AttemptEnd::kUnreachable:
      case AttemptEnd::kClosed:
        network = true;
        break;
      case AttemptEnd::kNoSocket:
      case AttemptEnd::kFull:
        ourselves = true;
        break;
      default:
        break;
    }
  }
  if (network) return dns::Ede::kNetworkError;
  return ourselves ? dns::Ede::kNotReady : dns::Ede::kNoReachableAuthority;
}

}  // namespace

std::size_t write_upstream_query(std::uint16_t id, const UpstreamQuestion& question,
                                 MutableBytes out) {
  assert(out.size() >= kUpstreamQueryMax);
  std::uint8_t* at = out.data();
  store_u16(at, id);
  store_u16(at + 2, static_cast<std::uint16_t>(dns::kFlagRd | dns::kFlagAd |
                                               (question.checking_disabled ? dns::kFlagCd : 0)));
  store_u16(at + 4, 1);
  store_u32(at + 6, 0);
  store_u16(at + 10, question.edns ? 1 : 0);
  at += dns::kHeaderBytes;
  std::memcpy(at, question.name.wire().data(), question.name.size());
  at += question.name.size();
  store_u16(at, static_cast<std::uint16_t>(question.type));
  store_u16(at + 2, static_cast<std::uint16_t>(question.klass));
  at += 4;
  if (question.edns) {
    write_opt(at, question.dnssec_ok);
    at += kOptBytes;
  }
  return static_cast<std::size_t>(at - out.data());
}

dns::NameView mix_case(dns::NameView lower, Random& random,
                       std::array<std::uint8_t, dns::kNameBytesMax>& out) {
  const Bytes wire = lower.wire();
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < wire.size(); ++i) {
    if (i % 32 == 0) bits = random.u32();
    // A length byte is below 64 and so never taken for a letter.
    const bool flip = static_cast<std::uint8_t>(wire[i] - 'a') < 26 && (bits & 1) != 0;
    out[i] = static_cast<std::uint8_t>(wire[i] ^ (flip ? 0x20 : 0));
    bits >>= 1;
  }
  return dns::NameView(Bytes(out.data(), wire.size()));
}

// Sockets say only in words what went wrong.
AttemptEnd end_for(const Error& error) {
  const auto is_one_of = [&](std::initializer_list<std::errc> codes) {
    for (const std::errc code : codes) {
      if (error.detail.ends_with(std::make_error_code(code).message())) return true;
    }
    return false;
  };
  if (is_one_of({std::errc::connection_refused})) return AttemptEnd::kRefused;
  if (is_one_of({std::errc::timed_out})) return AttemptEnd::kTimedOut;
  const bool used_up =
      is_one_of({std::errc::too_many_files_open, std::errc::too_many_files_open_in_system,
                 std::errc::no_buffer_space, std::errc::not_enough_memory,
                 std::errc::address_not_available, std::errc::resource_unavailable_try_again});
  return used_up ? AttemptEnd::kNoSocket : AttemptEnd::kUnreachable;
}

FailureReport report_failure(std::span<const AttemptReport> attempts) {
  FailureReport report;
  report.ede = ede_for(attempts);
  for (const AttemptReport& attempt : attempts) {
    if (attempt.end == AttemptEnd::kReplaced) continue;
    const std::string phrase = fmt::format("{} {}", way_text(attempt), end_text(attempt));
    if (report.text.find(phrase) != std::string::npos) continue;
    if (!report.text.empty()) report.text += "; ";
    report.text += phrase;
  }
  return report;
}

}  // namespace postern::nameserver
