#include "quic_seal.h"

#include <array>
#include <memory>
#include <string_view>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "check.h"

namespace postern::fuzz {
namespace {

using Block = std::array<std::uint8_t, 32>;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

constexpr std::array<std::uint8_t, 20> kSalt1{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34,
                                              0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8,
                                              0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
constexpr std::array<std::uint8_t, 20> kSalt2{0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6,
                                              0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26,
                                              0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9};

Block hmac(Bytes key, Bytes data) {
  Block out{};
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data.data(), data.size(), out.data(),
       nullptr);
  return out;
}

Block expand(const Block& secret, std::string_view label, std::uint8_t size) {
  constexpr std::string_view kPrefix = "tls13 ";
  std::vector<std::uint8_t> info{0, size, static_cast<std::uint8_t>(kPrefix.size() + label.size())};
  info.insert(info.end(), kPrefix.begin(), kPrefix.end());
  info.insert(info.end(), label.begin(), label.end());
  info.insert(info.end(), {0, 1});
  return hmac(secret, info);
}

void append_u32(std::vector<std::uint8_t>* to, std::uint32_t value, unsigned bytes) {
  for (unsigned i = bytes; i > 0; --i) {
    to->push_back(static_cast<std::uint8_t>(value >> (8 * (i - 1))));
  }
}

std::vector<std::uint8_t> encrypt(const Block& key, const Block& nonce, Bytes header,
                                  Bytes frames) {
  constexpr int kTagBytes = 16;
  std::vector<std::uint8_t> sealed(frames.size() + kTagBytes);
  const Context context(EVP_CIPHER_CTX_new());
  int size = 0;
  EVP_EncryptInit_ex(context.get(), EVP_aes_128_gcm(), nullptr, key.data(), nonce.data());
  EVP_EncryptUpdate(context.get(), nullptr, &size, header.data(), static_cast<int>(header.size()));
  EVP_EncryptUpdate(context.get(), sealed.data(), &size, frames.data(),
                    static_cast<int>(frames.size()));
  EVP_EncryptFinal_ex(context.get(), sealed.data() + size, &size);
  EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes,
                      sealed.data() + frames.size());
  return sealed;
}

Block mask_of(const Block& key, const std::uint8_t* sample) {
  Block mask{};
  const Context context(EVP_CIPHER_CTX_new());
  int size = 0;
  EVP_EncryptInit_ex(context.get(), EVP_aes_128_ecb(), nullptr, key.data(), nullptr);
  EVP_EncryptUpdate(context.get(), mask.data(), &size, sample, 16);
  return mask;
}

}  // namespace

std::vector<std::uint8_t> seal_initial(const InitialSettings& settings, Bytes frames) {
  const bool v2 = settings.version_2;
  constexpr std::string_view kClient = "client in";
  const Block secret = expand(hmac(v2 ? kSalt2 : kSalt1, settings.destination), kClient, 32);
  std::vector<std::uint8_t> plain(frames.begin(), frames.end());
  if (plain.size() < 4) plain.resize(4);  // else there is nothing to sample
  const unsigned number_size = settings.number_size;

  std::vector<std::uint8_t> packet;
  packet.push_back(static_cast<std::uint8_t>((v2 ? 0xd0U : 0xc0U) | (number_size - 1)));
  append_u32(&packet, v2 ? 0x6b3343cfU : 1, 4);
  packet.push_back(static_cast<std::uint8_t>(settings.destination.size()));
  packet.insert(packet.end(), settings.destination.begin(), settings.destination.end());
  packet.insert(packet.end(), {0, 0});  // no id of its own, no token
  append_u32(&packet, static_cast<std::uint32_t>(0x4000 | (number_size + plain.size() + 16)), 2);
  const std::size_t number_at = packet.size();
  append_u32(&packet, settings.number, number_size);

  Block nonce = expand(secret, v2 ? "quicv2 iv" : "quic iv", 12);
  for (unsigned i = 0; i < number_size; ++i) nonce[12 - number_size + i] ^= packet[number_at + i];
  const auto sealed =
      encrypt(expand(secret, v2 ? "quicv2 key" : "quic key", 16), nonce, packet, plain);
  packet.insert(packet.end(), sealed.begin(), sealed.end());
  const Block mask =
      mask_of(expand(secret, v2 ? "quicv2 hp" : "quic hp", 16), packet.data() + number_at + 4);
  packet[0] = static_cast<std::uint8_t>(packet[0] ^ (mask[0] & 0x0fU));
  for (unsigned i = 0; i < number_size; ++i) packet[number_at + i] ^= mask[i + 1];
  return packet;
}

}  // namespace postern::fuzz
