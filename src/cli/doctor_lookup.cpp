#include "cli/doctor_lookup.h"

#include <algorithm>
#include <array>
#include <optional>

#include "cli/doctor_probe.h"
#include "cli/doctor_records.h"
#include "dns/message.h"

namespace postern::cli {
namespace {

/// Adds the targets of CNAMEs. The last one, when no record of `type` came with it.
std::optional<dns::Name> open_end(Bytes reply, dns::RrType type, std::vector<std::string>* chain) {
  std::optional<dns::Name> target;
  bool found = false;
  std::size_t offset = behind_question(reply);
  for (int left = dns::read_header(reply).count(dns::Section::kAnswer); left > 0; --left) {
    dns::RecordPosition record;
    if (!dns::read_record(reply, offset, &record)) break;
    offset = record.end;
    found = found || record.type == type;
    if (record.type != dns::RrType::kCname) continue;
    std::array<std::uint8_t, dns::kNameBytesMax> wire;
    std::size_t at = record.rdata;
    const std::size_t size = dns::read_name(reply, &at, wire);
    if (size == 0) break;
    target = dns::Name(dns::NameView(Bytes(wire).first(size)));
    chain->push_back(target->text());
  }
  return found ? std::nullopt : target;
}

}  // namespace

unsigned DnsLook::rcode() const { return came() ? dns::read_header(reply).flags & 15U : 0; }

DnsLook look_up(const Endpoint& server, const dns::Name& name, dns::RrType type, int timeout_ms) {
  DnsLook look;
  dns::Name now = name;
  for (int asked = 0; asked < kChainMax; ++asked) {
    look.reply = ask_dns(server, now.view(), type, timeout_ms);
    if (!look.came() || look.rcode() != 0) return look;
    const auto next = open_end(look.reply, type, &look.chain);
    if (!next || *next == now) return look;
    now = *next;
  }
  return look;
}

}  // namespace postern::cli
