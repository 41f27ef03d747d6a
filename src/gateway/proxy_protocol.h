// PROXY protocol version 2 ("The PROXY protocol", HAProxy, section 2.2): the binary header that
// tells the next server whose connection it really is. Pure; neither side allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"

namespace postern::gateway {

constexpr std::size_t kProxyHeaderWrittenMax = 52;  ///< bytes: fixed part and two IPv6 endpoints
constexpr std::size_t kProxyHeaderReadMax = 4096;   ///< bytes, with all extensions

/// Writes the header of a TCP connection and returns its size. When only one of the two is IPv4, it
/// goes as an IPv4-mapped address. REQUIRES: out.size() >= kProxyHeaderWrittenMax
std::size_t write_proxy_header(const Endpoint& source, const Endpoint& destination,
                               MutableBytes out);

/// What a header says. Neither is set for LOCAL (a health check of the proxy) and for families that
/// are not IP: then the connection's own addresses hold.
struct ProxyHeader {
  std::optional<Endpoint> source, destination;
};

/// Takes the header in pieces of any size. Extensions (TLVs) are skipped unread.
class ProxyHeaderReader {
 public:
  enum class State : std::uint8_t {
    kMore,
    kDone,
    kFault,  ///< not this protocol, another version or command, or too long: close the connection
  };

  /// Returns how many bytes of `data` belonged to the header.
  std::size_t take(Bytes data);
  State state() const { return state_; }
  /// How many bytes may be read without reading beyond the header; 0 unless kMore.
  std::size_t wanted() const;
  const ProxyHeader& header() const { return header_; }  ///< of kDone

 private:
  static constexpr std::size_t kFixedBytes = 16;

  void check_fixed_part();
  void read_addresses();

  State state_ = State::kMore;
  std::array<std::uint8_t, kProxyHeaderWrittenMax> bytes_{};  // the front; the rest is skipped
  std::size_t have_ = 0;
  std::size_t size_ = kFixedBytes;  // of the header as far as known
  ProxyHeader header_;
};

}  // namespace postern::gateway
