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

/// The ClientHello for llama.vanillax.me in two datagrams, and that of another connection, cut in
/// the middle of the name; made with another implementation. To be padded.
inline constexpr std::string_view kHead =
    "c400000001080001020304050607000040388b1c36f90279713b007118a59bb6ea878742b42f0f504a4c878f"
    "b2cd7901d55deaf8b8bc9a8d9b94f4821188a7aa7cd6db84ec41f25dc924";
inline constexpr std::string_view kRestWithName =
    "c900000001080001020304050607000040506b6a01ee74066180b8bc6da257c24fe34a006c353ea91c4a18df"
    "57863045a86fef2dad46fd77b7f0a67cf33bcc366df66d9e17c8ffe803df126be549dd0b09860f9035373e89"
    "d42e1e147fbd6db93eae";
inline constexpr std::string_view kHalfName =
    "c2000000010808090a0b0c0d0e0f0000405d2621498984d0d33ebc30c03a2fb524e35a70ed4d24f4a1f37407"
    "09fd18dd6304d5ca2d1f516265a96386c690ffe0eaec050ead407b946d322a0fd13195a80d8a7b2f436b7a4b"
    "e92d71f9ff6127fd9cc56b4b40084b4cac2e4f55b50870";
inline constexpr std::string_view kOtherHalfName =
    "c1000000010808090a0b0c0d0e0f0000402bb99a306456ec790d645ab4c941d6ab36234110e2fcfc7efad550"
    "6bfd2afd48b29f72f5b1ebde4d82132000";

/// The head of the client Initial in RFC 9001, appendix A.2; what follows there is encrypted.
inline std::string client_initial() {
  return padded(
      from_hex("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9b"));
}

}  // namespace postern::test
