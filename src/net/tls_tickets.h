// Keys of session tickets and OpenSSL's callback for them. Private to tls_*.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "net/tls.h"
#include "net/tls_openssl.h"

namespace postern::net {

struct TicketKey {
  TicketKey() = default;
  TicketKey(const TicketKey&) = default;
  TicketKey& operator=(const TicketKey&) = default;
  ~TicketKey();

  std::array<unsigned char, 16> name{};
  std::array<unsigned char, 32> cipher{}, mac{};
  std::uint64_t made_s = 0;
};

class TicketKeys final : public TlsTickets {
 public:
  using Clock = std::function<std::uint64_t()>;  ///< monotonic seconds

  TicketKeys(std::uint64_t rotate_s, Clock clock);

  std::uint64_t rotate_s() const { return rotate_s_; }
  /// For a new ticket; nullopt when there is no randomness to be had.
  std::optional<TicketKey> newest();
  /// The key of a ticket, `is_old` when the ticket should be replaced; nullopt: forgotten.
  std::optional<TicketKey> find(const unsigned char* name, bool& is_old);

 private:
  bool rotate();

  const std::uint64_t rotate_s_;
  const Clock clock_;
  std::mutex mutex_;
  std::optional<TicketKey> current_, former_;
};

/// For SSL_CTX_set_tlsext_ticket_key_evp_cb.
int use_ticket_key(TicketKeys& keys, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                   EVP_MAC_CTX* mac, bool encrypting);

}  // namespace postern::net
