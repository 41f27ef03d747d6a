#include "gateway/quic_reject.h"

#include <algorithm>
#include <cassert>

namespace postern::gateway {
namespace {

constexpr std::uint8_t kLongHeader = 0x80;  // RFC 8999 section 5.1
constexpr std::uint8_t kFixedBit = 0x40;    // RFC 9000 section 17.2
constexpr std::uint32_t kVersion1 = 1;
constexpr std::uint32_t kVersion2 = 0x6b3343cf;  // RFC 9369
constexpr std::size_t kVersion1IdBytesMax = 20;  // RFC 9000 section 17.2
constexpr std::size_t kReplyBytesMax = 1 + 4 + 1 + 255 + 1 + 255 + 4;

struct LongHeader {
  std::uint32_t version = 0;
  Bytes destination, source;  // connection ids
};

// RFC 8999 section 5.1: what holds in every version, whose ids may be longer than those of today.
// REQUIRES: kQuicDatagramMin bytes, so that two ids and what is in front of them are there.
LongHeader read_long_header(Bytes datagram) {
  LongHeader header;
  header.version = load_u32(&datagram[1]);
  const std::size_t destination_size = datagram[5];
  header.destination = datagram.subspan(6, destination_size);
  const std::size_t source_at = 6 + destination_size;
  header.source = datagram.subspan(source_at + 1, datagram[source_at]);
  return header;
}

bool is_valid(const LongHeader& header, std::uint8_t first_byte) {
  if (header.version == 0) return false;  // Version Negotiation itself
  if (header.version != kVersion1 && header.version != kVersion2) return true;
  return (first_byte & kFixedBit) != 0 && header.destination.size() <= kVersion1IdBytesMax &&
         header.source.size() <= kVersion1IdBytesMax;
}

bool is_reserved(std::uint32_t version) { return (version & 0x0f0f0f0fU) == 0x0a0a0a0aU; }

// One that nobody speaks, and not what the client offered: it would ignore that.
std::uint32_t reserved_version(std::uint32_t random, std::uint32_t offered) {
  const std::uint32_t version = (random & 0xf0f0f0f0U) | 0x0a0a0a0aU;
  return version == offered ? version ^ 0x10101010U : version;
}

std::size_t put_id(Bytes id, MutableBytes out, std::size_t at) {
  out[at] = static_cast<std::uint8_t>(id.size());
  std::copy(id.begin(), id.end(), out.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  return at + 1 + id.size();
}

}  // namespace

QuicReply refuse_quic(Bytes datagram, std::uint64_t random, MutableBytes out) {
  assert(out.size() >= kReplyBytesMax);
  if (datagram.size() < kQuicDatagramMin || (datagram[0] & kLongHeader) == 0) return {};
  const LongHeader header = read_long_header(datagram);
  if (!is_valid(header, datagram[0])) return {};
  // RFC 9000 section 17.2.1: the bit that tells QUIC from other protocols is set here as well.
  out[0] = static_cast<std::uint8_t>(kLongHeader | kFixedBit | (random & 0x3f));
  store_u32(&out[1], 0);
  std::size_t size = put_id(header.source, out, 5);
  size = put_id(header.destination, out, size);
  store_u32(&out[size], reserved_version(static_cast<std::uint32_t>(random >> 32), header.version));
  return {QuicVerdict::kRefuse, size + 4, is_reserved(header.version)};
}

}  // namespace postern::gateway
