#include "net/tls_tickets.h"

#include <chrono>
#include <cstring>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rand.h>

namespace postern::net {
namespace {

// What the callback tells OpenSSL.
constexpr int kFailed = -1, kUnknownKey = 0, kUse = 1, kUseAndRenew = 2;
constexpr int kIvBytes = 16;

std::uint64_t monotonic_s() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

template <std::size_t Size>
bool randomize(std::array<unsigned char, Size>& bytes) {
  return RAND_bytes(bytes.data(), static_cast<int>(Size)) == 1;
}

bool set_mac_key(EVP_MAC_CTX* mac, TicketKey& key) {
  std::array<char, 7> digest{'S', 'H', 'A', '2', '5', '6', '\0'};
  const std::array<OSSL_PARAM, 3> params{
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, params.data()) == 1;
}

}  // namespace

TicketKey::~TicketKey() {
  OPENSSL_cleanse(cipher.data(), cipher.size());
  OPENSSL_cleanse(mac.data(), mac.size());
}

TicketKeys::TicketKeys(std::uint64_t rotate_s, Clock clock)
    : rotate_s_(rotate_s), clock_(std::move(clock)) {}

std::optional<TicketKey> TicketKeys::newest() {
  const std::lock_guard lock(mutex_);
  if (!rotate()) return std::nullopt;
  return current_;
}

std::optional<TicketKey> TicketKeys::find(const unsigned char* name, bool& is_old) {
  const std::lock_guard lock(mutex_);
  if (!rotate()) return std::nullopt;
  for (const auto* key : {&current_, &former_}) {
    if (!*key || std::memcmp((*key)->name.data(), name, (*key)->name.size()) != 0) continue;
    is_old = key == &former_;
    return *key;
  }
  return std::nullopt;
}

bool TicketKeys::rotate() {
  const std::uint64_t now_s = clock_();
  if (current_ && now_s - current_->made_s < rotate_s_) return true;
  TicketKey key;
  if (!randomize(key.name) || !randomize(key.cipher) || !randomize(key.mac)) return false;
  key.made_s = now_s;
  former_.reset();
  if (current_ && now_s - current_->made_s < 2 * rotate_s_) former_ = current_;
  current_ = key;
  return true;
}

int use_ticket_key(TicketKeys& keys, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                   EVP_MAC_CTX* mac, bool encrypting) {
  bool is_old = false;
  std::optional<TicketKey> key = encrypting ? keys.newest() : keys.find(name, is_old);
  if (!key) return encrypting ? kFailed : kUnknownKey;
  if (encrypting) {
    std::memcpy(name, key->name.data(), key->name.size());
    if (RAND_bytes(iv, kIvBytes) != 1) return kFailed;
  }
  if (!set_mac_key(mac, *key) ||
      EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key->cipher.data(), iv,
                        encrypting ? 1 : 0) != 1) {
    return kFailed;
  }
  return is_old ? kUseAndRenew : kUse;
}

std::shared_ptr<TlsTickets> TlsTickets::make(std::uint64_t rotate_s) {
  return std::make_shared<TicketKeys>(rotate_s, monotonic_s);
}

}  // namespace postern::net
