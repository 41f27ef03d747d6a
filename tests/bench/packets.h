// Packets for benchmarks, written by our own MessageWriter: here only the time counts.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "dns/message.h"
#include "dns/name.h"
#include "dns/types.h"

namespace postern::bench {

using Packet = std::vector<std::uint8_t>;

inline dns::Name name_of(std::string_view text) { return dns::Name::parse(text).value(); }

struct Answered {
  const char* owner;
  dns::RrType type;
  Packet rdata;
};

inline Packet make_packet(std::string_view name, dns::RrType type, std::uint16_t flags,
                          const std::vector<Answered>& answers = {}) {
  Packet bytes(4096);
  dns::MessageWriter writer(bytes, bytes.size());
  writer.start(0x1234, flags);
  writer.question(name_of(name).view(), type, dns::RrClass::kIn);
  for (const Answered& a : answers) {
    writer.record(dns::Section::kAnswer, name_of(a.owner).view(), a.type, dns::RrClass::kIn, 300,
                  a.rdata);
  }
  bytes.resize(writer.finish().size());
  return bytes;
}

inline Packet make_query(std::string_view name, dns::RrType type) {
  return make_packet(name, type, dns::kFlagRd);
}

inline Packet make_response(std::string_view name, dns::RrType type,
                            const std::vector<Answered>& answers) {
  return make_packet(name, type, dns::kFlagQr | dns::kFlagRd | dns::kFlagRa, answers);
}

inline Packet name_rdata(std::string_view name) {
  const dns::Name parsed = name_of(name);
  const Bytes wire = parsed.view().wire();
  return {wire.begin(), wire.end()};
}

/// 1 . alpn=h3,h2 ipv4hint=104.18.144.168,104.27.2.25
inline Packet https_rdata() {
  return {0, 1, 0, 0, 1,   0,  6,   2,   'h', '3', 2, 'h', '2',
          0, 4, 0, 8, 104, 18, 144, 168, 104, 27,  2, 25};
}

}  // namespace postern::bench
