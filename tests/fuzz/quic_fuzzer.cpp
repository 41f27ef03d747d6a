// Datagrams on a UDP port that refuses QUIC: whatever comes, a reply is a Version Negotiation
// packet as RFC 8999 section 6 draws it, and never as long as what it answers.
#include <algorithm>
#include <array>

#include "check.h"
#include "gateway/quic_reject.h"
#include "net/quic_initial.h"

namespace postern::fuzz {
namespace {

void check_reply(Bytes datagram, Bytes reply) {
  require(datagram.size() >= 1200 && (datagram[0] & 0x80) != 0, "only QUIC is answered");
  require(load_u32(&datagram[1]) != 0, "Version Negotiation is not answered");
  require(reply.size() < datagram.size() / 2, "a reply is small");
  require((reply[0] & 0xc0) == 0xc0 && load_u32(&reply[1]) == 0, "a reply is Version Negotiation");
  const std::size_t destination = datagram[5];
  const std::size_t source = datagram[6 + destination];
  require(reply.size() == 11 + destination + source, "a reply has both ids and a version");
  require(equal_bytes(reply.subspan(5, source + 1), datagram.subspan(6 + destination, source + 1)),
          "their source is our destination");
  require(
      equal_bytes(reply.subspan(6 + source, destination + 1), datagram.subspan(5, destination + 1)),
      "their destination is our source");
  const std::uint32_t version = load_u32(&reply[reply.size() - 4]);
  require((version & 0x0f0f0f0fU) == 0x0a0a0a0aU && version != load_u32(&datagram[1]),
          "a reserved version is offered");
}

void run(Bytes data) {
  if (data.size() < 8) return;
  std::uint64_t random = 0;
  std::memcpy(&random, data.data(), 8);
  std::array<std::uint8_t, 4096> padded{};
  const std::size_t size = std::min(data.size() - 8, padded.size());
  std::copy_n(data.begin() + 8, size, padded.begin());
  for (const std::size_t length : {size, std::max(size, std::size_t{1200})}) {
    const ExactCopy datagram(Bytes(padded.data(), length));
    std::array<std::uint8_t, 600> out{};
    const auto reply = gateway::refuse_quic(datagram.bytes(), random, out);
    require((reply.verdict == gateway::QuicVerdict::kRefuse) == (reply.size > 0), "one verdict");
    require(net::quic_server_name(datagram.bytes()).size() <= 253, "a host name");
    if (reply.size > 0) check_reply(datagram.bytes(), Bytes(out.data(), reply.size));
  }
}

}  // namespace
}  // namespace postern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  postern::fuzz::run({data, size});
  return 0;
}
