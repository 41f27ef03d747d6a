#include "gateway/proxy_protocol.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace postern::gateway {
namespace {

constexpr std::array<std::uint8_t, 12> kSignature{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                  0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
constexpr std::uint8_t kVersion2 = 0x20;
constexpr std::uint8_t kLocal = 0x0, kProxy = 0x1;
constexpr std::uint8_t kTcp4 = 0x11, kTcp6 = 0x21;
constexpr std::size_t kFamilyMax = 3, kTransportMax = 2;  // AF_UNIX, DGRAM
constexpr std::size_t kV4Bytes = 12, kV6Bytes = 36;       // two addresses, two ports
// Of each family: the size of its addresses. AF_UNSPEC has none, AF_UNIX two paths of 108 bytes.
constexpr std::array<std::size_t, kFamilyMax + 1> kAddressBytes{0, kV4Bytes, kV6Bytes, 216};

// RFC 4291 section 2.5.5.2 for an IPv4 address among IPv6 ones.
std::uint8_t* put_address(const IpAddress& address, bool as_v6, std::uint8_t* out) {
  if (as_v6 && address.is_v4()) {
    std::memset(out, 0, 10);
    std::memset(out + 10, 0xff, 2);
    out += 12;
  }
  std::memcpy(out, address.data(), address.size());
  return out + address.size();
}

IpAddress read_address(const std::uint8_t* bytes, bool v6) {
  return v6 ? IpAddress::v6(bytes) : IpAddress::v4(bytes);
}

}  // namespace

std::size_t write_proxy_header(const Endpoint& source, const Endpoint& destination,
                               MutableBytes out) {
  assert(out.size() >= kProxyHeaderWrittenMax);
  const bool v6 = !source.ip.is_v4() || !destination.ip.is_v4();
  std::uint8_t* at = std::copy(kSignature.begin(), kSignature.end(), out.data());
  *at++ = kVersion2 | kProxy;
  *at++ = v6 ? kTcp6 : kTcp4;
  store_u16(at, static_cast<std::uint16_t>(v6 ? kV6Bytes : kV4Bytes));
  at = put_address(source.ip, v6, at + 2);
  at = put_address(destination.ip, v6, at);
  store_u16(at, source.port);
  store_u16(at + 2, destination.port);
  return static_cast<std::size_t>(at + 4 - out.data());
}

std::size_t ProxyHeaderReader::take(Bytes data) {
  std::size_t taken = 0;
  while (state_ == State::kMore && taken < data.size()) {
    const Bytes piece = data.subspan(taken, std::min(data.size() - taken, size_ - have_));
    if (have_ < bytes_.size()) {
      const std::size_t kept = std::min(piece.size(), bytes_.size() - have_);
      std::copy_n(piece.begin(), kept, bytes_.begin() + static_cast<std::ptrdiff_t>(have_));
    }
    have_ += piece.size();
    taken += piece.size();
    // A wrong beginning is told at once: a client that waits for us to speak would wait forever.
    if (have_ <= kFixedBytes) check_fixed_part();
    if (state_ == State::kMore && have_ >= kFixedBytes && have_ == size_) read_addresses();
  }
  return taken;
}

std::size_t ProxyHeaderReader::wanted() const { return state_ == State::kMore ? size_ - have_ : 0; }

void ProxyHeaderReader::check_fixed_part() {
  const auto signature_end =
      bytes_.begin() + static_cast<std::ptrdiff_t>(std::min(have_, kSignature.size()));
  state_ = State::kFault;
  if (!std::equal(bytes_.begin(), signature_end, kSignature.begin())) return;
  const std::uint8_t command = bytes_[12] & 0x0f;
  if (have_ > 12 && ((bytes_[12] & 0xf0) != kVersion2 || command > kProxy)) return;
  const std::size_t family = bytes_[13] >> 4U;
  if (have_ > 13 && (family > kFamilyMax || (bytes_[13] & 0x0f) > kTransportMax)) return;
  if (have_ == kFixedBytes) {
    const std::size_t rest = load_u16(&bytes_[14]);
    if (kFixedBytes + rest > kProxyHeaderReadMax) return;
    if (command == kProxy && rest < kAddressBytes[family]) return;
    size_ = kFixedBytes + rest;
  }
  state_ = State::kMore;
}

void ProxyHeaderReader::read_addresses() {
  state_ = State::kDone;
  const std::uint8_t kind = bytes_[13];
  if ((bytes_[12] & 0x0f) == kLocal || (kind != kTcp4 && kind != kTcp6)) return;
  const bool v6 = kind == kTcp6;
  const std::size_t size = v6 ? 16 : 4;
  const std::uint8_t* const addresses = &bytes_[kFixedBytes];
  const std::uint8_t* const ports = addresses + 2 * size;
  header_.source = Endpoint{read_address(addresses, v6), load_u16(ports)};
  header_.destination = Endpoint{read_address(addresses + size, v6), load_u16(ports + 2)};
}

}  // namespace postern::gateway
