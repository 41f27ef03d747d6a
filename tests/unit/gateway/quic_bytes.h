// Datagrams of QUIC clients as they stand on the wire.
#pragma once

#include <string>
#include <string_view>

namespace postern::test {

inline std::string from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  }
  return bytes;
}

inline std::string padded(std::string bytes, std::size_t size = 1200) {
  bytes.resize(size, '\0');
  return bytes;
}

/// The head of the client Initial in RFC 9001, appendix A.2; what follows there is encrypted.
inline std::string client_initial() {
  return padded(
      from_hex("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9b"));
}

}  // namespace postern::test
