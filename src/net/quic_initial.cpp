#include "net/quic_initial.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "net/tls_openssl.h"

namespace postern::net {
namespace {

constexpr std::size_t kHashBytes = 32, kKeyBytes = 16, kIvBytes = 12, kTagBytes = 16;
constexpr std::size_t kSampleBytes = 16, kIdBytesMax = 20;
constexpr std::size_t kPacketBytesMax = 1500;  // larger ones are not looked at
constexpr std::size_t kHelloBytesMax = 4096;   // of which some may be here

using Secret = std::array<std::uint8_t, kHashBytes>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, OpensslFree<EVP_CIPHER_CTX_free>>;

struct Version {
  std::uint32_t number;
  std::uint8_t initial_type;  // bits 4 and 5 of the first byte
  std::array<std::uint8_t, 20> salt;
  std::string_view key, iv, hp;  // labels
};

constexpr std::array<Version, 2> kVersions{{
    {1,
     0,
     {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
      0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
     "quic key",
     "quic iv",
     "quic hp"},
    {0x6b3343cf,
     1,
     {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
      0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9},
     "quicv2 key",
     "quicv2 iv",
     "quicv2 hp"},
}};

/// Takes from the front of a packet or frame; once something is missing, everything is.
class Cursor {
 public:
  explicit Cursor(Bytes rest) : rest_(rest), whole_(rest.size()) {}

  bool good() const { return good_; }
  bool empty() const { return rest_.empty(); }
  std::size_t at() const { return whole_ - rest_.size(); }

  Bytes take(std::uint64_t size) {
    if (size > rest_.size()) {
      good_ = false;
      rest_ = {};
      return {};
    }
    const Bytes taken = rest_.first(static_cast<std::size_t>(size));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  std::uint8_t byte() {
    const Bytes one = take(1);
    return one.empty() ? std::uint8_t{0} : one[0];
  }
  /// RFC 9000 section 16.
  std::uint64_t varint() {
    const std::uint8_t first = byte();
    std::uint64_t value = first & 0x3FU;
    for (const std::uint8_t next : take((1U << (first >> 6U)) - 1U)) value = value << 8U | next;
    return value;
  }

 private:
  Bytes rest_;
  std::size_t whole_;
  bool good_ = true;
};

Secret hmac(Bytes key, Bytes data) {
  Secret out{};
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data.data(), data.size(), out.data(),
       nullptr);
  return out;
}

// HKDF-Expand-Label (RFC 8446 section 7.1) with an empty context, one block of it.
Secret expand(const Secret& secret, std::string_view label, std::size_t size) {
  std::vector<std::uint8_t> info{0, static_cast<std::uint8_t>(size),
                                 static_cast<std::uint8_t>(6 + label.size())};
  for (const char c : std::string_view("tls13 ")) info.push_back(static_cast<std::uint8_t>(c));
  for (const char c : label) info.push_back(static_cast<std::uint8_t>(c));
  info.push_back(0);  // the size of the context
  info.push_back(1);  // the number of the block
  return hmac(secret, info);
}

// The five bytes that hide the first byte and the packet number (RFC 9001 section 5.4.3).
std::optional<std::array<std::uint8_t, 32>> header_mask(const Secret& key, Bytes sample) {
  std::array<std::uint8_t, 32> mask{};
  const CipherContext context(EVP_CIPHER_CTX_new());
  int size = 0;
  const bool made =
      context != nullptr &&
      EVP_EncryptInit_ex(context.get(), EVP_aes_128_ecb(), nullptr, key.data(), nullptr) == 1 &&
      EVP_EncryptUpdate(context.get(), mask.data(), &size, sample.data(),
                        static_cast<int>(sample.size())) == 1;
  if (!made) return std::nullopt;
  return mask;
}

// AES-128-GCM; "" when it is not authentic.
std::vector<std::uint8_t> open(const Secret& key, Bytes nonce, Bytes header, Bytes sealed) {
  const Bytes text = sealed.first(sealed.size() - kTagBytes);
  std::array<std::uint8_t, kTagBytes> tag{};
  std::copy(sealed.end() - kTagBytes, sealed.end(), tag.begin());
  std::vector<std::uint8_t> plain(text.size());
  const CipherContext context(EVP_CIPHER_CTX_new());
  int size = 0;
  const bool opened = context != nullptr &&
                      EVP_DecryptInit_ex(context.get(), EVP_aes_128_gcm(), nullptr, key.data(),
                                         nonce.data()) == 1 &&
                      EVP_DecryptUpdate(context.get(), nullptr, &size, header.data(),
                                        static_cast<int>(header.size())) == 1 &&
                      EVP_DecryptUpdate(context.get(), plain.data(), &size, text.data(),
                                        static_cast<int>(text.size())) == 1 &&
                      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG,
                                          static_cast<int>(tag.size()), tag.data()) == 1 &&
                      EVP_DecryptFinal_ex(context.get(), plain.data() + size, &size) == 1;
  if (!opened) plain.clear();
  return plain;
}

/// RFC 9000 section 17.2.2.
struct Packet {
  const Version* version = nullptr;
  Bytes destination;
  std::size_t number_at = 0;  // of the packet number, still hidden
  std::size_t end = 0;
};

std::optional<Packet> read_header(Bytes datagram) {
  Packet packet;
  Cursor cursor(datagram);
  const std::uint8_t first = cursor.byte();
  const Bytes number = cursor.take(4);
  if (!cursor.good() || (first & 0xC0U) != 0xC0U) return std::nullopt;
  const auto version = std::find_if(kVersions.begin(), kVersions.end(), [&](const Version& v) {
    return v.number == load_u32(number.data());
  });
  if (version == kVersions.end() || (first >> 4U & 3U) != version->initial_type) {
    return std::nullopt;
  }
  packet.version = &*version;
  packet.destination = cursor.take(cursor.byte());
  cursor.take(cursor.byte());    // the client's id
  cursor.take(cursor.varint());  // a token
  const std::uint64_t length = cursor.varint();
  packet.number_at = cursor.at();
  const bool good = cursor.good() && packet.destination.size() <= kIdBytesMax &&
                    length >= 4 + kSampleBytes && cursor.take(length).size() == length;
  if (!good || cursor.at() > kPacketBytesMax) return std::nullopt;
  packet.end = cursor.at();
  return packet;
}

// The frames of the packet.
std::vector<std::uint8_t> decrypt(Bytes datagram, const Packet& packet) {
  const Version& version = *packet.version;
  constexpr std::string_view kClient = "client in";
  const Secret secret = expand(hmac(version.salt, packet.destination), kClient, kHashBytes);
  const Secret key = expand(secret, version.key, kKeyBytes);
  const Secret iv = expand(secret, version.iv, kIvBytes);
  const Secret hp = expand(secret, version.hp, kKeyBytes);
  const auto mask = header_mask(hp, datagram.subspan(packet.number_at + 4, kSampleBytes));
  if (!mask) return {};
  std::vector<std::uint8_t> header(
      datagram.begin(), datagram.begin() + static_cast<std::ptrdiff_t>(packet.number_at));
  header[0] = static_cast<std::uint8_t>(header[0] ^ ((*mask)[0] & 0x0FU));
  const std::size_t number_size = (header[0] & 3U) + 1U;
  std::array<std::uint8_t, kIvBytes> nonce{};
  std::copy_n(iv.begin(), kIvBytes, nonce.begin());
  for (std::size_t i = 0; i < number_size; ++i) {
    const auto byte = static_cast<std::uint8_t>(datagram[packet.number_at + i] ^ (*mask)[i + 1]);
    header.push_back(byte);
    nonce[kIvBytes - number_size + i] ^= byte;
  }
  const std::size_t from = packet.number_at + number_size;
  return open(key, nonce, header, datagram.subspan(from, packet.end - from));
}

bool is_host(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
}

}  // namespace

bool QuicHello::add(Bytes datagram) {
  const auto packet = read_header(datagram);
  if (!packet) return false;
  const std::vector<std::uint8_t> frames = decrypt(datagram, *packet);
  if (frames.empty()) return false;
  if (!equal_bytes(destination_, packet->destination)) {
    destination_.assign(packet->destination.begin(), packet->destination.end());
    bytes_.clear();
    known_.clear();
  }
  read_frames(frames);
  return true;
}

// Of an Initial's frames only these may come before the handshake is under way (RFC 9000 section
// 17.2.2); at any other the rest is left.
void QuicHello::read_frames(Bytes frames) {
  constexpr std::uint64_t kPadding = 0, kPing = 1, kCrypto = 6;
  Cursor cursor(frames);
  while (cursor.good() && !cursor.empty()) {
    const std::uint64_t type = cursor.varint();
    if (type == kPadding || type == kPing) continue;
    if (type != kCrypto) break;
    const std::uint64_t offset = cursor.varint();
    const Bytes piece = cursor.take(cursor.varint());
    if (cursor.good()) add_piece(offset, piece);
  }
}

void QuicHello::add_piece(std::uint64_t offset, Bytes piece) {
  if (offset > kHelloBytesMax || piece.size() > kHelloBytesMax - offset) return;
  const auto at = static_cast<std::size_t>(offset);
  if (bytes_.size() < at + piece.size()) {
    bytes_.reserve(kHelloBytesMax);  // once: growing would take twice as much
    known_.reserve(kHelloBytesMax);
    bytes_.resize(at + piece.size());
    known_.resize(at + piece.size());
  }
  std::copy(piece.begin(), piece.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(at));
  std::fill_n(known_.begin() + static_cast<std::ptrdiff_t>(at), piece.size(), true);
}

bool QuicHello::is_known(std::size_t at, std::size_t size) const {
  if (at + size > known_.size()) return false;
  const auto from = known_.begin() + static_cast<std::ptrdiff_t>(at);
  return std::all_of(from, from + static_cast<std::ptrdiff_t>(size), [](bool k) { return k; });
}

// Found by its form, wherever it stands (RFC 6066 section 3): type 0, three sizes that agree, and
// a name of letters, digits, dots and hyphens.
std::string QuicHello::server_name() const {
  constexpr std::size_t kHead = 9;
  for (std::size_t at = 0; at + kHead < bytes_.size(); ++at) {
    const std::uint8_t* const p = &bytes_[at];
    const std::size_t size = load_u16(p + 7);
    const bool agrees = load_u16(p) == 0 && load_u16(p + 2) == size + 5 &&
                        load_u16(p + 4) == size + 3 && p[6] == 0 && size > 0 && size <= 253;
    if (!agrees || !is_known(at, kHead + size)) continue;
    std::string name = lower_case(as_text({p + kHead, size}));
    if (is_host(name)) return name;
  }
  return {};
}

bool QuicHello::complete() const {
  constexpr std::size_t kHead = 4;  // the type and three bytes of size (RFC 8446 section 4)
  if (!is_known(0, kHead)) return false;
  const std::size_t size = load_u32(bytes_.data()) & 0xFFFFFFU;
  return is_known(0, kHead + size);
}

std::string quic_server_name(Bytes datagram) {
  QuicHello hello;
  hello.add(datagram);
  return hello.server_name();
}

}  // namespace postern::net
