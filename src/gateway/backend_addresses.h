// The addresses of one backend in one worker: a name's are looked up again when their time is over.
// One that takes no connections, answers no requests or fails its health check is left alone as
// long as another one is well. Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "gateway/context.h"
#include "gateway/host_resolver.h"
#include "http/url.h"

namespace postern::gateway {

class HealthProbe;

struct BackendAddress {
  BackendAddress(const Endpoint& the_endpoint, std::uint64_t the_bit);
  ~BackendAddress();
  BackendAddress(BackendAddress&&) noexcept;
  BackendAddress& operator=(BackendAddress&&) noexcept;
  BackendAddress(const BackendAddress&) = delete;
  BackendAddress& operator=(const BackendAddress&) = delete;

  /// It fails its health check: it gets no requests.
  bool is_sick() const;
  /// It is asked only when no other one is well.
  bool is_resting(std::uint64_t now_ms) const {
    return now_ms < refuses_until_ms || now_ms < silent_until_ms;
  }
  bool is_well(std::uint64_t now_ms) const { return !is_resting(now_ms) && !is_sick(); }

  Endpoint endpoint;
  std::uint64_t bit;  ///< in sets of addresses; its own as long as it is one of the name's
  std::size_t connections = 0;
  unsigned refused = 0;     ///< connections in a row
  unsigned unanswered = 0;  ///< requests in a row
  std::uint64_t refuses_until_ms = 0, silent_until_ms = 0;
  std::uint64_t unanswered_at_ms = 0;
  std::unique_ptr<HealthProbe> probe;  ///< with `health` only
};

class BackendAddresses {
 public:
  static constexpr std::size_t kAddressesMax = 32;  ///< half of the bits

  /// `settled`: after a lookup, when addresses may have come and gone; never from inside a call.
  BackendAddresses(Context& context, const http::BackendUrl& url, std::function<void()> settled);

  std::vector<BackendAddress>& all() { return addresses_; }
  const std::vector<BackendAddress>& all() const { return addresses_; }
  bool empty() const { return addresses_.empty(); }
  /// nullptr: the name does not have it, or not any more.
  BackendAddress* find(const Endpoint& endpoint);
  /// For a new connection: the one with the fewest of those that are well; when all rest, the one
  /// whose rest ends first. nullptr: all were tried (bits) or are sick.
  BackendAddress* choose(std::uint64_t tried);
  bool any_well() const;
  bool all_sick() const;

  /// Unless a lookup is under way.
  void look_up();
  bool is_due() const { return now_ms() >= until_ms_; }
  /// They must be looked up before they are used. While nobody can say, what is known is used.
  bool are_old() const;
  /// The last lookup found none.
  bool is_without() const { return looked_up_ && addresses_.empty(); }
  const std::string& lookup_error() const { return lookup_error_; }

 private:
  void looked_up(Result<ResolvedHost> result);
  void take(const ResolvedHost& host);
  std::uint64_t new_bit(std::uint64_t used);
  std::uint64_t now_ms() const { return context_.loop.now_ms(); }

  Context& context_;
  const http::BackendUrl& url_;
  std::function<void()> settled_;
  std::vector<BackendAddress> addresses_;
  std::uint64_t last_bit_ = 1;
  std::uint64_t until_ms_ = 0;
  bool looked_up_ = false, lookup_failed_ = false;
  std::string lookup_error_;
  std::unique_ptr<HostResolver::Ticket> looking_up_;
};

}  // namespace postern::gateway
